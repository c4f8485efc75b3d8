"""When publishers with sessions are told that their messages were accepted.

A message is accepted once it is in the log and handed to whoever is live. So acks come after a flush, at most one a
turn for each publisher. A publisher that waits for its ack gets it in the turn after its message was read. While more
keeps coming from it, an ack would only cost time: then it waits, but at most `WAIT`.

With a journal a message is accepted when the journal says that it is safe. Then an ack that is due waits for that, in
line with all others. What the journal could not even take is looked at again when it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.journal import Contributor, Journal, Key
from relay.core.timing import CallSoon, Clock
from relay.wire.framing import Frames

WAIT = 0.005
"""Seconds that an ack may wait while the publisher keeps sending. An ack costs a system call of some 5 µs: at 200 a
second for each publisher it does not show."""


class Acknowledged(Contributor, Protocol):
    """A publisher with a session."""

    @property
    def key(self) -> Key:
        """Its name, which may be empty."""
        ...

    def acknowledge(self, accepted: int) -> None:
        """Tell it that its first `accepted` messages are accepted."""
        ...


class Acks:
    """Acknowledges messages after each flush."""

    def __init__(
        self,
        flush: Callable[[], bool],
        call_soon: CallSoon,
        clock: Clock,
        journal: Journal | None = None,
    ) -> None:
        """`flush`: moves what was published into the log; returns whether it could. `call_soon`, `clock`: the hub's."""
        self._flush = flush
        self._call_soon = call_soon
        self._clock = clock
        self._journal = journal
        self._due: dict[Acknowledged, tuple[int, float]] = {}  # what it had sent at the last look; since when it waits
        self._unsafe: deque[tuple[int, Acknowledged, int]] = deque()  # up to where the journal must be safe for it
        self._scheduled = False

    def contribute(self, key: Key, publisher: Contributor) -> None:
        """Note that `publisher`, which has the name `key`, is about to publish: the journal counts under names."""
        if self._journal is not None:
            self._journal.note(key, publisher)

    def publishing(self, publisher: Acknowledged, frames: Sequence[Frames]) -> None:
        """Note that `publisher` is about to publish `frames`."""
        if publisher.key[1]:
            self.contribute(publisher.key, publisher)

    def note(self, publisher: Acknowledged) -> None:
        """Note that messages of `publisher` were just published."""
        if publisher not in self._due:
            self._due[publisher] = -1, self._clock()
            self._schedule()

    def begin(self, publisher: Acknowledged) -> None:
        """Acknowledge what was accepted of `publisher` before it came: at once without a journal."""
        if self._flush() and self._journal is None:
            publisher.acknowledge(publisher.accepted)
        else:
            self.note(publisher)

    def forget(self, publisher: Acknowledged) -> None:
        """Note that `publisher` is gone. Nothing happens if it waits for nothing."""
        self._due.pop(publisher, None)
        if self._unsafe:
            self._unsafe = deque(one for one in self._unsafe if one[1] is not publisher)

    def accepted(self, publisher: Acknowledged, known: int) -> int:
        """How many messages of `publisher` are accepted by now, of which `known` have been so far."""
        return publisher.accepted if self._flush() and self._journal is None else known

    def safe(self) -> None:
        """The journal has got further: acknowledge what is safe now, and look at what it could not take before."""
        assert self._journal is not None
        safe = self._journal.safe
        found: dict[Acknowledged, int] = {}
        while self._unsafe and self._unsafe[0][0] <= safe:
            _, publisher, accepted = self._unsafe.popleft()
            found[publisher] = accepted
        for publisher, accepted in found.items():
            publisher.acknowledge(accepted)
        if self._due:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._look)

    def _look(self) -> None:
        self._scheduled = False
        if not self._flush():
            return  # the journal takes nothing: `safe` comes when it does
        late = self._clock() - WAIT
        for publisher, (seen, since) in tuple(self._due.items()):
            accepted = publisher.accepted
            if accepted != seen and since > late:
                self._due[publisher] = accepted, since
            elif self._due.pop(publisher, None):
                self._accept(publisher, accepted)
        if self._due:
            self._schedule()

    def _accept(self, publisher: Acknowledged, accepted: int) -> None:
        """Acknowledge what is in the log: at once without a journal, else when that is safe."""
        journal = self._journal
        if journal is None or journal.safe >= journal.next:
            publisher.acknowledge(accepted)
        else:
            self._unsafe.append((journal.next, publisher, accepted))
            journal.hurry()
