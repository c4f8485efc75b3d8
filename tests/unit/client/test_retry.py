"""When to try again, and when to give up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.backoff import Backoff
from relay.client.errors import ConnectionFault, GaveUp, Refused
from relay.client.retry import Retry


class RetryTests(SynchronousTestCase):
    def make(self, attempts: int | None = None, give_up_after: float | None = None) -> Retry:
        return Retry(attempts, give_up_after, Backoff(first=1, factor=1, chance=lambda: 0.0))

    def test_what_may_pass_is_tried_again_for_ever(self) -> None:
        retry = self.make()
        self.assertEqual({retry.failed(OSError("refused"), float(now)) for now in range(1000)}, {1})

    def test_what_cannot_pass_is_raised(self) -> None:
        with self.assertRaises(Refused):
            self.make().failed(Refused("no"), 0.0)

    def test_after_so_many_failures_in_a_row_it_gives_up(self) -> None:
        retry = self.make(attempts=3)
        for _ in range(2):
            retry.failed(OSError(), 0.0)
        retry.succeeded()
        for _ in range(2):
            retry.failed(OSError(), 0.0)
        with self.assertRaises(GaveUp) as raised:
            retry.failed(OSError("refused"), 0.0)
        self.assertEqual(str(raised.exception), "gave up after 3 tries; the last failed: refused")

    def test_after_so_much_time_it_gives_up(self) -> None:
        retry = self.make(give_up_after=10)
        self.assertEqual([retry.failed(OSError(), now) for now in (0.0, 5.0, 9.0)], [1, 1, 1])
        self.assertRaises(GaveUp, retry.failed, OSError(), 9.5)

    def test_the_relay_can_ask_for_a_wait(self) -> None:
        self.assertEqual(self.make().failed(ConnectionFault("bye", retry=2.0), 0.0), 3)
