"""Calls that come again and again."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.timers import Timers


class TimersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.calls: list[float] = []

    def test_a_call_comes_every_so_many_seconds_and_not_at_once(self) -> None:
        self.timers.every(2.0, self.calls.append)
        self.assertEqual(self.calls, [])
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.calls, [2.0, 2.0])

    def test_it_comes_again_after_a_failure(self) -> None:
        def fail(passed: float) -> None:
            self.calls.append(passed)
            raise ZeroDivisionError

        self.timers.every(1.0, fail)
        self.clock.pump([1.0] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(self.calls, [1.0] * 3)

    def test_time_that_the_relay_slept_is_not_charged_to_anybody(self) -> None:
        self.timers.every(1.0, self.calls.append)
        self.clock.advance(1.0)
        self.clock.advance(0.5)
        self.clock.advance(10_000)
        self.assertEqual(self.calls, [1.0, 1.0])

    def test_all_are_stopped_together_and_nothing_is_left(self) -> None:
        self.timers.every(1.0, self.calls.append)
        self.timers.every(2.0, self.calls.append)
        self.timers.stop()
        self.timers.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
