"""Framings with a delimiter behind each message, which is sent on too, but does not count in the message's length.

- `line`: a line feed. A CR before it belongs to it, wherever a message is shown or written in another encoding: NMEA,
  AIS, SBS and other protocols end their lines so.
- `cr`: a carriage return, as many serial devices end what they say.
- `nul`: a zero byte, as in `find -print0`, GELF and the XML sockets of Flash.

Delimiters are found by Python's own search, so that the cost depends on the bytes, not on the number of messages.

After a message that is too long the next delimiter can be found, so that a stream can go on behind it (`drop`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import ClassVar

from relay.wire.framing import Buffer, Buffered, Frames, MessageTooLong


def _refuse_all(error: MessageTooLong) -> bool:
    return False


class Delimited(Buffered):
    """`delimiter` behind each message."""

    delimiter: ClassVar[bytes]
    """One byte."""
    called: ClassVar[str]
    """What the delimiter is called."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.drop: Callable[[MessageTooLong], bool] = _refuse_all
        """Asked once for each message that is too long. If it returns True, the message is dropped, and `receive` goes
        on behind its delimiter; else `receive` raises."""
        self._dropping = False  # whether the delimiter of a message that is dropped has not come yet

    def receive(self, data: bytes) -> list[Frames]:
        return super().receive(data[self._skip(data, 0) :] if self._dropping else data)

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        stop = data.find(self.delimiter, 0, self.limit + 1 - len(self._partial)) + 1
        if not stop:
            return self._keep(data, 0, frames)
        self._partial += memoryview(data)[:stop]
        self._finish(frames)
        return stop

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        """As `Buffered._whole`. Each look from a message's start finds the last delimiter within the limit.

        Two looks together advance by at least the limit, so each byte is looked at about twice at most, however long
        the messages are.
        """
        stop = start
        while found := data.rfind(self.delimiter, stop, stop + self.limit + 1) + 1:
            stop = found
        return stop, data.count(self.delimiter, start, stop)

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> int:
        stop = start + self.limit + 1 - len(self._partial)
        self._partial += memoryview(data)[start:stop]
        if len(self._partial) <= self.limit:
            return len(data)
        error = MessageTooLong(None, self.limit, bytes(self._partial[:16]), frames)
        if not self.drop(error):
            self._refuse(error)
        self._partial = bytearray()
        return self._skip(data, stop)

    def _skip(self, data: bytes, start: int) -> int:
        """Where the first message behind the one that is dropped begins; the end of `data` if it does not yet."""
        stop = data.find(self.delimiter, start) + 1
        self._dropping = not stop
        return stop or len(data)

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        if cls.delimiter in message:
            raise ValueError(f"there is {cls.called} in the message, which ends it")
        return message + cls.delimiter

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        return frame[:-1]

    @classmethod
    def ends(cls, data: Buffer) -> array[int]:
        whole = bytes(data)
        found: array[int] = array("Q")
        stop = 0
        while stop := whole.find(cls.delimiter, stop) + 1:
            found.append(stop)
        return found


class Line(Delimited):
    """`\\n` after each message."""

    delimiter = b"\n"
    called = "a line feed"
    incomplete = "its last line does not end with a line feed, so that it is no message"

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        return frame[: -2 if frame.endswith(b"\r\n") else -1]


class Cr(Delimited):
    """`\\r` after each message."""

    delimiter = b"\r"
    called = "a carriage return"
    incomplete = "its last message does not end with a carriage return, so that it is none"


class Nul(Delimited):
    """`\\0` after each message."""

    delimiter = b"\0"
    called = "a zero byte"
    incomplete = "its last message does not end with a zero byte, so that it is none"
