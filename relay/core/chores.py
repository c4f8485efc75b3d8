"""Chores: what peers ask of the relay besides passing messages on, and what has to wait while there is much of it.

A TLS handshake, a page or a WebSocket's input costs from a tenth of a millisecond to some milliseconds, which is
nothing for one peer and a second for a thousand. A limit for each peer does not help: one turn of the reactor serves
all of them, and until it ends no message is passed on. So all chores share `TIME` of each turn. A chore is done at once
while there is time left, and otherwise in a later turn, so that a crowd waits for itself and no message waits for it.

Each kind of chore has a lane. Lanes share the time equally, so that a thousand handshakes do not delay a page.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from relay.core.timing import CallSoon, Clock

Chore = Callable[[], None]
Lane = Callable[[Chore], bool]
"""Does a chore now or, after those given before it, in a later turn. Returns whether it is done."""

TIME = 0.004
"""Seconds of a turn that chores may take together, and the rest of the last one in each lane. Messages are given what
a turn without a crowd takes, so that with the longest chore, some 20 ms, nobody waits for a tenth of a second."""


def at_once(chore: Chore) -> bool:
    """A lane in which nothing waits."""
    chore()
    return True


class Chores:
    """Gives chores some time of each turn."""

    def __init__(self, flush: Callable[[], object], call_soon: CallSoon, clock: Clock) -> None:
        """`flush`: passes on what was published, before chores take their time. `call_soon`: runs in the next turn."""
        self._flush = flush
        self._call_soon = call_soon
        self._clock = clock
        self._lanes: list[deque[Chore]] = []
        self._spent = 0.0  # seconds of this turn, without the chore that is being done
        self._begun: float | None = None  # when that was begun
        self._scheduled = False

    def lane(self, *, patient: bool = False) -> Lane:
        """A lane for one kind of chore. `patient`: none of them is done before the next turn."""
        waiting: deque[Chore] = deque()
        self._lanes.append(waiting)

        def do(chore: Chore) -> bool:
            self._schedule()
            if patient or waiting or self._used() >= TIME:
                waiting.append(chore)
                return False
            self._do(chore)
            return True

        return do

    def _used(self) -> float:
        """Seconds of this turn that chores have taken so far."""
        return self._spent + (0.0 if self._begun is None else self._clock() - self._begun)

    def _do(self, chore: Chore) -> None:
        if self._begun is not None:  # inside another, which is counted
            chore()
            return
        self._begun = self._clock()
        try:
            chore()
        finally:
            self._spent, self._begun = self._used(), None

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        """Do what waits, at least one chore of each lane. An exception climbs to the reactor, and the rest goes on."""
        self._scheduled, self._spent = False, 0.0
        lanes = [lane for lane in self._lanes if lane]
        if not lanes:
            return
        self._schedule()
        self._flush()
        for lane in lanes:
            end = self._clock() + TIME / len(lanes)
            while lane:
                self._do(lane.popleft())
                if self._clock() >= end:
                    break
