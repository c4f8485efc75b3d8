"""Messages as WebSocket frames (RFC 6455), each message a whole frame."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from struct import Struct

from relay.wire.framing import Buffer

TEXT_FRAME = 0x81
BINARY_FRAME = 0x82
"""First byte of a frame that is a whole message (RFC 6455, section 5.2): the last frame of it, and what it is."""
_SHORT = Struct("!BB")
_MIDDLE = Struct("!BBH")
_LONG = Struct("!BBQ")


class WebSocketEncoding:
    """Each message is a frame, not masked, as those of a server are."""

    def __init__(self, name: str, first_byte: Callable[[bytes], int]) -> None:
        """`name`: a word for the log. `first_byte`: says for a message what the first byte of its frame is."""
        self.name = name
        self._first_byte = first_byte

    def encode(self, messages: Iterable[bytes], number: int) -> bytes:
        parts = []
        for message in messages:
            parts.append(_header(self._first_byte(message), len(message)))
            parts.append(message)
        return b"".join(parts)

    def ends(self, data: Buffer) -> array[int]:
        found: array[int] = array("Q")
        stop, size = 0, len(data)
        while stop < size:
            length = data[stop + 1]
            if length < 126:
                stop += 2 + length
            elif length == 126:
                stop += 4 + _MIDDLE.unpack_from(data, stop)[2]
            else:
                stop += 10 + _LONG.unpack_from(data, stop)[2]
            found.append(stop)
        return found


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return _SHORT.pack(first, length)
    if length < 65536:
        return _MIDDLE.pack(first, 126, length)
    return _LONG.pack(first, 127, length)


def _kind(message: bytes) -> int:
    """Text, if it can be: a text frame that is not UTF-8 would end the connection (RFC 6455, section 8.1)."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return BINARY_FRAME
    return TEXT_FRAME


def binary() -> WebSocketEncoding:
    """Every message in a binary frame."""
    return WebSocketEncoding("ws", lambda message: BINARY_FRAME)


def text() -> WebSocketEncoding:
    """Every message that is UTF-8 in a text frame, the others in binary ones."""
    return WebSocketEncoding("ws", _kind)
