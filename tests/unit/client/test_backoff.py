"""The waits between tries."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.backoff import Backoff


class BackoffTests(SynchronousTestCase):
    def test_they_grow_up_to_a_most_and_begin_again_after_a_success(self) -> None:
        backoff = Backoff(first=1, factor=2, most=5, chance=lambda: 0.0)
        self.assertEqual([backoff.failed() for _ in range(5)], [1, 2, 4, 5, 5])
        self.assertEqual(backoff.tries, 5)
        backoff.succeeded()
        self.assertEqual((backoff.tries, backoff.failed()), (0, 1))

    def test_a_part_is_left_to_chance(self) -> None:
        self.assertEqual(Backoff(first=1, jitter=0.5, chance=lambda: 1.0).failed(), 0.5)

    def test_what_the_relay_asks_for_comes_before_it(self) -> None:
        self.assertEqual(Backoff(first=1, chance=lambda: 0.0).failed(retry=3), 4)
