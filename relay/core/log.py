"""The log of recent messages, in memory: what arrived, in the one order in which every subscriber sees it.

The log is a row of batches. A *batch* is whole frames as they go out again; it is made once, and every subscriber is
sent the same bytes. A *position* is a message's number: the first message of a run is 1. Inside the program a place
in the log is cheaper to keep as the number of a batch and an offset into its bytes, because that needs no look at
the messages; `position` turns one into the other when somebody asks.

Batches are numbered from 0 and dropped from the old end only, and only by `drop`, so that whoever owns the places
in it can move them out of the way before.

A batch is charged all the memory that it costs, not only its payload: with one small message a batch, Python's
objects outweigh the bytes, and a limit that counted the bytes would be passed four times over.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from relay.wire.framing import Buffer

OVERHEAD = 512
"""Bytes charged for a batch besides its data: itself, its numbers, its places in lists, a view, and the allocator's
rounding. Measured on CPython 3.11 with 64-byte messages: 400 for bytes, 500 for a view."""


@dataclass(slots=True)
class Batch:
    """Whole frames of one turn of the reactor. Nothing of it changes once it is in the log."""

    data: Buffer
    messages: int
    first: int
    """Position of its first message."""
    offset: int
    """Bytes that the log had taken before it, in all."""
    charged: int
    """Memory that the log had been charged before it, in all, in bytes."""
    time: float
    """When it was appended, in seconds of the clock of whoever appended it."""
    ends: array[int] | None
    """Where its messages end, if `data` cannot tell."""


class Log:
    """The newest messages, up to a limit of memory."""

    def __init__(self, limit: int, ends: Callable[[Buffer], array[int]]) -> None:
        """`limit` is in bytes; `ends` finds where the messages in whole frames end (see `Framing.ends`)."""
        self.limit = limit
        self.next = 1
        """The position that the next message gets."""
        self.size = 0
        """Bytes that the log has taken, in all."""
        self.charged = 0
        """Memory that the log has been charged, in all, in bytes."""
        self._find_ends = ends
        self._batches: list[Batch | None] = []
        self._gone = 0  # batches that are no longer in the list
        self._dead = 0  # batches at the front of the list that are dropped: None, until there are many
        self._measured: tuple[int, array[int]] = (-1, array("Q"))  # the ends in the batch last asked for

    @property
    def oldest(self) -> int:
        """Number of the oldest batch that is kept; `end` if there is none."""
        return self._gone + self._dead

    @property
    def end(self) -> int:
        """The number that the next batch gets."""
        return self._gone + len(self._batches)

    @property
    def first(self) -> int:
        """Position of the oldest message that is kept; `next` if there is none."""
        return self.batch(self.oldest).first if self.oldest < self.end else self.next

    @property
    def held(self) -> int:
        """Memory that the batches kept cost, in bytes."""
        return self.behind(self.oldest)

    def append(self, data: Buffer, messages: int, held: int, time: float, ends: array[int] | None = None) -> None:
        """Take whole frames as the newest batch. `held` is the memory that `data` keeps alive, in bytes."""
        self._batches.append(Batch(data, messages, self.next, self.size, self.charged, time, ends))
        self.next += messages
        self.size += len(data)
        self.charged += held + OVERHEAD + (ends.itemsize * len(ends) if ends else 0)

    def within(self, memory: int) -> int:
        """Number of the first batch from which on the log holds at most `memory` bytes; the newest, if none does."""
        at = bisect_left(self._batches, self.charged - memory, self._dead, key=_charged)
        return min(self._gone + at, max(self.oldest, self.end - 1))

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
        """The batch of that number, which must be kept still."""
        batch = self._batches[number - self._gone]
        assert batch is not None, "a place in the log was not moved before its batch was dropped"
        return batch

    def read(self, number: int, offset: int, most: int, pieces: int) -> tuple[list[Buffer], int]:
        """What follows a place in the log, at most `pieces` buffers and `most` bytes of it; and how many bytes."""
        found: list[Buffer] = []
        size = 0
        stop = min(self.end, number + pieces)
        while number < stop and size < most:
            data = self.batch(number).data
            if offset or len(data) > most - size:
                data = memoryview(data)[offset : offset + most - size]
                offset = 0
            found.append(data)
            size += len(data)
            number += 1
        return found, size

    def behind(self, number: int) -> int:
        """Memory charged for the batch of that number and all after it, in bytes."""
        return self.charged - (self.batch(number).charged if number < self.end else self.charged)

    def find(self, position: int) -> tuple[int, int]:
        """The place of a message: its batch's number and its offset there. The end of the log for `next`."""
        if position >= self.next:
            return self.end, 0
        at = bisect_right(self._batches, position, self._dead, key=_first) - 1
        number = self._gone + at
        index = position - self.batch(number).first
        return number, self.ends(number)[index - 1] if index else 0

    def position(self, number: int, offset: int) -> int:
        """Position of the first message that does not end at or before that place."""
        if number >= self.end:
            return self.next
        first = self.batch(number).first
        return first + bisect_right(self.ends(number), offset) if offset else first

    def message_end(self, number: int, offset: int) -> int:
        """Where the message ends that `offset` is inside of; `offset` itself between two messages."""
        if not offset:
            return 0
        ends = self.ends(number)
        at = bisect_right(ends, offset - 1)
        return ends[at]

    def ends(self, number: int) -> array[int]:
        """Where each message in a batch ends. The last answer is kept: many subscribers stop at the same batch."""
        if self._measured[0] != number:
            batch = self.batch(number)
            self._measured = number, batch.ends or self._find_ends(batch.data)
        return self._measured[1]


def _first(batch: Batch | None) -> int:
    assert batch is not None
    return batch.first


def _charged(batch: Batch | None) -> int:
    assert batch is not None
    return batch.charged
