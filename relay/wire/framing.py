"""Splits a byte stream into whole messages, in each of the ways to tell messages apart on the wire.

A framing is a class; an instance of it reads one publisher's stream. `receive` takes the bytes as they come, in any
chunking, and returns the whole frames among them, unchanged and concatenated: what came in is what goes out. Only
headers and terminators are looked at, and a run of messages of one length is checked at once, so that the cost depends
on the bytes, not on the number of messages. An incomplete message waits in a buffer of its own, where each byte is
copied once, however slowly it arrives.

The three framings:

- `int32`: a 4-byte big-endian unsigned length, then that many bytes. The wire format of Twisted's
  `Int32StringReceiver`.
- `line`: a message ends with `\\n`, which is sent on too.
- `raw`: every read is a message. Nothing on the wire tells them apart.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from struct import Struct
from typing import ClassVar, NamedTuple, NoReturn, Protocol

Buffer = bytes | memoryview

HEADER = Struct("!I")
FEW = 8
"""Messages of one length in a row after which the next are compared together: `FEW` times as many as the row has."""
VIEW = 32 * 1024
"""A part of a read with at least this many bytes is passed on as a view: copying less costs less than a view does."""


class Frames(NamedTuple):
    """Whole frames, in the order in which they arrived, as they are sent on."""

    data: Buffer
    messages: int
    """Messages in `data`, at least 1."""
    held: int
    """Bytes of memory that `data` keeps alive: more than its length if it is a view of a larger read."""


class MessageTooLong(Exception):  # noqa: N818  # named for what the peer did
    """The peer announced or sent a message longer than the limit. Nothing after it can be trusted."""

    def __init__(self, length: int | None, limit: int, start: bytes, frames: list[Frames]) -> None:
        self.length = length
        """Bytes that the peer announced; None if the framing announces no length."""
        self.limit = limit
        """Most bytes that a message may have."""
        self.start = start
        """The first bytes of the frame: its header, or up to 16 bytes of a line."""
        self.frames = frames
        """The whole frames before the message that `receive` has not returned yet."""
        size = "of more" if length is None else f"of {length:,} bytes, more"
        super().__init__(f"a message {size} than the limit of {limit:,} bytes")


class Framing(Protocol):
    """Reads one stream."""

    self_delimiting: ClassVar[bool]
    """Whether the boundaries between messages can be found in concatenated frames."""
    incomplete: ClassVar[str]
    """What is the matter with a stream that ends inside a message, for an operator."""
    limit: int
    """Most bytes that a message may have, without what frames it."""

    def __init__(self, limit: int) -> None: ...

    def receive(self, data: bytes) -> list[Frames]:
        """Take the next bytes of the stream. Returns the frames that they complete, in order.

        Raises MessageTooLong once, at the same message however the stream was cut. After that it returns nothing.
        """
        ...

    @property
    def partial(self) -> int:
        """Bytes of an incomplete message that wait for its rest."""
        ...

    @staticmethod
    def message(frame: bytes) -> bytes:
        """The message in `frame`, without what frames it."""
        ...

    @staticmethod
    def ends(data: Buffer) -> array[int]:
        """Where each frame in `data`, which must be whole frames, ends: ascending offsets. The last is its length."""
        ...


def part(data: bytes, start: int, stop: int, count: int) -> Frames:
    """`data[start:stop]`, `count` messages, as frames: a copy if it is small, else a view that keeps `data` alive."""
    size = stop - start
    if size == len(data):
        return Frames(data, count, size)
    if size < VIEW or size < len(data) // 2:
        return Frames(data[start:stop], count, size)
    return Frames(memoryview(data)[start:stop], count, len(data))


def _runs(data: Buffer, start: int, limit: int) -> Iterator[tuple[int, int]]:
    """Walk over the whole `int32` frames from `start`. Yields where each run of one length ends, and its messages.

    It stops at a message over `limit`. Headers are read one by one until `FEW` in a row are equal. Then the next ones
    are compared together, each time `FEW` times as many as the row has so far. Comparing a header costs a tenth of
    reading it, so a row that ends early wastes less than it saved.
    """
    size = len(data)
    position = start
    length = previous = -1
    streak = 0
    while size - position >= HEADER.size:
        (length,) = HEADER.unpack_from(data, position)
        step = HEADER.size + length
        if length > limit or step > size - position:
            return
        count = 1
        if length != previous:
            previous = length
            streak = 0
        elif streak >= FEW:
            count = _equal(data, position, step, min(FEW * streak, (size - position) // step))
        streak += count
        position += count * step
        yield position, count


def _equal(data: Buffer, start: int, step: int, most: int) -> int:
    """How many of the `most` headers from `start` on, `step` bytes apart, equal the first, which counts too.

    Each of the header's four bytes is compared in all headers at once: a slice with a stride is a loop in C.
    """
    stop = start + most * step
    equal = most
    for column in range(start, start + 4):
        byte = bytes(data[column : column + 1])
        found = bytes(data[column:stop:step])
        if found != byte * most:
            equal = min(equal, most - len(found.lstrip(byte)))
    return equal


class Buffered:
    """What framings that wait for the rest of a message have in common."""

    self_delimiting: ClassVar[bool] = True
    incomplete: ClassVar[str] = "its last message was not complete"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._partial = bytearray()
        self._failed = False

    @property
    def partial(self) -> int:
        return len(self._partial)

    def receive(self, data: bytes) -> list[Frames]:
        if self._failed:
            return []
        frames: list[Frames] = []
        start = 0
        if self._partial:
            start = self._complete(data, frames)
            if self._partial:
                return frames
        stop, messages = self._whole(data, start)
        if messages:
            frames.append(part(data, start, stop, messages))
        if stop < len(data):
            self._keep(data, stop, frames)
        return frames

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        """Move bytes from the front of `data` to the partial message until it is whole. Returns how many."""
        raise NotImplementedError

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        """Where the whole messages from `start` on end, up to one over the limit, and how many they are."""
        raise NotImplementedError

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> None:
        """Make the rest of `data` the partial message, or refuse it if it is already known to be too long."""
        raise NotImplementedError

    def _finish(self, frames: list[Frames]) -> None:
        """Append the partial message, which is whole, to `frames`."""
        frames.append(Frames(bytes(self._partial), 1, len(self._partial)))
        self._partial = bytearray()

    def _refuse(self, length: int | None, start: bytes, frames: list[Frames]) -> NoReturn:
        self._failed = True
        self._partial = bytearray()
        raise MessageTooLong(length, self.limit, start, frames)


class Int32(Buffered):
    """A 4-byte big-endian length before each message."""

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        partial = self._partial
        taken = 0
        if len(partial) < HEADER.size:
            taken = HEADER.size - len(partial)
            partial += data[:taken]
            if len(partial) < HEADER.size:
                return len(data)
        stop = taken + HEADER.size + self._length(partial, 0, frames) - len(partial)
        partial += memoryview(data)[taken:stop]
        if stop <= len(data):
            self._finish(frames)
        return stop

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        stop = start
        messages = 0
        for stop, count in _runs(data, start, self.limit):  # noqa: B007  # `stop` is used after the loop
            messages += count
        return stop, messages

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> None:
        if len(data) - start >= HEADER.size:
            self._length(data, start, frames)
        self._partial += memoryview(data)[start:]

    def _length(self, data: bytes | bytearray, start: int, frames: list[Frames]) -> int:
        """The length in the header at `start`."""
        length: int = HEADER.unpack_from(data, start)[0]
        if length > self.limit:
            self._refuse(length, bytes(data[start : start + HEADER.size]), frames)
        return length

    @staticmethod
    def message(frame: bytes) -> bytes:
        return frame[HEADER.size :]

    @staticmethod
    def ends(data: Buffer) -> array[int]:
        found: array[int] = array("Q")
        start = 0
        for stop, count in _runs(data, 0, len(data)):
            step = (stop - start) // count
            found.extend(range(start + step, stop + 1, step))
            start = stop
        return found


class Line(Buffered):
    """`\\n` after each message. The terminator is sent on too, but does not count in the message's length.

    A CR before it belongs to the terminator, wherever a message is shown or written in another encoding: NMEA, AIS, SBS
    and other protocols end their lines so.
    """

    incomplete: ClassVar[str] = "its last line does not end with a line feed, so that it is no message"

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        stop = data.find(b"\n", 0, self.limit + 1 - len(self._partial)) + 1
        if not stop:
            self._keep(data, 0, frames)
            return len(data)
        self._partial += memoryview(data)[:stop]
        self._finish(frames)
        return stop

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        """As `Buffered._whole`. Each look from a line's start finds the last terminator within the limit.

        Two looks together advance by at least the limit, so each byte is looked at about twice at most, however long
        the lines are.
        """
        stop = start
        while found := data.rfind(b"\n", stop, stop + self.limit + 1) + 1:
            stop = found
        return stop, data.count(b"\n", start, stop)

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> None:
        self._partial += memoryview(data)[start : start + self.limit + 1]
        if len(self._partial) > self.limit:
            self._refuse(None, bytes(self._partial[:16]), frames)

    @staticmethod
    def message(frame: bytes) -> bytes:
        return frame[: -2 if frame.endswith(b"\r\n") else -1]

    @staticmethod
    def ends(data: Buffer) -> array[int]:
        whole = bytes(data)
        found: array[int] = array("Q")
        stop = 0
        while stop := whole.find(b"\n", stop) + 1:
            found.append(stop)
        return found


class Raw:
    """No framing: each read is one message. A read over the limit is cut into several, and never refused."""

    self_delimiting: ClassVar[bool] = False
    incomplete: ClassVar[str] = ""
    partial = 0

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def receive(self, data: bytes) -> list[Frames]:
        limit = self.limit
        if len(data) <= limit:
            return [Frames(data, 1, len(data))]
        return [part(data, at, min(at + limit, len(data)), 1) for at in range(0, len(data), limit)]

    @staticmethod
    def message(frame: bytes) -> bytes:
        return frame

    @staticmethod
    def ends(data: Buffer) -> array[int]:
        return array("Q", [len(data)])


FRAMINGS: dict[str, type[Framing]] = {"int32": Int32, "line": Line, "raw": Raw}
