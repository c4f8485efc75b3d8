"""Splits a byte stream into whole messages, for each way in which messages can be told apart on the wire.

A framing is a class; an object of it reads one publisher's stream. `receive` takes the bytes as they come, in any
chunking, and returns the whole frames among them, unchanged and concatenated: what came in is what goes out. Only
headers and terminators are looked at, and a run of messages of one length is checked at once, so that the cost is
that of the bytes, not of the messages. An incomplete message waits in a buffer of its own, where each byte is copied
once, however it dribbles in.

The three framings:

- `int32`: a 4-byte big-endian unsigned length, then that many bytes. The wire format of Twisted's
  `Int32StringReceiver`.
- `line`: a message ends in `\\n`, which stays on the wire.
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
"""Messages of one length in a row after which the next are looked at together, and how fast their number grows."""
VIEW = 32 * 1024
"""Bytes from which on a part of a read is passed on as a view of it: a copy of less costs less than a view."""


class Frames(NamedTuple):
    """Whole frames in the order in which they came, as they go out again."""

    data: Buffer
    messages: int
    """How many there are in `data`, at least 1."""
    held: int
    """Bytes of memory that `data` keeps alive: more than its length where it is a view of a larger read."""


class MessageTooLong(Exception):  # noqa: N818  # it is named for what the peer did
    """The peer announced or sent a message that is longer than the limit: nothing after it can be trusted."""

    def __init__(self, length: int | None, limit: int, start: bytes, frames: list[Frames]) -> None:
        self.length = length
        """Bytes announced; None where the framing does not say it beforehand."""
        self.limit = limit
        self.start = start
        """The first bytes of the message as it stands on the wire, 4 at least."""
        self.frames = frames
        """The whole frames before it that had not been returned yet."""
        size = "of more" if length is None else f"of {length:,} bytes, more"
        super().__init__(f"a message {size} than the limit of {limit:,} bytes")


class Framing(Protocol):
    """Reads one stream. The limit is on the payload of a message, in bytes."""

    self_delimiting: ClassVar[bool]
    """Whether the boundaries of messages can be found in concatenated frames."""
    header_size: ClassVar[int]
    """Bytes of a frame before its message."""
    trailer_size: ClassVar[int]
    """Bytes of a frame after its message."""
    limit: int

    def __init__(self, limit: int) -> None: ...

    def receive(self, data: bytes) -> list[Frames]:
        """Take the next bytes of the stream; returns the frames that they complete, in order.

        Raises MessageTooLong once, at the same message however the stream was cut; returns nothing ever after.
        """
        ...

    @property
    def partial(self) -> int:
        """Bytes of an incomplete message that wait for the rest of it."""
        ...

    @staticmethod
    def ends(data: Buffer) -> array[int]:
        """Where each message in whole frames ends, as ascending offsets into `data`; the last is its length."""
        ...


def _part(data: bytes, start: int, stop: int, count: int) -> Frames:
    """`data[start:stop]` as frames: copied if it is a small part, else a view that keeps all of `data` alive."""
    size = stop - start
    if size == len(data):
        return Frames(data, count, size)
    if size < VIEW or size < len(data) // 2:
        return Frames(data[start:stop], count, size)
    return Frames(memoryview(data)[start:stop], count, len(data))


def _runs(data: Buffer, start: int, limit: int) -> Iterator[tuple[int, int]]:
    """Walk over the whole `int32` frames from `start`; yields where each run of one length ends, and how many they are.

    Headers are read one by one until a few in a row are equal; then the next are compared at once, eight times as
    many each time. To compare one costs a tenth of reading it, so a run that ends early wastes less than it saved.
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
    """How many of the next `most` headers, `step` bytes apart, equal the one at `start` (which counts).

    Each of the four bytes of a header is compared in all of them at once: a slice with a stride is a loop in C.
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
    """What framings have in common that wait for the rest of a message."""

    self_delimiting: ClassVar[bool] = True
    header_size: ClassVar[int] = 0
    trailer_size: ClassVar[int] = 0

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
            frames.append(_part(data, start, stop, messages))
        if stop < len(data):
            self._keep(data, stop, frames)
        return frames

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        """Move bytes from the front of `data` to the partial message until it is whole; returns how many."""
        raise NotImplementedError

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        """Where the whole messages from `start` on end, as far as none is over the limit, and how many they are."""
        raise NotImplementedError

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> None:
        """Make the rest of `data` the partial message, or refuse it as soon as it shows that it is too long."""
        raise NotImplementedError

    def _finish(self, frames: list[Frames]) -> None:
        """The partial message is whole."""
        frames.append(Frames(bytes(self._partial), 1, len(self._partial)))
        self._partial = bytearray()

    def _refuse(self, length: int | None, start: bytes, frames: list[Frames]) -> NoReturn:
        self._failed = True
        self._partial = bytearray()
        raise MessageTooLong(length, self.limit, start, frames)


class Int32(Buffered):
    """A 4-byte big-endian length before each message."""

    header_size = HEADER.size

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
    def ends(data: Buffer) -> array[int]:
        found: array[int] = array("Q")
        start = 0
        for stop, count in _runs(data, 0, len(data)):
            step = (stop - start) // count
            found.extend(range(start + step, stop + 1, step))
            start = stop
        return found


class Line(Buffered):
    """`\\n` after each message. The terminator goes out too, but is not counted in the message's length."""

    trailer_size = 1

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        stop = data.find(b"\n", 0, self.limit + 1 - len(self._partial)) + 1
        if not stop:
            self._keep(data, 0, frames)
            return len(data)
        self._partial += memoryview(data)[:stop]
        self._finish(frames)
        return stop

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        """From one line's start, the last terminator within the limit is as far as one look can reach.

        Two looks cover at least the limit, so a byte is looked at about twice at most, whatever the lines' lengths.
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
    def ends(data: Buffer) -> array[int]:
        whole = bytes(data)
        found: array[int] = array("Q")
        stop = 0
        while stop := whole.find(b"\n", stop) + 1:
            found.append(stop)
        return found


class Raw:
    """No framing: what one read brought is a message. It is cut at the limit, and never refused."""

    self_delimiting: ClassVar[bool] = False
    header_size: ClassVar[int] = 0
    trailer_size: ClassVar[int] = 0
    partial = 0

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def receive(self, data: bytes) -> list[Frames]:
        limit = self.limit
        if len(data) <= limit:
            return [Frames(data, 1, len(data))]
        return [_part(data, at, min(at + limit, len(data)), 1) for at in range(0, len(data), limit)]

    @staticmethod
    def ends(data: Buffer) -> array[int]:
        return array("Q", [len(data)])


FRAMINGS: dict[str, type[Framing]] = {"int32": Int32, "line": Line, "raw": Raw}
