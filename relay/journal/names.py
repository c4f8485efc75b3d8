"""The names that a journal knows: how many messages of each it has, and whether a mirror wrote it."""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.journal import Key

FOLLOWS: Key = ("mirror", "")
"""Stands among the names if a mirror writes the journal, under a subject that no certificate has. Whoever goes on
without the relay that was mirrored must begin a new epoch, because that one may go on, too. Its count is 0 until that
relay is known to have what the journal had before."""


class Names(dict[Key, int]):
    """How many messages were accepted under each name, the longest unseen first."""

    def __init__(self, counts: Iterable[tuple[Key, int]] = (), limit: int = 20_000) -> None:
        """`limit`: names that are kept."""
        super().__init__(counts)
        self.limit = limit

    def note(self, counts: Iterable[tuple[Key, int]]) -> None:
        """Take down counts that were written."""
        for key, count in counts:
            self.pop(key, None)
            self[key] = count
        while len(self) > self.limit:
            del self[next(iter(self))]
