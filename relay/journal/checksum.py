"""The checksum of headers and records: CRC-32 as in zlib, from the fastest library that is installed."""

from __future__ import annotations

try:  # The extra `journal`. 0.07 µs for 1 KiB, where zlib takes 0.32, a third of what a message costs in a journal.
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
