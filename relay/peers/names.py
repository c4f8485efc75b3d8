"""The names of publishers, and how many messages were accepted under each.

A publisher that gives a name is counted over all its connections, so that it can go on where it stopped. With client
certificates a name belongs to the certificate's subject: the same name of another subject is another name.

Names of publishers that are not connected are remembered up to a limit. The one longest unseen is forgotten first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from relay.config.settings import MAX_NAMES
from relay.core.journal import Key


class Holder(Protocol):
    """A connection that has a name now."""

    @property
    def accepted(self) -> int:
        """Messages accepted under the name so far."""
        ...


class Name:
    """One name."""

    __slots__ = ("count", "holder")

    def __init__(self, count: int = 0) -> None:
        self.count = count
        """Messages accepted under the name before `holder` had it."""
        self.holder: Holder | None = None
        """The connection that has the name now; None if none has."""


class Names:
    """All names that are known."""

    def __init__(self, limit: int = MAX_NAMES) -> None:
        """`limit`: names that are remembered without a connection."""
        self.limit = limit
        self._held: dict[Key, Name] = {}
        self._free: dict[Key, Name] = {}  # longest unseen first

    def __len__(self) -> int:
        """How many names are known."""
        return len(self._held) + len(self._free)

    def __contains__(self, key: Key) -> bool:
        return key in self._held or key in self._free

    def restore(self, counts: Mapping[Key, int]) -> None:
        """Remember names of publishers that are not connected, the longest unseen first."""
        for key, count in counts.items():
            self._free[key] = Name(count)
        self.change(self.limit)

    def of(self, subject: str) -> list[tuple[str, int]]:
        """The names that belong to `subject`, with their counts: those without a connection first, then the newest."""
        free = [(name, one.count) for (owner, name), one in self._free.items() if owner == subject]
        held = [
            (name, one.holder.accepted) for (owner, name), one in self._held.items() if owner == subject and one.holder
        ]
        return free + held

    def take(self, key: Key, holder: Holder) -> tuple[Name, Holder | None]:
        """Give the name to `holder`. Returns the name, and who had it until now, None if nobody."""
        name = self._held.get(key) or self._free.pop(key, None) or Name()
        before = name.holder
        if before is not None:
            name.count = before.accepted
        name.holder = holder
        self._held[key] = name
        return name, before

    def release(self, key: Key, holder: Holder) -> None:
        """Note that the connection of `holder` is gone. Nothing happens if another has its name by now."""
        name = self._held.get(key)
        if name is not None and name.holder is holder:
            name.count = holder.accepted
            name.holder = None
            self._free[key] = self._held.pop(key)
            self.change(self.limit)

    def change(self, limit: int) -> None:
        """Change the limit, and forget the names that are too many."""
        self.limit = limit
        while len(self._free) > limit:
            del self._free[next(iter(self._free))]
