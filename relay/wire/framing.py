"""What a framing is: a way to tell messages apart on the wire.

A framing is a class; an instance of it reads one publisher's stream. `receive` takes the bytes as they come, in any
chunking, and returns the whole frames among them, unchanged and concatenated: what came in is what goes out. A *frame*
is a message with what frames it.

The relay's own framings are listed in `relay.wire.framings`. Most of them, and most of a user's own, are one of two
kinds, each with a class to derive from: a message has a length before it (`relay.wire.headed`), or a delimiter behind
it (`relay.wire.delimited`).
"""

from __future__ import annotations

from array import array
from typing import ClassVar, NamedTuple, NoReturn, Protocol

from relay.wire.close_reason import CloseReason

Buffer = bytes | memoryview

VIEW = 32 * 1024
"""A part of a read with at least this many bytes is passed on as a view: copying less costs less than a view does."""


class Frames(NamedTuple):
    """Whole frames, in the order in which they arrived, as they are sent on."""

    data: Buffer
    messages: int
    """Messages in `data`, at least 1."""
    held: int
    """Bytes of memory that `data` keeps alive: more than its length if it is a view of a larger read."""


class BadFrame(Exception):  # noqa: N818  # named for what the peer did
    """The stream goes on with what is no message. Nothing after it can be trusted."""

    reason: ClassVar[CloseReason] = CloseReason.BAD_FRAME
    """Why the publisher's connection ends."""

    def __init__(self, what: str, start: bytes, frames: list[Frames]) -> None:
        """`what`: what the peer sent, as the end of "it sent"."""
        super().__init__(what)
        self.start = start
        """The first bytes of the frame: its head, or up to 16 bytes of what should be one."""
        self.frames = frames
        """The whole frames before it that `receive` has not returned yet."""


class MessageTooLong(BadFrame):
    """The peer announced or sent a message longer than the limit."""

    reason = CloseReason.MESSAGE_TOO_LONG

    def __init__(self, length: int | None, limit: int, start: bytes, frames: list[Frames]) -> None:
        size = "of more" if length is None else f"of {length:,} bytes, more"
        super().__init__(f"a message {size} than the limit of {limit:,} bytes", start, frames)
        self.length = length
        """Bytes that the peer announced; None if the framing announces no length."""
        self.limit = limit
        """Most bytes that a message may have."""


class Framing(Protocol):
    """Reads one stream."""

    self_delimiting: ClassVar[bool]
    """Whether the boundaries between messages can be found in concatenated frames. A user's own framing must be."""
    incomplete: ClassVar[str]
    """What is the matter with a stream that ends inside a message, for an operator."""
    limit: int
    """Most bytes that a message may have, without what frames it."""

    def __init__(self, limit: int) -> None: ...

    def receive(self, data: bytes) -> list[Frames]:
        """Take the next bytes of the stream. Returns the frames that they complete, in order.

        Raises BadFrame once, at the same message however the stream was cut. After that it returns nothing.
        """
        ...

    @property
    def partial(self) -> int:
        """Bytes of an incomplete message that wait for its rest."""
        ...

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        """`message` with what frames it. Raises ValueError, with words for a user, if it cannot be told apart."""
        ...

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        """The message in `frame`, without what frames it."""
        ...

    @classmethod
    def ends(cls, data: Buffer) -> array[int]:
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


class Buffered:
    """What framings that wait for the rest of a message have in common.

    An incomplete message waits in a buffer of its own, where each byte is copied once, however slowly it arrives.
    """

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
        size = len(data)
        while start < size:
            stop, messages = self._whole(data, start)
            if messages:
                frames.append(part(data, start, stop, messages))
            start = self._keep(data, stop, frames) if stop < size else stop
        return frames

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        """Move bytes from the front of `data` to the partial message until it is whole. Returns how many."""
        raise NotImplementedError

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        """Where the whole messages from `start` on end, up to one that is refused, and how many they are."""
        raise NotImplementedError

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> int:
        """Make the rest of `data` the partial message, or refuse it if it is already known to be wrong.

        Returns where to go on: the end of `data`, unless some of it was dropped.
        """
        raise NotImplementedError

    def _finish(self, frames: list[Frames]) -> None:
        """Append the partial message, which is whole, to `frames`."""
        frames.append(Frames(bytes(self._partial), 1, len(self._partial)))
        self._partial = bytearray()

    def _refuse(self, error: BadFrame) -> NoReturn:
        self._failed = True
        self._partial = bytearray()
        raise error
