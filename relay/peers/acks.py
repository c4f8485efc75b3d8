"""When publishers with sessions are told that their messages were accepted.

A message is accepted once it is in the log and handed to whoever is live. So acks come after a flush, at most one a
turn for each publisher. A publisher that waits for its ack gets it in the turn after its message was read. While more
keeps coming from it, an ack would only cost time: then it waits, but at most `WAIT`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from relay.core.timing import CallSoon, Clock

WAIT = 0.005
"""Seconds that an ack may wait while the publisher keeps sending. An ack costs a system call of some 5 µs: at 200 a
second for each publisher it does not show."""


class Acknowledged(Protocol):
    """A publisher with a session."""

    @property
    def accepted(self) -> int:
        """Messages that it has sent, and all of which will be accepted with the next flush."""
        ...

    def acknowledge(self) -> None:
        """Tell it that what it has sent is accepted."""
        ...


class Acks:
    """Acknowledges messages after each flush."""

    def __init__(self, flush: Callable[[], bool], call_soon: CallSoon, clock: Clock) -> None:
        """`flush`: moves what was published into the log. `call_soon`, `clock`: the hub's."""
        self._flush = flush
        self._call_soon = call_soon
        self._clock = clock
        self._due: dict[Acknowledged, tuple[int, float]] = {}  # what it had sent at the last look; since when it waits
        self._scheduled = False

    def note(self, publisher: Acknowledged) -> None:
        """Note that messages of `publisher` were just published."""
        if publisher not in self._due:
            self._due[publisher] = -1, self._clock()
            self._schedule()

    def forget(self, publisher: Acknowledged) -> None:
        """Note that `publisher` is gone. Nothing happens if it waits for nothing."""
        self._due.pop(publisher, None)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._look)

    def _look(self) -> None:
        self._scheduled = False
        self._flush()
        late = self._clock() - WAIT
        for publisher, (seen, since) in tuple(self._due.items()):
            accepted = publisher.accepted
            if accepted != seen and since > late:
                self._due[publisher] = accepted, since
            else:
                self._due.pop(publisher, None)
                publisher.acknowledge()
        if self._due:
            self._schedule()
