"""The hub's model under a flood: most events of `model/test_hub` are small, and seldom come to what the policies do.

Here somebody is there from the beginning, many batches come at once, and time passes in which nobody reads. That this
brings overruns, gaps, waits and stalls at all is a part of the test.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.wire.close_reason import CloseReason
from relay.wire.framing import FRAMINGS
from tests.kit.machine import MOST, HubMachine

RUNS = 150


class FloodMachine(HubMachine):
    seen: ClassVar[Counter[str]]
    """In how many runs something happened."""

    @initialize(name=st.sampled_from(sorted(FRAMINGS)), rooms=st.lists(st.integers(0, 300), min_size=1, max_size=3))
    def begin(self, name: str, rooms: list[int]) -> None:
        HubMachine.begin(self, name)
        for room in rooms:
            self.attach(room, False, 0)

    @rule(size=st.integers(0, MOST), batches=st.integers(5, 25))
    def flood(self, size: int, batches: int) -> None:
        for _ in range(batches):
            self.publish([b"f" * size])
            self.turn()

    @rule(seconds=st.integers(2, 5))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.tick_and_sweep(1.0)

    def teardown(self) -> None:
        if hasattr(self, "members"):
            reasons = {str(member.reason) for member in self.members}
            gaps = {"skipped"} if any(member.gaps for member in self.members) else set()
            self.seen.update(reasons | gaps | ({"blocked"} if self.intake.pauses else set()))
        super().teardown()


class HubFloodTests(SynchronousTestCase):
    def check(self, slow: SlowPolicy, often: str) -> None:
        seen: Counter[str] = Counter()
        machine = type(f"{slow}FloodMachine", (FloodMachine,), {"slow": slow, "seen": seen})
        run_state_machine_as_test(machine, settings=settings(max_examples=RUNS, stateful_step_count=60, deadline=None))
        for what in (often, CloseReason.STALLED):
            self.assertGreater(seen[what], 0, f"{what}: {seen}")

    def test_disconnect(self) -> None:
        self.check(SLOW_POLICIES["disconnect"], CloseReason.OVERRUN)

    def test_skip(self) -> None:
        self.check(SLOW_POLICIES["skip"], "skipped")

    def test_block(self) -> None:
        self.check(SLOW_POLICIES["block"], "blocked")
