"""The relay's journal as a worker reads it: it asks the relay for chunks, which come over the channel.

So a subscriber of a worker that is older than the worker's memory goes on from the disk, as it would in the relay
itself. Only the relay reads files. Chunks that a worker holds are shared by those who are near, and limited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

from relay.core.journal import Chunk, Gone
from relay.workers.messages import Borrow, Find, Found, Kept, Lent, Message

Done = Callable[[Chunk | Exception], None]
CHUNK = 1024 * 1024
"""About how many bytes a chunk has."""


class DistantReader:
    """Stands in for the reader of a journal (`relay.core.journal.JournalReader`)."""

    def __init__(
        self,
        tell: Callable[[Message], None],
        now: Callable[[], float],
        following: Callable[[], int],
        epoch: Callable[[], str],
        memory: int,
        lend: Callable[[int], None],
    ) -> None:
        """`tell`: tells the relay. `now`: the time in seconds since 1970. `following`: the next message's position.
        `epoch`: the epoch in force.

        `memory`: bytes that chunks may take, at least two of them. `lend`: told how many they take.
        """
        self.kept = Kept(oldest=1, begin=1, limit=0, size=0, oldest_time=now())
        """What the relay told last."""
        self._tell = tell
        self._now = now
        self._following = following
        self._epoch = epoch
        self._memory = max(memory, 2 * CHUNK)
        self._lend = lend
        self._size = 0
        self._line: deque[tuple[int, Done]] = deque()
        self._asked: dict[tuple[int, str], list[Done]] = {}  # by position and epoch
        self._chunks: list[Chunk] = []
        self._users: dict[int, int] = {}  # of a chunk, by its first position
        self._finding: dict[int, Callable[[int | Exception], None]] = {}
        self._numbers = count()

    # What there is

    @property
    def oldest(self) -> int:
        return self.kept.oldest

    @property
    def begin(self) -> int:
        return self.kept.begin

    @property
    def limit(self) -> int:
        return self.kept.limit

    def behind(self, position: int) -> int:
        """As if all messages were of the same length."""
        return int(self.kept.size * self._part(position))

    def age(self, position: int) -> float:
        """As if messages had come at a steady rate."""
        return max(0.0, self._now() - self.kept.oldest_time) * self._part(position)

    def _part(self, position: int) -> float:
        """Which part of the journal comes from `position` on."""
        every = max(1, self._following() - self.kept.oldest)
        return min(1.0, max(0.0, (self._following() - position) / every))

    # Reading

    def borrow(self, position: int, done: Done) -> None:
        chunk = next((one for one in self._chunks if one.first <= position < one.next), None)
        if chunk is not None:
            self._users[chunk.first] += 1
            done(chunk)
        elif (position, self._epoch()) in self._asked:
            self._asked[position, self._epoch()].append(done)
        else:
            self._line.append((position, done))
            self._serve()

    def _serve(self) -> None:
        """Ask for what is wanted next, as far as there is memory."""
        while self._line and (self._size + (len(self._asked) + 1) * CHUNK <= self._memory or not self._busy):
            position, done = self._line.popleft()
            key = position, self._epoch()
            if key in self._asked:
                self._asked[key].append(done)
                continue
            self._asked[key] = [done]
            self._tell(Borrow(*key))

    @property
    def _busy(self) -> bool:
        return bool(self._asked or self._chunks)

    def lent(self, lent: Lent) -> None:
        """What was asked for is here, or cannot be had."""
        waiting = self._asked.pop((lent.position, lent.epoch))
        result = lent.chunk or (Gone(lent.error) if lent.gone else OSError(lent.error))
        if isinstance(result, Chunk):
            known = next((one for one in self._chunks if one.first == result.first and one.next == result.next), None)
            if known is None:
                self._chunks.append(result)
                self._users[result.first] = 0
                self._change(len(result.data))
            result = known or result
            self._users[result.first] += len(waiting)
        for done in waiting:
            done(result)
        self._serve()

    def give_back(self, chunk: Chunk) -> None:
        self._users[chunk.first] -= 1
        if not self._users[chunk.first]:
            del self._users[chunk.first]
            self._chunks.remove(chunk)
            self._change(-len(chunk.data))
            self._serve()

    def _change(self, size: int) -> None:
        self._size += size
        self._lend(self._size)

    def find(self, time: float, done: Callable[[int | Exception], None]) -> None:
        number = next(self._numbers)
        self._finding[number] = done
        self._tell(Find(number, time))

    def found(self, found: Found) -> None:
        """The position that was looked for is known, or cannot be."""
        self._finding.pop(found.number)(found.position if found.position is not None else OSError(found.error))
