"""Where a subscriber begins: behind a position, with the last messages, with those since a time, or from now on.

What is wanted may be gone. Then the subscriber begins with the oldest message that can be had, and is told how many are
lost; or, if it comes from another epoch, that nobody knows how many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from relay.core.history import History
from relay.core.hub import Hub
from relay.core.timing import Clock
from relay.wire.hello import SubscriberHello
from relay.wire.position import Position


class Resumption(NamedTuple):
    """Where one goes on that comes back."""

    wanted: int
    """Position of the first message that it lacks."""
    ahead: int
    """Messages that it was given and that a journal's disk never got: their numbers are those of other messages now."""


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


NEXT = Start()
"""The start of one that wants only what is published from now on."""


class Starts:
    """Finds where subscribers begin in the log of a hub."""

    def __init__(
        self,
        hub: Hub,
        history: History,
        epoch: str,
        clock: Clock,
        now: Callable[[], float],
        resume: Callable[[Position, int], Resumption | None] | None = None,
        shared: bool = False,
    ) -> None:
        """`epoch`: of the messages' positions. `clock`: the hub's. `now`: the time in seconds since 1970, UTC.

        `shared`: whether other relays hand out the same messages under the same positions.

        `resume`: finds where one goes on that had everything up to a position, from the number that the next message
        gets; None if it does not know. By default only positions of `epoch` are known.
        """
        self.hub = hub
        self.history = history
        self.epoch = epoch
        self._clock = clock
        self._now = now
        self._resume = resume or self._resume_epoch
        self._shared = shared

    def early(self, hello: SubscriberHello) -> bool:
        """Whether another relay has got further than this one, so that a subscriber that says `hello` has to wait."""
        after = hello.after
        return self._shared and after is not None and after.epoch == self.epoch and after.number >= self.hub.log.next

    def find(self, hello: SubscriberHello) -> Start:
        """What a subscriber wants that says `hello`. From now on the log keeps history, for when it comes back."""
        hub = self.hub
        self.history.use()
        hub.flush()
        if hello.after is not None:
            found = self._resume(hello.after, hub.log.next)
            if found is None:
                return Start(1, resumes=True, known=False)
            return Start(found.wanted, resumes=True, ahead=found.ahead)
        if hello.replay:
            return Start(hub.recent(hello.replay))
        if hello.since is not None:
            age = self._age(hello.since)
            position = hub.log.since(self._clock() - age)
            if position == hub.log.first and hub.past is not None and hub.past.reader.oldest < position:
                return Start(since=self._now() - age)
            return _from(hub, position)
        return NEXT

    def first(self, start: Start) -> int:
        """Position of the message that a subscriber of the hub itself begins with."""
        log = self.hub.log
        return log.next if start.wanted is None else min(log.next, max(start.wanted, self.history.first))

    def _resume_epoch(self, after: Position, following: int) -> Resumption | None:
        known = after.epoch == self.epoch and after.number < following
        return Resumption(after.number + 1, 0) if known else None

    def _age(self, since: float | datetime) -> float:
        """How many seconds ago that was."""
        return self._now() - since.timestamp() if isinstance(since, datetime) else since


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
