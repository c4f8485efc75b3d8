"""Sums: the snapshots of several processes are that of one relay."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Lag, Tally
from relay.observe.stats import Snapshot
from relay.observe.sums import add, over
from relay.wire.close_reason import CloseReason
from tests.kit.snapshots import NOW


def subscribers(now: Snapshot) -> tuple[int, int, int]:
    """How many are open, how many ever were, and how many lost their worker."""
    role = now.roles[1]
    return role.open, role.opened, role.closed[CloseReason.WORKER_LOST]


class SumTests(SynchronousTestCase):
    def test_without_others_it_is_the_same(self) -> None:
        self.assertIs(add(NOW, []), NOW)

    def test_what_subscribers_do_is_added_up(self) -> None:
        other = replace(NOW, furthest=Lag(9, 100, 5.0), lags=(1.0,), live=1, lagging=1)
        total = add(NOW, [other, other])
        self.assertEqual(total.delivered, Tally(120, 12000, 18))
        self.assertEqual((total.live, total.lagging), (4, 5))
        self.assertEqual(total.lags, (*NOW.lags, 1.0, 1.0))
        self.assertEqual(total.furthest, Lag(9, 800, 4000.0))
        self.assertEqual(subscribers(total), (15, 27, 0))
        self.assertEqual(total.roles[1].closed[CloseReason.OVERRUN], 12)
        self.assertEqual(total.sessions["subscriber", "tcp"], 6)
        self.assertEqual((total.resumed["complete"], total.lost, total.left_out), (12, 21, 36))

    def test_what_is_published_and_kept_is_that_of_the_process_with_the_log(self) -> None:
        other = replace(NOW, published=Tally(1, 1, 0), held=1, buffer=1, next=99, journal=None, reach=())
        total = add(NOW, [other])
        for name in ("published", "held", "buffer", "next", "journal", "reach", "most_connections"):
            self.assertEqual(getattr(total, name), getattr(NOW, name), name)

    def test_of_a_process_that_is_lost_totals_stay_and_connections_have_ended(self) -> None:
        left = over(NOW)
        self.assertEqual(subscribers(left), (0, 9, 5))
        self.assertEqual((left.live, left.lagging, left.lags, left.furthest), (0, 0, (), Lag(0, 0, 0.0)))
        self.assertEqual(set(left.sessions.values()), {0})
        self.assertEqual(left.delivered, NOW.delivered)

    def test_no_total_gets_smaller_when_a_process_is_lost(self) -> None:
        before, after = add(NOW, [NOW]), add(NOW, [over(NOW)])
        self.assertEqual(before.delivered, after.delivered)
        self.assertEqual(before.roles[1].opened, after.roles[1].opened)
        self.assertTrue(all(after.roles[1].closed[one] >= count for one, count in before.roles[1].closed.items()))

    def test_who_came_after_the_last_snapshot_was_lost_too(self) -> None:
        self.assertEqual(subscribers(over(NOW, 8)), (0, 12, 8))
        self.assertEqual(subscribers(over(NOW, 2)), (0, 9, 5))
