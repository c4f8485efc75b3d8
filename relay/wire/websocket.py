"""Messages as WebSocket frames (RFC 6455), each message in one frame."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from struct import Struct

from relay.wire.framing import Buffer

TEXT_FRAME = 0x81
"""First byte of a frame that is a whole text message: FIN and opcode 1 (RFC 6455, section 5.2)."""
BINARY_FRAME = 0x82
"""First byte of a frame that is a whole binary message: FIN and opcode 2 (RFC 6455, section 5.2)."""
_SHORT = Struct("!BB")
_MIDDLE = Struct("!BBH")
_LONG = Struct("!BBQ")


class WebSocketEncoding:
    """Writes each message as one frame. It is not masked, as a server's frames must not be (RFC 6455, section 5.1)."""

    def __init__(self, name: str, first_byte: Callable[[bytes], int]) -> None:
        """`name`: a word for the log and for metrics. `first_byte`: gives the first byte of a message's frame."""
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


PING = b"\x89\x00"
"""A ping without content (RFC 6455, section 5.5.2)."""


def text_frame(text: bytes) -> bytes:
    """A whole text message with `text`, in UTF-8."""
    return _header(TEXT_FRAME, len(text)) + text


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return _SHORT.pack(first, length)
    if length < 65536:
        return _MIDDLE.pack(first, 126, length)
    return _LONG.pack(first, 127, length)


def _kind(message: bytes) -> int:
    """Text if the message is UTF-8: a text frame that is not would end the connection (RFC 6455, section 8.1)."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return BINARY_FRAME
    return TEXT_FRAME


def binary() -> WebSocketEncoding:
    """An encoding that writes every message as a binary frame."""
    return WebSocketEncoding("ws", lambda message: BINARY_FRAME)


def text() -> WebSocketEncoding:
    """An encoding that writes messages in UTF-8 as text frames, and all others as binary frames."""
    return WebSocketEncoding("ws", _kind)
