"""Framings with a *head* before each message that says how long it is.

Only heads are looked at, and those of a run of messages of one length at once, so that the cost depends on the bytes,
not on the number of messages. A head is read with `measure` until `FEW` in a row are equal. Then the next ones are
compared together, each of a head's bytes in one slice with a stride, each time `FEW` times as many as the row has so
far. Comparing a head costs a tenth of reading it, so a row that ends early wastes less than it saved.

A class that derives from `Headed` needs `measure`, and `head` or `frame`. `examples/mavlink.py` is one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import ClassVar

from relay.wire.framing import BadFrame, Buffer, Buffered, Frames, MessageTooLong

FEW = 8
"""Messages of one length in a row after which the next are compared together: `FEW` times as many as the row has."""
LONGEST_HEAD = 16
"""Most bytes that a head may have."""


class Headed(Buffered):
    """A head before each message, and perhaps a trailer behind it."""

    trailer: ClassVar[bytes] = b""
    """What follows each message: no byte, or one."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        """How long the frame is that begins at `start`: the bytes of its head, and those between head and trailer.

        Only the bytes of the head may matter. None if `data` ends too early to tell. Raises ValueError, with words that
        end "it sent", for what no head begins with.
        """
        raise NotImplementedError

    @classmethod
    def head(cls, length: int) -> bytes:
        """The head of a message of `length` bytes. Raises ValueError if there is none."""
        raise NotImplementedError

    @classmethod
    def frame(cls, message: bytes) -> bytes:
        return cls.head(len(message)) + message + cls.trailer

    @classmethod
    def message(cls, frame: bytes) -> bytes:
        measured = cls.measure(frame, 0)
        assert measured is not None, "it is no whole frame"
        head, length = measured
        return frame[head : head + length]

    @classmethod
    def ends(cls, data: Buffer) -> array[int]:
        found: array[int] = array("Q")
        start = 0
        for stop, count in cls._runs(data, 0, len(data)):
            step = (stop - start) // count
            found.extend(range(start + step, stop + 1, step))
            start = stop
        return found

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._size = 0  # bytes of the frame that is partial; 0 while its head is incomplete

    def _complete(self, data: bytes, frames: list[Frames]) -> int:
        partial = self._partial
        if not self._size:
            self._size = self._check(bytes(partial + data[:LONGEST_HEAD]), 0, frames)
            if not self._size:
                partial += data
                return len(data)
        stop = self._size - len(partial)
        partial += memoryview(data)[:stop]
        if stop <= len(data):
            if not partial.endswith(self.trailer):
                self._refuse_frame(partial, 0, self._size, frames)
            self._size = 0
            self._finish(frames)
        return stop

    def _whole(self, data: bytes, start: int) -> tuple[int, int]:
        stop = start
        messages = 0
        for stop, count in self._runs(data, start, self.limit):  # noqa: B007  # `stop` is used after the loop
            messages += count
        return stop, messages

    def _keep(self, data: bytes, start: int, frames: list[Frames]) -> int:
        self._size = self._check(data, start, frames)
        if self._size and self._size <= len(data) - start:
            self._refuse_frame(data, start, self._size, frames)
        self._partial += memoryview(data)[start:]
        return len(data)

    def _check(self, data: bytes, start: int, frames: list[Frames]) -> int:
        """Bytes of the frame that begins at `start`; 0 if that cannot be told yet. Refuses what is none."""
        try:
            measured = self.measure(data, start)
        except ValueError as error:
            self._refuse(BadFrame(str(error), data[start : start + LONGEST_HEAD], frames))
        head, length = measured or (0, 0)
        if not head:
            if len(data) - start >= LONGEST_HEAD:
                self._refuse(BadFrame("no head of a message", data[start : start + LONGEST_HEAD], frames))
            return 0
        if length > self.limit:
            self._refuse(MessageTooLong(length, self.limit, data[start : start + max(head, 4)], frames))
        return head + length + len(self.trailer)

    def _refuse_frame(self, data: bytes | bytearray, start: int, size: int, frames: list[Frames]) -> None:
        """Refuse a frame without its trailer."""
        end = data[start + size - 1 : start + size]
        what = f"a message that ends with {bytes(end)!r} instead of {self.trailer!r}"
        self._refuse(BadFrame(what, bytes(data[start : start + LONGEST_HEAD]), frames))

    @classmethod
    def _runs(cls, data: Buffer, start: int, limit: int) -> Iterator[tuple[int, int]]:
        """Walk over the whole frames from `start`. Yields where each run of one length ends, and its messages.

        It stops at a message over `limit`, and at what is none.
        """
        size = len(data)
        measure, trailer = cls.measure, cls.trailer
        behind = len(trailer)
        previous = -1
        streak = 0
        while start < size:
            try:
                measured = measure(data, start)
            except ValueError:
                return
            if measured is None:
                return
            head, length = measured
            step = head + length + behind
            stop = start + step
            if length > limit or not start < stop <= size or (behind and data[stop - 1 : stop] != trailer):
                return
            count = 1
            if step != previous:
                previous = step
                streak = 0
            elif streak >= FEW:
                most = min(FEW * streak, (size - start) // step)
                count = equal(data, start, step, most, head, behind)
                if count < most:
                    previous = -1
            streak += count
            start += count * step
            yield start, count


def equal(data: Buffer, start: int, step: int, most: int, head: int, trailer: int = 0) -> int:
    """How many of the `most` frames from `start` on, `step` bytes apart, are framed as the first, which counts too.

    `head`, `trailer`: how many bytes of a frame are compared, from its beginning and from its end. Each of them is
    compared in all frames at once: a slice with a stride is a loop in C.
    """
    stop = start + most * step
    found = most
    for column in (*range(head), *range(step - trailer, step)):
        byte = bytes(data[start + column : start + column + 1])
        same = bytes(data[start + column : stop : step])
        if same != byte * most:
            found = min(found, most - len(same.lstrip(byte)))
    return found
