"""Framings with a big-endian length of fixed width before each message.

- `int32`: 4 bytes, the wire format of Twisted's `Int32StringReceiver`.
- `int16`: 2 bytes, that of `Int16StringReceiver`, of DNS over TCP and of many devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import ClassVar

from relay.wire.framing import Buffer
from relay.wire.headed import FEW, Headed, equal

HEADER = Struct("!I")
"""The header of `int32`."""


class Counted(Headed):
    """The length of each message before it, as `header` says."""

    header: ClassVar[Struct]

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        width = cls.header.size
        return None if len(data) - start < width else (width, cls.header.unpack_from(data, start)[0])

    @classmethod
    def head(cls, length: int) -> bytes:
        if length >> 8 * cls.header.size:
            raise ValueError(f"a message of {length:,} bytes has no length of {cls.header.size} bytes")
        return cls.header.pack(length)

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        return frame[cls.header.size :]

    @classmethod
    def _runs(cls, data: Buffer, start: int, limit: int) -> Iterator[tuple[int, int]]:
        """As `Headed._runs`, without a call for each message: it takes half the time."""
        size = len(data)
        header, width = cls.header, cls.header.size
        length = previous = -1
        streak = 0
        while size - start >= width:
            (length,) = header.unpack_from(data, start)
            step = width + length
            if length > limit or step > size - start:
                return
            count = 1
            if length != previous:
                previous = length
                streak = 0
            elif streak >= FEW:
                count = equal(data, start, step, min(FEW * streak, (size - start) // step), width)
            streak += count
            start += count * step
            yield start, count


class Int32(Counted):
    """A 4-byte big-endian length before each message."""

    header = HEADER


class Int16(Counted):
    """A 2-byte big-endian length before each message, which has 65,535 bytes at most."""

    header = Struct("!H")
