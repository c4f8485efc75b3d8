"""Where the relay stands in what it fetches from other relays: the position of the last message of each.

A place is kept as publishers' names are, under names that no publisher can have. So a journal has it in the same record
as the messages themselves, and after a crash a relay goes on exactly behind what it still has.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.config.values import Remote
from relay.core.journal import Contributor, Key
from relay.peers.names import Names
from relay.wire.position import Position

Contribute = Callable[[Key, Contributor], None]
"""Notes that messages are about to be published under a name."""


class Place:
    """A place in one epoch of another relay."""

    def __init__(self, key: Key, position: Position) -> None:
        self.key = key
        self.epoch = position.epoch
        self.accepted = position.number
        """The number of the last message that was taken over."""


class Places:
    """The places of one relay in all others."""

    def __init__(self, names: Names, contribute: Contribute) -> None:
        """`names`: keeps the places. `contribute`: has the journal, if there is one, write one."""
        self._names = names
        self._contribute = contribute

    def find(self, kind: str, remote: Remote) -> Position | None:
        """Where the relay stood the last time; None if it never did. `kind`: what it does there, such as `pull`."""
        known = ((name.partition(" "), number) for name, number in self._names.of(kind))
        found = [Position(epoch, number) for (epoch, _, text), number in known if text == str(remote)]
        return found[-1] if found else None

    def stand(self, kind: str, remote: Remote, position: Position) -> Place:
        """Stand at `position`."""
        place = Place((kind, f"{position.epoch} {remote}"), position)
        self._names.take(place.key, place)
        return place

    def move(self, place: Place, number: int) -> None:
        """Go on to the message with that number: all up to it is about to be published."""
        place.accepted = number
        self._contribute(place.key, place)

    def leave(self, place: Place) -> None:
        """Stand there no more. The place is remembered as the names of publishers that are not connected are."""
        self._names.release(place.key, place)
