"""Messages published in this turn of the reactor, on their way to the outbox instead of the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from relay.backbone.outbox import Claimant, Outbox
from relay.core.pending import Batches, Pending
from relay.core.timing import Clock


class _Mark(NamedTuple):
    """Says whose some of the pending frames are."""

    at: int
    frames: int
    claim: int
    first: int
    publisher: Claimant | None
    sent: int


class Proposed(Pending):
    """Pending frames that are proposed. They come into the log when they come back, not from here."""

    def __init__(self, outbox: Outbox, filled: Callable[[], None]) -> None:
        """`filled`: called when something was put into `outbox`."""
        super().__init__(self_delimiting=True)
        self._outbox = outbox
        self._filled = filled
        self._marks: list[_Mark] = []

    def mark(self, frames: int, claim: int, first: int, publisher: Claimant | None, sent: int) -> None:
        """Note whose the next `frames` frames are. The rest is as in `Outbox.contribute`."""
        self._marks.append(_Mark(len(self.frames), frames, claim, first, publisher, sent))

    def move_to(self, log: Batches, clock: Clock) -> bool:
        """Propose everything. Returns False: nothing of it is in `log` yet."""
        frames, self.frames, self.size = self.frames, [], 0
        marks, self._marks = self._marks, []
        done = 0
        for at, count, claim, first, publisher, sent in marks:
            if done < at:
                self._outbox.contribute(frames[done:at])
            done = at + count
            self._outbox.contribute(frames[at:done], claim, first, publisher, sent)
        if done < len(frames):
            self._outbox.contribute(frames[done:])
        self._filled()
        return False
