"""A hub for tests, with turns and a clock of the test's own."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.journal import Journal
from relay.core.log import Log
from relay.core.pace import MAX_READ
from relay.core.pending import Journaled, Pending
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.wire.counted import Int32
from tests.kit.fakes import FakeIntake, Turns, frames


class HubTests(SynchronousTestCase):
    """`limit` of the log and options of the hub as each test needs them."""

    def set_up(
        self,
        limit: int = 64 * 2**20,
        slow: SlowPolicy = SLOW_POLICIES["disconnect"],
        stall_timeout: float = 30.0,
        replay: int = 0,
        self_delimiting: bool = True,
        max_read: int = MAX_READ,
        journal: Journal | None = None,
    ) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.intake = FakeIntake()
        self.log = Log(Int32.ends)
        self.budget = Budget(limit)
        self.hub = Hub(
            self.log,
            self.budget,
            self.intake,
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            pending=Journaled(self_delimiting, journal) if journal else Pending(self_delimiting),
            max_read=max_read,
            slow=slow,
            stall_timeout=stall_timeout,
            replay=replay,
        )

    def publish(self, *messages: bytes) -> None:
        """One read, and its turn."""
        self.hub.publish(frames(*messages))
        self.turns.run()

    def read(self, *messages: bytes) -> int:
        """A transport's read that brings these, and not its turn; returns how many bytes it might have brought."""
        size = self.hub.pace.begin_read()
        for message in messages:
            self.hub.publish(frames(message))
        self.hub.pace.end_read()
        return size

    def sweep(self) -> None:
        self.now += 1.0
        self.hub.sweep(1.0)
