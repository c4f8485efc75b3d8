"""The hub's model under a flood: most events of `model/test_hub` are small, and seldom come to what the policies do.

Here somebody is there from the beginning, many batches come at once, and time passes in which nobody reads. Every run
begins with what is sure to bring an event of the policy (an overrun, a gap, a wait) or a stall, and goes on at random.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES
from relay.wire.close_reason import CloseReason
from relay.wire.framings import FRAMINGS
from tests.kit.machine import MOST, STALL, HubMachine

RUNS = 75


class FloodMachine(HubMachine):
    """Begins with one that takes nothing."""

    @initialize(name=st.sampled_from(sorted(FRAMINGS)), rooms=st.lists(st.integers(0, 300), max_size=2))
    def begin(self, name: str, rooms: list[int]) -> None:
        HubMachine.begin(self, name)
        for room in (0, *rooms):
            self.attach(room, False, 0)
        self.open()

    def open(self) -> None:
        """Bring the event, and make sure of it."""
        raise NotImplementedError

    @rule(size=st.integers(0, MOST), batches=st.integers(5, 25))
    def flood(self, size: int, batches: int) -> None:
        for _ in range(batches):
            self.publish([b"f" * size])
            self.turn()

    @rule(seconds=st.integers(2, 5))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.tick_and_sweep(1.0)


class OverwhelmedMachine(FloodMachine):
    """More comes than the buffer holds: every batch is charged `OVERHEAD` at least, and that is 16 of them."""

    def open(self) -> None:
        self.flood(0, 25)
        [stuck, *_] = self.members
        match self.slow.name:
            case "disconnect":
                assert stuck.reason is CloseReason.OVERRUN
            case "skip":
                assert stuck.gaps
            case "block":
                assert self.intake.paused is not None


class StalledMachine(FloodMachine):
    """Little comes, and nobody takes it for longer than `STALL`."""

    def open(self) -> None:
        self.flood(0, 1)
        self.wait(int(STALL) + 1)
        assert self.members[0].reason is CloseReason.STALLED


class HubFloodTests(SynchronousTestCase):
    def check(self, name: str) -> None:
        slow = SLOW_POLICIES[name]
        for base in (OverwhelmedMachine, StalledMachine):
            machine = type(f"{name}{base.__name__}", (base,), {"slow": slow})
            run_state_machine_as_test(
                machine, settings=settings(max_examples=RUNS, stateful_step_count=60, deadline=None)
            )

    def test_disconnect(self) -> None:
        self.check("disconnect")

    def test_skip(self) -> None:
        self.check("skip")

    def test_block(self) -> None:
        self.check("block")
