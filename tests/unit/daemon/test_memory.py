"""Memory is given back when a crowd has left, once, and not when a few come and go."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.memory import CROWD, Memory, trim


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connections = self.trimmed = 0
        self.memory = Memory(lambda: self.connections, self.trim)

    def trim(self) -> None:
        self.trimmed += 1

    def sweep(self, *counts: int) -> int:
        """How often memory was given back while there were so many connections, one sweep each."""
        self.trimmed = 0
        for self.connections in counts:
            self.memory.sweep(1.0)
        return self.trimmed

    def test_when_a_crowd_has_left_it_is_given_back_once(self) -> None:
        self.assertEqual(self.sweep(0, 2 * CROWD, 10, 10, 0), 1)

    def test_a_crowd_may_leave_little_by_little(self) -> None:
        self.assertEqual(self.sweep(CROWD, CROWD // 2, 10, 0, 0, 0), 1)

    def test_a_crowd_may_pause_while_it_leaves(self) -> None:
        self.assertEqual(self.sweep(10 * CROWD, 4 * CROWD, 4 * CROWD, 0, 0), 2)

    def test_it_is_not_given_back_while_they_are_leaving_because_most_would_stay(self) -> None:
        self.assertEqual(self.sweep(4 * CROWD, CROWD, CROWD // 2, 10), 0)
        self.assertEqual(self.sweep(10), 1)

    def test_a_few_that_come_and_go_are_no_crowd(self) -> None:
        self.assertEqual(self.sweep(*(CROWD - 1, 0) * 10), 0)

    def test_neither_are_some_of_very_many(self) -> None:
        self.assertEqual(self.sweep(10 * CROWD, 6 * CROWD, 10 * CROWD), 0)

    def test_the_c_library_is_asked_if_it_can(self) -> None:
        trim()
