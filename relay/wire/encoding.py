"""How messages look to a subscriber that is no TCP client: WebSocket frames, or server-sent events.

An encoding takes messages and gives bytes, without I/O. What it makes of a message stands by itself, so that a stream
can begin and end between any two, and so that the ends of messages can be found in it again when somebody asks.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Protocol

from relay.wire.framing import Buffer

TEXT_FRAME = 0x81
BINARY_FRAME = 0x82
"""First byte of a WebSocket frame that is a whole message (RFC 6455, section 5.2): the last of it, and what it is."""
_SHORT = Struct("!BB")
_MIDDLE = Struct("!BBH")
_LONG = Struct("!BBQ")


class Encoding(Protocol):
    """One way to write messages."""

    @property
    def name(self) -> str:
        """A word for the log and for metrics."""
        ...

    def encode(self, messages: Iterable[bytes], position: int) -> bytes:
        """Messages that follow each other, the first of them at that position, as they are sent."""
        ...

    def ends(self, data: Buffer) -> array[int]:
        """Where each message ends in what `encode` made, as ascending offsets."""
        ...


class Frames:
    """WebSocket: each message is a frame, not masked, as a server's are."""

    def __init__(self, name: str, first_byte: Callable[[bytes], int]) -> None:
        """`first_byte` is that of the frame for a message."""
        self.name = name
        self._first_byte = first_byte

    def encode(self, messages: Iterable[bytes], position: int) -> bytes:
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


def binary() -> Frames:
    """Every message in a binary frame."""
    return Frames("ws", lambda message: BINARY_FRAME)


def text() -> Frames:
    """Every message that is UTF-8 in a text frame, the others in binary ones."""
    return Frames("ws", _kind)


class Events:
    """Server-sent events (HTML standard, section 9.2), each a chunk of HTTP's chunked coding (RFC 9112, section 7.1).

    The event is `text`, with the message as it is, if it is UTF-8 without CR, which the format cannot carry; else it is
    `base64`. Its id is the run of the relay and the position of the message.
    """

    name = "events"

    def __init__(self, run: str) -> None:
        self._run = run

    def id(self, position: int) -> str:
        """How the message of that position is called."""
        return f"{self._run}-{position}"

    def encode(self, messages: Iterable[bytes], position: int) -> bytes:
        run = self._run.encode()
        parts = []
        for number, message in enumerate(messages, position):
            kind, data = b"text", message
            try:
                message.decode()
            except UnicodeDecodeError:
                kind = b"base64"
            if kind == b"base64" or b"\r" in data:
                kind, data = b"base64", b64encode(message)
            elif b"\n" in data:
                data = data.replace(b"\n", b"\ndata: ")
            event = b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (run, number, kind, data)
            parts.append(b"%x\r\n%b\r\n" % (len(event), event))
        return b"".join(parts)

    def ends(self, data: Buffer) -> array[int]:
        whole = bytes(data)
        found: array[int] = array("Q")
        stop = 0
        while stop < len(whole):
            line = whole.index(b"\r\n", stop)
            stop = line + 2 + int(whole[stop:line], 16) + 2
            found.append(stop)
        return found


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP's chunked coding; the last one is that without data."""
    return b"%x\r\n%b\r\n" % (len(data), data)
