"""Publishers as a worker has them: the relay is told when its own must wait for a subscriber of the worker.

The worker's only publisher is the connection to the relay, which it reads no more meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.core.cursor import Lag
from relay.core.timing import Clock
from relay.peers.intake import Intake
from relay.workers.messages import Held


class ReportingIntake(Intake):
    """Tells of every pause."""

    def __init__(self, clock: Clock, tell: Callable[[Held], None]) -> None:
        """`tell`: tells the relay."""
        super().__init__(clock)
        self._tell = tell

    def pause(self, lag: Lag) -> None:
        super().pause(lag)
        self._tell(Held(True))

    def resume(self) -> None:
        super().resume()
        self._tell(Held(False))
