"""The places of pulls below a backbone: they are kept by the fold, so that any relay can go on where another stopped.

A pull publishes under a name, as a publisher does, and so the fold counts its messages, each once. The name says behind
which message of the other relay the count began: where the pull stands is that number and the count together. After a
gap, or in another epoch, the pull takes another name. Who goes on claims the name first. From then on nothing counts
that an older claim still has on its way, so the count that comes with the claim is final.

Only a relay with a backbone imports this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.journal import Key
from relay.peers.names import Names
from relay.reach.places import Place, Places, Traveller
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames
from relay.wire.position import Position


class SharedPlace(Place):
    """A place that the fold keeps."""

    def __init__(
        self, traveller: Traveller, began: Position, then: Callable[[SharedPlace], None] | None = None
    ) -> None:
        """`began`: the message behind which the count began. `then`: called once the count is known."""
        super().__init__((traveller.role, f"{began.epoch} {began.number} {traveller.remote}"), began)
        self.sent = 0
        """Messages that were published since the name was claimed."""
        self._traveller = traveller
        self._then = then

    def admit(self, known: bool, accepted: int) -> None:
        """The name was claimed: so many messages had been accepted under it."""
        if self._then is not None:
            self.accepted += accepted
            self._then(self)

    def acknowledge(self, accepted: int) -> None:
        """Nothing: what is published is proposed until it is accepted."""

    def leave(self, reason: CloseReason) -> None:
        """Another relay has claimed the name."""
        self._traveller.replaced()


class Claiming(Protocol):
    """What claims names and counts under them: `relay.backbone.claims`."""

    def begin(self, publisher: SharedPlace) -> None: ...
    def publishing(self, publisher: SharedPlace, frames: Sequence[Frames]) -> None: ...
    def forget(self, publisher: SharedPlace) -> None: ...


class SharedPlaces(Places):
    """The places of one relay in all others. Those of pushes are kept for as long as the relay runs."""

    def __init__(self, names: Names, claims: Claiming, known: Callable[[str], Sequence[tuple[str, int]]]) -> None:
        """`known`: returns the names in the fold that belong to a subject, with their counts, the newest last."""
        super().__init__(names, _note_nothing)
        self._claims = claims
        self._known = known

    def resume(self, traveller: Traveller, then: Callable[[Place | None], None]) -> None:
        """As `Places.resume`, but it takes a round trip to be sure."""
        found = self._beginnings(traveller)
        if found:
            self._claim(traveller, found[-1], found, then)
        else:
            then(None)

    def _beginnings(self, traveller: Traveller) -> list[Position]:
        """Behind which messages counts of `traveller` began, the newest last."""
        names = [name.split(" ", 2) for name, _ in self._known(traveller.role)]
        return [Position(epoch, int(number)) for epoch, number, text in names if text == str(traveller.remote)]

    def _claim(
        self, traveller: Traveller, began: Position, seen: Sequence[Position], then: Callable[[Place | None], None]
    ) -> None:
        """Claim the name of a count that began behind `began`, unless one that was not `seen` has come meanwhile."""

        def admitted(place: SharedPlace) -> None:
            now = self._beginnings(traveller)
            later = [one for one in now if one not in seen]
            if later:
                self.leave(place)
                self._claim(traveller, later[-1], now, then)
            else:
                then(place)

        self._claims.begin(SharedPlace(traveller, began, admitted))

    def advance(self, traveller: Traveller, place: Place | None, frames: Sequence[Frames], last: Position) -> Place:
        messages = sum([one.messages for one in frames])
        before = Position(last.epoch, last.number - messages)
        if not isinstance(place, SharedPlace) or Position(place.epoch, place.accepted) != before:
            if place is not None:
                self.leave(place)
            place = SharedPlace(traveller, before)
            self._claims.begin(place)
        place.sent += messages
        place.accepted += messages
        self._claims.publishing(place, frames)
        return place

    def move(self, place: Place, number: int) -> None:
        if not isinstance(place, SharedPlace):
            super().move(place, number)

    def leave(self, place: Place) -> None:
        if isinstance(place, SharedPlace):
            self._claims.forget(place)
        else:
            super().leave(place)


def _note_nothing(key: Key, contributor: object) -> None:
    """There is no journal."""
