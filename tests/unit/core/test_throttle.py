"""The throttle: publishers wait when the policy says so, and are looked at once a turn."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Lag
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.core.throttle import Throttle
from tests.kit.fakes import FakeIntake, Turns


class ThrottleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.policy: SlowPolicy = SLOW_POLICIES["block"]
        self.behind = 0
        self.looks = 0
        self.intake = FakeIntake()
        self.turns = Turns()
        self.throttle = Throttle(
            self.intake, self.turns.call_soon, lambda: self.policy, self.backlog, lambda: Lag(1, self.behind, 2.0)
        )

    def backlog(self) -> tuple[int, int]:
        self.looks += 1
        return self.behind, 100

    def test_publishers_wait_from_a_half_to_a_quarter(self) -> None:
        for behind, holds in ((50, False), (51, True), (26, True), (24, False), (49, False)):
            self.behind = behind
            self.throttle.look()
            self.assertEqual((self.throttle.holds, self.intake.paused is not None), (holds, holds), behind)
        self.assertEqual(self.intake.pauses, 1)

    def test_they_are_told_how_far_the_slowest_is_behind(self) -> None:
        self.behind = 99
        self.throttle.look()
        self.assertEqual(self.intake.paused, Lag(1, 99, 2.0))

    def test_however_many_move_in_a_turn_there_is_one_look(self) -> None:
        self.throttle.look_soon()
        self.turns.run()
        self.assertEqual(self.looks, 0, "nobody waits")
        self.behind = 99
        self.throttle.look()
        for _ in range(5):
            self.throttle.look_soon()
        self.behind = 0
        self.turns.run()
        self.assertEqual((self.looks, self.throttle.holds), (2, False))

    def test_another_policy_lets_them_go_on(self) -> None:
        self.behind = 99
        self.throttle.look()
        self.policy = SLOW_POLICIES["disconnect"]
        self.throttle.look()
        self.assertIsNone(self.intake.paused)
