"""What the relay does with one other relay or server: a pull, a push or a mirror, by one connection after the other."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from twisted.internet.protocol import Protocol as TwistedProtocol

from relay.config.values import Remote
from relay.core.cursor import NOTHING, Tally
from relay.observe.stats import ReachFigures
from relay.reach.dialler import Dialler
from relay.reach.link import Surroundings
from relay.reach.places import Place
from relay.wire.close_reason import CloseReason


class Link(Protocol):
    """A connection of a task."""

    works: bool
    """Whether the other side is what was hoped for."""

    @property
    def tally(self) -> Tally:
        """What came, or was sent."""
        ...

    def abort(self, reason: CloseReason, why: str = "") -> None:
        """Cut it."""
        ...


L = TypeVar("L", bound=Link)


class Task(Generic[L]):
    """What pulls, pushes and mirrors have in common."""

    role = ""
    """What it does there, as `ReachFigures` has it."""

    def __init__(self, remote: Remote, surroundings: Surroundings) -> None:
        self.remote = remote
        self.surroundings = surroundings
        self.connections = 0
        """Connections that were made."""
        self.lost = 0
        """Messages that were gone before they could come, or be sent."""
        self.link: L | None = None
        """The connection that there is now."""
        self._place: Place | None = None  # what is kept of where it stands there
        self._before = NOTHING  # what went over the connections that have ended
        self.dialler = Dialler(
            f"{self.role} {remote}", lambda: surroundings.endpoint(remote), self._make, surroundings.call_later
        )

    def _make(self) -> TwistedProtocol:
        """A new connection, which is `link` from now on."""
        raise NotImplementedError

    def start(self) -> None:
        """Connect, and go on doing so."""
        self.dialler.start()

    def stop(self) -> None:
        """Connect no more. A connection that is there goes on: end it with `remove`, or with the drain."""
        self.dialler.stop()

    def remove(self) -> None:
        """End, because it is not wanted any more."""
        self.stop()
        if self.link is not None:
            self.link.abort(CloseReason.REMOVED)
        self._leave()

    def _leave(self) -> None:
        """Stand there no more."""
        if self._place is not None:
            self.surroundings.places.leave(self._place)
            self._place = None

    def sweep(self) -> None:
        """Have the place written again, as names that nobody uses are forgotten in the end; called every second."""
        if self._place is not None:
            self.surroundings.places.move(self._place, self._place.accepted)

    def ended(self, fault: Exception | None) -> None:
        """The connection is gone, for `fault` if that is known."""
        assert self.link is not None
        self._before += self.link.tally
        self.link = None
        self.dialler.ended(fault)

    @property
    def waiting(self) -> int:
        """Messages that are not known to be there yet."""
        return 0

    @property
    def trouble(self) -> str:
        """Why nobody should connect to this relay now, in words for people; empty if they may."""
        return ""

    @property
    def behind(self) -> tuple[int, float] | None:
        """As in `ReachFigures`."""
        return None

    def figures(self) -> ReachFigures:
        """How it is."""
        link = self.link
        exchanged = self._before + (NOTHING if link is None else link.tally)
        up = link is not None and link.works
        return ReachFigures(
            role=self.role,
            remote=str(self.remote),
            connected=up,
            connections=self.connections,
            exchanged=exchanged,
            lost=self.lost,
            waiting=self.waiting,
            behind=self.behind,
            why="" if up else self.dialler.trouble,
        )
