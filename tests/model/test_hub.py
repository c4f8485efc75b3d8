"""Hub, log and subscribers in any order of events, under each policy; `tests.kit.machine` says what is expected."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES, SlowPolicy
from tests.kit.machine import HubMachine


class HubModelTests(SynchronousTestCase):
    def check(self, slow: SlowPolicy) -> None:
        machine = type(f"{slow}Machine", (HubMachine,), {"slow": slow})
        run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))

    def test_disconnect(self) -> None:
        self.check(SLOW_POLICIES["disconnect"])

    def test_skip(self) -> None:
        self.check(SLOW_POLICIES["skip"])

    def test_block(self) -> None:
        self.check(SLOW_POLICIES["block"])
