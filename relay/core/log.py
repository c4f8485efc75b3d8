"""The log of recent messages, in memory: what arrived, in the one order in which every subscriber sees it.

The log is a row of batches. A *batch* is whole frames, as they are sent; it is made once, and every subscriber is sent
the same bytes. A *position* is a message's number: the first message of an epoch is 1. A *place* is a batch's number
and an offset into its bytes. Inside the program places are cheaper to keep than positions, because moving one needs no
look at the messages. The log owns all arithmetic with places; `position` turns one into a position when somebody asks.

Batches are numbered from 0. They are dropped only from the old end and only by `drop`, so that the owner of places in
them can move those out of the way first.

A batch is charged all the memory that it costs, not only its payload: with one small message per batch, Python's
objects outweigh the bytes, and a limit that counted only bytes would be exceeded four times over.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relay.core.place import Messages, Place
from relay.wire.framing import Buffer

OVERHEAD = 512
"""Bytes charged for a batch besides its data: the object, its numbers, its slots in lists, a view, and the allocator's
rounding. Measured on CPython 3.11 with 64-byte messages: 400 for bytes, 500 for a view."""


@dataclass(slots=True)
class Batch:
    """Whole frames of one turn of the reactor. It does not change once it is in the log."""

    data: Buffer
    messages: int
    """Messages in `data`, at least 1."""
    first: int
    """Position of its first message."""
    offset: int
    """Bytes that the log ever took before this batch."""
    charged: int
    """Bytes of memory that the log was ever charged before this batch."""
    time: float
    """When it was appended, in seconds of the appender's clock."""
    ends: array[int] | None
    """Where each message ends, as offsets into `data`, for a framing that cannot tell; else None."""


class Log:
    """The newest messages. It keeps everything until told to drop some."""

    def __init__(self, ends: Callable[[Buffer], array[int]], first: int = 1) -> None:
        """`ends`: finds where the messages in whole frames end (see `Framing.ends`). `first`: the first position."""
        self.next = first
        """The position that the next message gets."""
        self.size = 0
        """Bytes that the log ever took."""
        self.charged = 0
        """Bytes of memory that the log was ever charged."""
        self.era = 0
        """How often the positions of messages have changed their meaning, as a mirror's may."""
        self._find_ends = ends
        self._passed_over = 0  # positions that no message got, as `begin_anew` said
        self._batches: list[Batch | None] = []
        self._gone = 0  # batches removed from the list
        self._dead = 0  # dropped batches at the front of the list: None in it, until there are many
        self._measured: tuple[int, array[int]] = (-1, array("Q"))  # a batch's number and ends, as last asked for

    # Batches

    @property
    def oldest(self) -> int:
        """Number of the oldest batch kept; `end` if there is none."""
        return self._gone + self._dead

    @property
    def end(self) -> int:
        """The number that the next batch gets."""
        return self._gone + len(self._batches)

    @property
    def first(self) -> int:
        """Position of the oldest message kept; `next` if there is none."""
        return self.batch(self.oldest).first if self.oldest < self.end else self.next

    @property
    def held(self) -> int:
        """Bytes of memory charged for the batches kept."""
        return self.behind(self.oldest)

    def append(self, data: Buffer, messages: int, held: int, time: float, ends: array[int] | None = None) -> None:
        """Take the whole frames in `data` as the newest batch.

        `messages`: messages in `data`. `held`: bytes of memory that `data` keeps alive. `time`: now, in seconds of the
        caller's clock. `ends`: where each message ends in `data`, for a framing whose frames cannot tell.
        """
        self._batches.append(Batch(data, messages, self.next, self.size, self.charged, time, ends))
        self.next += messages
        self.size += len(data)
        self.charged += held + OVERHEAD + (ends.itemsize * len(ends) if ends else 0)

    def within(self, memory: int) -> int:
        """Number of the first of the newest batches that take at most `memory` bytes; the newest, if none fits."""
        at = bisect_left(self._batches, self.charged - memory, self._dead, key=_charged)
        return min(self._gone + at, max(self.oldest, self.end - 1))

    def behind(self, number: int) -> int:
        """Bytes of memory charged for batch `number` and all after it."""
        return self.charged - (self.batch(number).charged if number < self.end else self.charged)

    def drop(self, number: int) -> None:
        """Forget every batch before `number`."""
        dead = max(self._dead, number - self._gone)
        self._batches[self._dead : dead] = [None] * (dead - self._dead)
        self._dead = dead
        if dead > 1000 and dead > len(self._batches) // 2:
            del self._batches[:dead]
            self._gone += dead
            self._dead = 0

    def batch(self, number: int) -> Batch:
        """The batch with that number, which must not have been dropped."""
        batch = self._batches[number - self._gone]
        assert batch is not None, "a place in the log was not moved before its batch was dropped"
        return batch

    @property
    def taken(self) -> int:
        """Messages that the log ever took, and those before its first position."""
        return self.next - 1 - self._passed_over

    def begin_anew(self, position: int) -> None:
        """Forget all batches; the next message gets `position`, whatever came before. Nobody may have a place."""
        self.era += 1
        self.drop(self.end)
        self._passed_over += position - self.next
        self.next = position

    # Places

    @property
    def end_place(self) -> Place:
        """The place after the newest message."""
        return Place(self.end, 0)

    def find(self, position: int) -> Place:
        """Where the message at `position` begins, which must not have been dropped; the end of the log for `next`."""
        if position >= self.next:
            return self.end_place
        at = bisect_right(self._batches, position, self._dead, key=_first) - 1
        number = self._gone + at
        index = position - self.batch(number).first
        return Place(number, self._ends(number)[index - 1] if index else 0)

    def recent(self, messages: int, size: int) -> Place:
        """Where the newest `messages` messages begin.

        There are fewer if more would need a look into a batch that has over `size` bytes of newer batches after it.
        """
        at = bisect_left(self._batches, self.size - size, self._dead, key=_end_byte)
        if at >= len(self._batches):
            return self.end_place
        return self.find(max(self.batch(self._gone + at).first, self.next - messages))

    def since(self, time: float) -> int:
        """Position of the oldest message kept that was appended at `time` or later; `next` if there is none.

        `time`: in seconds of the appender's clock.
        """
        at = bisect_left(self._batches, time, self._dead, key=_time)
        return self.batch(self._gone + at).first if at < len(self._batches) else self.next

    def following(self, place: Place) -> int:
        """Position of the first message that begins at `place` or after it."""
        number, offset = place
        if number >= self.end:
            return self.next
        first = self.batch(number).first
        return first + bisect_left(self._ends(number), offset) + 1 if offset else first

    def position(self, place: Place) -> int:
        """Position of the first message that ends after `place`."""
        number, offset = place
        if number >= self.end:
            return self.next
        first = self.batch(number).first
        return first + bisect_right(self._ends(number), offset) if offset else first

    def byte(self, place: Place) -> int:
        """Bytes that the log ever took before `place`."""
        return self.size if place.batch >= self.end else self.batch(place.batch).offset + place.offset

    def time(self, place: Place) -> float:
        """When the batch of `place`, which must not be the end, was appended, in seconds of the appender's clock."""
        return self.batch(place.batch).time

    def advance(self, place: Place, size: int) -> Place:
        """The place `size` bytes after `place`."""
        number, offset = place.batch, place.offset + size
        while offset and offset >= (length := len(self.batch(number).data)):
            offset -= length
            number += 1
        return Place(number, offset)

    def rest(self, place: Place) -> tuple[bytes, Place]:
        """The rest of the message that `place` is inside, and where it ends; no bytes if it is between two."""
        number, offset = place
        if not offset:
            return b"", place
        ends = self._ends(number)
        stop = ends[bisect_right(ends, offset - 1)]
        data = self.batch(number).data
        return bytes(data[offset:stop]), Place(number, stop) if stop < len(data) else Place(number + 1, 0)

    # Reading

    def read(self, place: Place, size: int, pieces: int) -> tuple[list[Buffer], int]:
        """At most `pieces` buffers and `size` bytes of what follows `place`, and how many bytes they are."""
        number, offset = place
        found: list[Buffer] = []
        total = 0
        stop = min(self.end, number + pieces)
        while number < stop and total < size:
            data = self.batch(number).data
            if offset or len(data) > size - total:
                data = memoryview(data)[offset : offset + size - total]
                offset = 0
            found.append(data)
            total += len(data)
            number += 1
        return found, total

    def messages(self, place: Place, count: int, size: int) -> Iterator[Messages]:
        """All messages from `place` on, which must be between two: up to `count` and up to `size` bytes at a time.

        A message larger than `size` comes alone. What is appended while iterating comes too.
        """
        number, offset = place
        while number < self.end:
            batch, ends = self.batch(number), self._ends(number)
            begin = bisect_right(ends, offset)
            while begin < len(ends):
                stop = min(begin + count, len(ends))
                while stop > begin + 1 and ends[stop - 1] - offset > size:
                    stop -= (stop - begin) // 2
                bounds = [offset, *ends[begin:stop]]
                offset = bounds[-1]
                end = Place(number, offset) if stop < len(ends) else Place(number + 1, 0)
                yield Messages(batch.data, bounds, batch.first + begin, end)
                begin = stop
            number, offset = number + 1, 0

    def _ends(self, number: int) -> array[int]:
        """Where each message in a batch ends. The last answer is cached: many subscribers stop in the same batch."""
        if self._measured[0] != number:
            batch = self.batch(number)
            self._measured = number, batch.ends or self._find_ends(batch.data)
        return self._measured[1]


def _first(batch: Batch | None) -> int:
    assert batch is not None
    return batch.first


def _time(batch: Batch | None) -> float:
    assert batch is not None
    return batch.time


def _charged(batch: Batch | None) -> int:
    assert batch is not None
    return batch.charged


def _end_byte(batch: Batch | None) -> int:
    assert batch is not None
    return batch.offset + len(batch.data)
