"""Reads the journal in threads: a block at a time, ahead of need, once for all who are near.

Who reads asks for the message at a position and gets the chunk that has it. Chunks are kept while somebody uses them,
within a limit that is borrowed from the memory for messages. Two who ask for the same chunk while it is read wait for
the same read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from relay.journal.disk import Disk
from relay.journal.segment import BLOCK, Block, Chunk, read_block
from relay.journal.storage import Storage
from relay.journal.threads import InThread

Done = Callable[[Chunk | Exception], None]


class Gone(Exception):  # noqa: N818  # named for what it means to the reader
    """The message is older than the journal."""


class Reader:
    """Reads a storage for any number of readers."""

    def __init__(
        self, storage: Storage, disk: Disk, in_thread: InThread, *, memory: int, hold: Callable[[int], None]
    ) -> None:
        """`memory`: bytes that chunks may take, besides those that are being read. `hold`: told how many they take."""
        self.memory = memory
        self.reads = 0
        """Blocks read from disk."""
        self.size = 0
        """Bytes that chunks take, those included that are being read."""
        self._storage = storage
        self._disk = disk
        self._in_thread = in_thread
        self._hold = hold
        self._chunks: dict[Block, Chunk] = {}  # the longest unused first
        self._waiting: dict[Block, list[Done]] = {}
        self._used: set[Block] = set()  # since the last sweep

    def read(self, position: int, done: Done) -> None:
        """Call `done` with the chunk that has the message at `position`, which is before the journal's `next`.

        It is called at once if the chunk is there; with Gone, Damaged or OSError if it cannot be had. Then the next
        chunk is read too.
        """
        storage = self._storage
        if position < storage.oldest:
            done(Gone(f"message {position:,} is older than the journal, which begins with {storage.oldest:,}"))
            return
        block = self._block(position)
        self._used.add(block)
        chunk = self._chunks.pop(block, None)
        if chunk is not None:
            self._chunks[block] = chunk
        else:
            self._start(block).append(done)
        if block.next < storage.next and self.size <= self.memory - BLOCK:
            following = self._block(block.next)
            self._used.add(following)
            if following not in self._chunks:
                self._start(following)
        if chunk is not None:
            done(chunk)

    def find(self, time: int, done: Callable[[int | Exception], None]) -> None:
        """Call `done` with the position of the first message behind all that are from before `time`.

        `time`: in microseconds since 1970. If the clock was set back, that is too far back rather than not enough.
        """
        found = self._storage.before(time)
        if found is None:
            done(self._storage.oldest)
            return
        segment, number = found
        self.read(segment.block(number).first, partial(_find, time, done))

    def sweep(self) -> None:
        """Forget chunks that nobody asked for since the last sweep."""
        for block in [block for block in self._chunks if block not in self._used]:
            self._forget(block)
        self._used.clear()
        self._hold(self.size)

    def _block(self, position: int) -> Block:
        segment = self._storage.segment(position)
        return segment.block(segment.index.find(position))

    def _start(self, block: Block) -> list[Done]:
        """Read a block unless that is under way. Returns the list of those who wait for it."""
        waiting = self._waiting.get(block)
        if waiting is None:
            waiting = self._waiting[block] = []
            self.reads += 1
            self.size += block.stop - block.start
            self._hold(self.size)
            self._in_thread(partial(read_block, self._disk, block), partial(self._done, block))
        return waiting

    def _done(self, block: Block, result: Chunk | Exception) -> None:
        waiting = self._waiting.pop(block)
        if isinstance(result, Chunk):
            self._chunks[block] = result
            self._make_room(block)
        else:
            self.size -= block.stop - block.start
            if isinstance(result, FileNotFoundError) and block.first < self._storage.oldest:
                result = Gone("the messages were deleted while they were read")
        self._hold(self.size)
        for done in waiting:
            done(result)

    def _make_room(self, newest: Block) -> None:
        """Forget chunks beyond the limit, the longest unused first, but never the newest."""
        while self.size > self.memory and (block := next(iter(self._chunks))) != newest:
            self._forget(block)

    def _forget(self, block: Block) -> None:
        del self._chunks[block]
        self.size -= block.stop - block.start


def _find(time: int, done: Callable[[int | Exception], None], result: Chunk | Exception) -> None:
    """Call `done` with the position behind the last batch of a chunk that is from before `time`."""
    if isinstance(result, Exception):
        done(result)
        return
    firsts = [first for _, first in result.marks] + [result.next]
    number = max(number for number, (when, _) in enumerate(result.marks) if when < time)
    done(firsts[number + 1])
