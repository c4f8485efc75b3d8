"""Where a subscriber begins: behind a position, with the last messages, with those since a time, or from now on.

What is wanted may be gone. Then the subscriber begins with the oldest message that can be had, and is told how many are
lost; or, if it comes from another epoch, that nobody knows how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from relay.core.epochs import resume
from relay.core.history import History
from relay.core.hub import Hub
from relay.core.place import Place
from relay.core.timing import CallLater, Clock
from relay.wire.hello import MAX_NUMBER, SubscriberHello
from relay.wire.position import Epoch

EARLY = 4.0
"""Seconds that a subscriber waits for its welcome, if it comes from a relay of the same order that has got further. Our
clients give a relay 5 to answer: so they are told why they have to come back."""
LOOK = 0.02
"""Seconds between two looks at whether this one has got as far."""


@dataclass(frozen=True, slots=True)
class Start:
    """What one subscriber wants first."""

    wanted: int | None = None
    """Position of the first message wanted; None for the next one that is published."""
    resumes: bool = False
    """Whether it goes on where it stopped, so that it counts what lies between that and its first message."""
    known: bool = True
    """Whether it resumes from a position that is known: one of this epoch, or of an older one that a journal knows."""
    ahead: int = 0
    """Messages that it was given and that a journal's disk never got, before the machine went down."""
    since: float | None = None
    """Since when it wants messages, in seconds since 1970, if only the journal knows which is the first."""

    def lost(self, first: int) -> int | None:
        """How many messages it has lost if it begins with the one at position `first`; None if nobody knows."""
        if not self.known:
            return None
        return first - self.wanted if self.resumes and self.wanted is not None else 0

    def early(self, following: int) -> bool:
        """Whether it wants nothing before a message that has not come: `following` is the position of the next one."""
        return self.wanted is not None and self.wanted > following


NEXT = Start()
"""The start of one that wants only what is published from now on."""
NEVER = Start(MAX_NUMBER)
"""The start of one that has to come back, because this relay does not know yet what its position means."""


class Starts:
    """Finds where subscribers begin in the log of a hub."""

    def __init__(
        self,
        hub: Hub,
        history: History,
        epochs: Sequence[Epoch],
        clock: Clock,
        now: Callable[[], float],
        shared: bool = False,
    ) -> None:
        """`epochs`: of the messages' positions, the oldest first. `clock`: the hub's.

        `now`: the time in seconds since 1970, UTC.
        """
        self.hub = hub
        self.history = history
        self.epochs = epochs
        """The epochs whose positions are known, the oldest first; the last one is in force."""
        self.current = True
        """Whether the epochs are what the relay knows for sure: a mirror that is not connected does not."""
        self.known = True
        """Whether positions mean anything yet: those of a mirror are another relay's, which it has to hear of first."""
        self.refusal = ""
        """Why a mirror cannot have messages, for mirrors that wait for them; empty if it may have some yet."""
        self.complete = True
        """Whether what comes next is new: what a mirror fetches first is not. Sessions may begin before that, behind a
        position, but nobody with the next message."""
        self.clock = clock
        self._now = now
        self.shared = shared
        """Whether other relays hand out the same messages under the same positions."""

    @property
    def epoch(self) -> str:
        """The epoch in force."""
        return self.epochs[-1].name

    def early(self, hello: SubscriberHello) -> bool:
        """Whether who says `hello` has to wait: another relay has got further, or a mirror has nothing yet."""
        after = hello.after
        if not self.known or not self.shared:
            return not self.known
        if after is None:
            return not self.complete and not hello.replay and hello.since is None
        found = resume(self.epochs, after, MAX_NUMBER)
        return not self.current if found is None else found.wanted > self.hub.log.next

    def find(self, hello: SubscriberHello) -> Start:
        """What a subscriber wants that says `hello`, which may be early.

        From now on the log keeps history, for when it comes back.
        """
        hub = self.hub
        self.history.use()
        hub.flush()
        after = hello.after
        early = self.early(hello)
        if early and (after is None or not self.known):
            return NEVER
        if after is not None:
            found = resume(self.epochs, after, MAX_NUMBER if early else hub.log.next)
            if found is None:
                return NEVER if early else Start(1, resumes=True, known=False)
            return Start(found.wanted, resumes=True, ahead=found.ahead)
        if hello.mirror is not None:
            return _from(hub, hub.log.position(Place(hub.log.within(hello.mirror), 0)))
        if hello.replay:
            return Start(hub.recent(hello.replay))
        if hello.since is not None:
            age = self._age(hello.since)
            position = hub.log.since(self.clock() - age)
            if position == hub.log.first and hub.past is not None and hub.past.reader.oldest < position:
                return Start(since=self._now() - age)
            return _from(hub, position)
        return NEXT

    def first(self, start: Start) -> int:
        """Position of the message that a subscriber of the hub itself begins with."""
        log = self.hub.log
        return log.next if start.wanted is None else min(log.next, max(start.wanted, self.history.first))

    def _age(self, since: float | datetime) -> float:
        """How many seconds ago that was."""
        return self._now() - since.timestamp() if isinstance(since, datetime) else since


def wait(
    hub: Hub, start: Start, call_later: CallLater, then: Callable[[Start], None], looks: int = int(EARLY / LOOK)
) -> None:
    """Call `then` with `start` when it is not early any more, or still is after so many `looks`; it may be at once."""
    if looks and start.early(hub.log.next):
        call_later(LOOK, partial(wait, hub, start, call_later, then, looks - 1))
    else:
        then(start)


def locate(hub: Hub, start: Start, then: Callable[[Start], None]) -> None:
    """Call `then` with `start` when the position of the first message wanted is known, which may be at once."""
    past = hub.past
    if start.since is None or past is None:
        then(start)
        return

    def found(position: int | Exception) -> None:
        if isinstance(position, Exception):
            past.damaged(position)
            position = hub.log.first
        then(_from(hub, position))

    past.reader.find(start.since, found)


def _from(hub: Hub, position: int) -> Start:
    """The start of one that wants all messages from `position` on."""
    return Start(position) if position < hub.log.next else NEXT  # a feed need not have got that far
