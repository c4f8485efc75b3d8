"""A value that many ask for: made again when it is old, and old is a matter of what it costs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.reused import MOST, TIMES, Reused


class ReusedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now, self.cost, self.made = 0.0, 0.0, 0
        self.value = Reused(self.make, lambda: self.now)

    def make(self) -> int:
        self.now += self.cost
        self.made += 1
        return self.made

    def test_one_that_costs_nothing_is_always_new(self) -> None:
        self.assertEqual([self.value() for _ in range(3)], [1, 2, 3])

    def test_one_that_costs_something_takes_a_tenth_of_the_time_at_most(self) -> None:
        self.cost = 0.01
        begin = self.now
        while self.now - begin < 10.0:
            self.value()
            self.now += 0.001
        self.assertEqual(TIMES, 9)
        self.assertLessEqual(self.made * self.cost, (self.now - begin) / 10 + self.cost)

    def test_none_is_older_than_a_second(self) -> None:
        self.cost = 1.0
        self.value()
        self.now += MOST - 0.01
        self.assertEqual(self.value(), 1)
        self.now += 0.02
        self.assertEqual(self.value(), 2)
