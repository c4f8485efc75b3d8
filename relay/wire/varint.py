"""The framing `varint`: a length of variable width before each message.

Protocol Buffers write and read rows of messages so (`writeDelimitedTo`, `parseDelimitedFrom`): 7 bits of the length in
each byte, the lowest first, and the highest bit of a byte says that another follows
(https://protobuf.dev/programming-guides/encoding/#varints).
"""

from __future__ import annotations

from relay.wire.framing import Buffer
from relay.wire.headed import Headed

MOST = 5
"""Bytes of a length, at most: those of 4 GiB."""
_MORE = 0x80


class Varint(Headed):
    """A length of 1 to 5 bytes, base 128, before each message."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        if start < len(data) and data[start] < _MORE:
            return 1, data[start]
        head = data[start : start + MOST]
        length = shift = 0
        for byte in head:
            length |= (byte & ~_MORE) << shift
            shift += 7
            if byte < _MORE:
                return shift // 7, length
        if len(head) < MOST:
            return None
        raise ValueError(f"a length of more than {MOST} bytes")

    @classmethod
    def head(cls, length: int) -> bytes:
        found = bytearray()
        while length >= _MORE:
            found.append(length & ~_MORE & 0xFF | _MORE)
            length >>= 7
        found.append(length)
        return bytes(found)
