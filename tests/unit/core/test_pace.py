"""The pace: how much one read may bring, and when the turn ends. `test_hub_shares` has it with a hub."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.pace import LEAST_READ, MANY, MAX_READ, TURN, Pace
from tests.kit.fakes import FakeIntake, Turns


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.intake = FakeIntake()
        self.turns = Turns()
        self.live = 0
        self.flushes = 0
        self.pace = Pace(self.intake, self.turns.call_soon, self.flush, lambda: self.live, MAX_READ)

    def flush(self) -> None:
        self.flushes += 1

    def read(self) -> int:
        size = self.pace.begin_read()
        self.assertTrue(self.pace.reading)
        self.pace.end_read()
        self.assertFalse(self.pace.reading)
        return size

    def test_a_read_is_smaller_the_more_subscribers_there_are_but_not_beyond_many(self) -> None:
        for live, size in ((0, MAX_READ), (100, MAX_READ), (MANY - 1, TURN // MANY), (10 * MANY, TURN // MANY)):
            self.live = live
            self.assertEqual(self.read(), min(MAX_READ, size))

    def test_a_read_is_smaller_the_more_publishers_were_read_in_the_last_turn(self) -> None:
        self.live = MANY
        for _ in range(5):
            self.read()
        self.turns.run()
        self.assertEqual(self.read(), TURN // MANY // 5)
        for _ in range(1000):
            self.read()
        self.turns.run()
        self.assertEqual(self.read(), LEAST_READ)

    def test_a_turn_ends_once_however_many_reads_it_has(self) -> None:
        for _ in range(5):
            self.read()
        self.pace.count_read()
        self.assertEqual(self.flushes, 0)
        self.turns.run()
        self.assertEqual(self.flushes, 1)

    def test_with_one_publisher_it_ends_with_the_read(self) -> None:
        self.intake.alone = True
        self.read()
        self.assertEqual(self.flushes, 1)
        self.turns.run()
        self.assertEqual(self.flushes, 1)
