"""Hub, log, journal and subscribers in any order of events: see `tests.kit.past_machine`."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES, SlowPolicy
from tests.kit.past_machine import PastMachine


class PastModelTests(SynchronousTestCase):
    def check(self, slow: SlowPolicy) -> None:
        machine = type(f"{slow}Machine", (PastMachine,), {"slow": slow})
        run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=60, deadline=None))

    def test_disconnect(self) -> None:
        self.check(SLOW_POLICIES["disconnect"])

    def test_skip(self) -> None:
        self.check(SLOW_POLICIES["skip"])

    def test_block(self) -> None:
        self.check(SLOW_POLICIES["block"])
