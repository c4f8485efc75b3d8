"""Reads the journal in threads: a block at a time, ahead of need, once for all who are near.

Who reads borrows the chunk that has a message, and gives it back. What is lent or being read takes memory, and that is
limited: who asks when there is no more waits in line until somebody gives something back. What nobody has any more
stays until its memory is needed, because the next may be near.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from relay.core.journal import Chunk, Gone
from relay.core.timing import SWEEP, Every
from relay.journal.disk import Disk
from relay.journal.housekeeping import MICROSECONDS
from relay.journal.segment import BLOCK, Block, read_block
from relay.journal.storage import Storage
from relay.journal.threads import InThread

READS = 2
"""Most blocks that are read at the same time. Others need the threads, too, above all the one that syncs."""
LEAST = 2 * BLOCK
"""Bytes that chunks may take, however little memory there is: one that is sent, and the next."""
LEFT = 16
"""A reader does not begin in the oldest part of a journal that is full: in a sixteenth of its size, which is four
segments. Their messages are about to be deleted, and it would be overrun at once."""

ANEW = "the journal has begun anew"

Done = Callable[[Chunk | Exception], None]


class _Kept:
    """A block that is read, or being read."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.chunk: Chunk | None = None  # None while it is being read
        self.users = 0
        self.waiting: list[Done] = []

    @property
    def idle(self) -> bool:
        return self.chunk is not None and not self.users


class Reader:
    """Reads a storage for any number of readers (see `relay.core.journal.JournalReader`)."""

    def __init__(
        self,
        storage: Storage,
        disk: Disk,
        in_thread: InThread,
        time: Callable[[], int],
        limits: Callable[[], tuple[int, float]],
        *,
        memory: int,
        lend: Callable[[int], None],
    ) -> None:
        """`time`: the time in microseconds since 1970. `limits`: returns the bytes and the seconds that are kept.

        `memory`: bytes that chunks may take, if that is more than `LEAST`. `lend`: told how many they take.
        """
        self.memory = max(memory, LEAST)
        self.reads = 0
        """Blocks read from disk."""
        self.size = 0
        """Bytes that chunks take, those included that are being read."""
        self._storage = storage
        self._disk = disk
        self._in_thread = in_thread
        self._lend = lend
        self._time = time
        self._limits = limits
        self._line: deque[tuple[int, Done]] = deque()
        self._kept: dict[tuple[int, int], _Kept] = {}  # by first and next position, the longest unused first
        self._used: set[tuple[int, int]] = set()  # since the last sweep
        self._reading = 0
        self._waits = False  # whether the journal is about to begin anew
        self._begins: int | None = None  # where it will then begin, if it keeps nothing

    # What there is

    @property
    def oldest(self) -> int:
        return self._storage.oldest if self._begins is None else self._begins

    @property
    def begin(self) -> int:
        if self._begins is not None:
            return self._begins
        size, age = self._limits()
        latest = self._time() - int(age * MICROSECONDS) * (LEFT - 1) // LEFT if age else 0
        return self._storage.oldest_within(size - size // LEFT, latest)

    @property
    def limit(self) -> int:
        return self._limits()[0]

    def behind(self, position: int) -> int:
        return self._storage.behind(position)

    def age(self, position: int) -> float:
        segment = self._storage.segment(position)
        return max(0, self._time() - segment.index[segment.index.find(position)].time) / MICROSECONDS

    # Reading

    def borrow(self, position: int, done: Done) -> None:
        self._line.append((position, done))
        self._serve()

    def give_back(self, chunk: Chunk) -> None:
        key = chunk.first, chunk.next
        kept = self._kept.get(key)
        if kept is None or kept.chunk is not chunk:  # it was forgotten when the journal began anew
            return
        self._kept[key] = self._kept.pop(key)  # the last to go
        kept.users -= 1
        self._serve()

    def begin_anew(self, position: int | None) -> None:
        """Forget all that was read, and read nothing until `begun_anew`: the journal is about to begin anew.

        `position`: where it will begin; None: where it begins now. Who asks for what it will not have gets `Gone`.
        """
        self._waits, self._begins = True, position
        self._kept.clear()
        self._change(-self.size)
        line, self._line = self._line, deque()
        for _, done in line:
            done(Gone(ANEW))

    def begun_anew(self) -> None:
        """The journal has begun anew: read what was asked for meanwhile."""
        self._waits, self._begins = False, None
        self._serve()

    def find(self, time: float, done: Callable[[int | Exception], None]) -> None:
        when = int(time * MICROSECONDS)
        found = self._storage.before(when)
        if found is None:
            done(self._storage.oldest)
            return
        segment, number = found
        self.borrow(segment.block(number).first, partial(self._found, when, done))

    def _found(self, when: int, done: Callable[[int | Exception], None], result: Chunk | Exception) -> None:
        """Call `done` with the position behind the last batch of a chunk that is from before `when`."""
        if isinstance(result, Exception):
            done(self._storage.oldest if isinstance(result, Gone) else result)
            return
        firsts = [first for _, first in result.marks] + [result.next]
        number = max(number for number, (time, _) in enumerate(result.marks) if time < when)
        self.give_back(result)
        done(firsts[number + 1])

    def _serve(self) -> None:
        """Give those in line what they ask for, until there is no memory for the next."""
        while self._line:
            position, done = self._line[0]
            if position < self.oldest:
                self._line.popleft()
                done(Gone(f"message {position:,} is older than the journal"))
                continue
            if self._waits:
                return
            block = self._block(position)
            kept = self._keep(block)
            if kept is None:
                return
            self._line.popleft()
            if kept.chunk is None:
                kept.waiting.append(done)
            else:
                kept.users += 1
                done(kept.chunk)
            self._read_ahead(block)

    def _read_ahead(self, block: Block) -> None:
        """Read what follows `block`, unless those who have chunks already need most of the memory."""
        used = sum([kept.size for kept in self._kept.values() if not kept.idle])
        if block.next < self._storage.next and used * 2 <= self.memory:
            self._keep(self._block(block.next))

    def _block(self, position: int) -> Block:
        segment = self._storage.segment(position)
        return segment.block(segment.index.find(position))

    def _keep(self, block: Block) -> _Kept | None:
        """What is kept of a block; it begins to be read if nothing is. None if there is no room for it."""
        key = block.first, block.next
        self._used.add(key)
        kept = self._kept.get(key)
        size = block.stop - block.start
        if kept is None and self._reading < READS and self._make_room(size):
            kept = self._kept[key] = _Kept(size)
            self.reads += 1
            self._reading += 1
            self._change(size)
            self._in_thread(partial(read_block, self._disk, block), partial(self._read, key, kept))
        return kept

    def _read(self, key: tuple[int, int], kept: _Kept, result: Chunk | Exception) -> None:
        """A block was read, or could not be."""
        self._reading -= 1
        if self._kept.get(key) is not kept:
            result = Gone(ANEW)
        elif isinstance(result, Chunk):
            kept.chunk = result
            kept.users += len(kept.waiting)
        else:
            self._forget(key)
            if isinstance(result, FileNotFoundError) and key[0] < self._storage.oldest:
                result = Gone("the messages were deleted before they were read")
        waiting, kept.waiting = kept.waiting, []
        for done in waiting:
            done(result)
        self._serve()

    def _make_room(self, size: int) -> bool:
        """Forget what nobody has until there is room for `size` bytes. One chunk may be larger than the memory."""
        for key in [key for key, kept in self._kept.items() if kept.idle]:
            if self.size + size <= self.memory:
                break
            self._forget(key)
        return self.size + size <= self.memory or not self.size

    def _forget(self, key: tuple[int, int]) -> None:
        self._change(-self._kept.pop(key).size)

    def _change(self, size: int) -> None:
        self.size += size
        self._lend(self.size)

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Forget chunks that nobody has, and that nobody asked for since the last sweep. `passed`: is not used."""
        for key in [key for key, kept in self._kept.items() if kept.idle and key not in self._used]:
            self._forget(key)
        self._used.clear()
