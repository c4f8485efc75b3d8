"""Lends the relay's journal to its workers, which ask for chunks (`relay.workers.distant_journal`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from relay.core.epochs import resume
from relay.core.journal import Chunk, Gone, Journal, JournalReader
from relay.wire.position import Position
from relay.workers.messages import Borrow, Find, Found, Kept, Lent, Message

Tell = Callable[[Message], None]
"""Tells a worker something."""


class Lending:
    """Answers what workers ask about the journal."""

    def __init__(self, journal: Journal, reader: JournalReader, damaged: Callable[[Exception], None]) -> None:
        """`damaged`: told what cannot be read, and why."""
        self._journal = journal
        self._reader = reader
        self._damaged = damaged

    def _has(self, borrow: Borrow) -> bool:
        """Whether the journal's message at that position is the one that a worker means."""
        meant = Position(borrow.epoch, borrow.position)
        return resume(self._journal.epochs, meant, self._journal.next) == (meant.number + 1, 0)

    def kept(self) -> Kept:
        """What the journal has now."""
        figures, reader = self._journal.figures(), self._reader
        return Kept(reader.oldest, reader.begin, reader.limit, figures.size, figures.oldest_time)

    def borrow(self, tell: Tell, borrow: Borrow) -> None:
        """Tell a worker a chunk. It is a copy, so that the memory for it is free again at once."""
        arrived: Callable[[Chunk | Exception], None] = partial(self._arrived, tell, borrow)
        if self._has(borrow):
            self._reader.borrow(borrow.position, arrived)
        else:
            arrived(Gone("the journal has begun anew"))

    def _arrived(self, tell: Tell, borrow: Borrow, result: Chunk | Exception) -> None:
        if isinstance(result, Chunk):
            tell(Lent(borrow.position, borrow.epoch, result))
            self._reader.give_back(result)
        else:
            if not isinstance(result, Gone):
                self._damaged(result)
            tell(Lent(borrow.position, borrow.epoch, None, isinstance(result, Gone), str(result)))

    def find(self, tell: Tell, find: Find) -> None:
        """Tell a worker a position."""
        done: Callable[[int | Exception], None] = partial(self._found, tell, find.number)
        self._reader.find(find.time, done)

    def _found(self, tell: Tell, number: int, result: int | Exception) -> None:
        if isinstance(result, Exception):
            self._damaged(result)
            tell(Found(number, None, str(result)))
        else:
            tell(Found(number, result))
