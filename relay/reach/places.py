"""Where the relay stands in what it fetches from other relays: the position of the last message of each.

A place is kept as publishers' names are, under names that no publisher can have. So a journal has it in the same record
as the messages themselves, and after a crash a relay goes on exactly behind what it still has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.config.values import Remote
from relay.core.journal import Contributor, Key
from relay.peers.names import Names
from relay.wire.framing import Frames
from relay.wire.position import Position

Contribute = Callable[[Key, Contributor], None]
"""Notes that messages are about to be published under a name."""


class Traveller(Protocol):
    """Who has a place: a pull."""

    role: str
    remote: Remote

    def replaced(self) -> None:
        """Note that another relay has the place by now, so that nothing more that is published here counts."""
        ...


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

    def resume(self, traveller: Traveller, then: Callable[[Place | None], None]) -> None:
        """Call `then` with the place where `traveller` stood the last time, None if it never did; here at once."""
        found = self.find(traveller.role, traveller.remote)
        then(None if found is None else self.stand(traveller.role, traveller.remote, found))

    def advance(self, traveller: Traveller, place: Place | None, frames: Sequence[Frames], last: Position) -> Place:
        """Note that `frames` are about to be published, the last message of which is `last`. Returns the place then.

        `place`: where `traveller` stood until now; None if nowhere.
        """
        if place is None or place.epoch != last.epoch:
            if place is not None:
                self.leave(place)
            place = self.stand(traveller.role, traveller.remote, last)
        self.move(place, last.number)
        return place

    def leave(self, place: Place) -> None:
        """Stand there no more. The place is remembered as the names of publishers that are not connected are."""
        self._names.release(place.key, place)
