"""Whoever has a place in a feed has the time to use it: feeds whose subscribers are far apart are parted, or wait."""

from __future__ import annotations

from relay.feeds.feeds import FEEDS
from relay.wire.close_reason import CloseReason
from tests.kit.feeds import MIB, FeedTests, Member


class PartedTests(FeedTests):
    def setUp(self) -> None:
        self.set_up(limit=MIB)
        self.history.use()

    def publish_half(self) -> None:
        """Half of the buffer, which the hub's log keeps."""
        while self.hub.log.held < MIB // 2:
            self.publish(50, size=100)
            self.turns.run()

    def come_back(self, room: float) -> Member:
        member = self.join(1, room)
        self.turns.run_all()
        return member

    def test_a_fast_one_does_not_wait_for_a_stuck_one_that_came_back_to_the_same_place(self) -> None:
        self.publish_half()
        stuck = self.join(1, room=0)
        fast = self.come_back(float("inf"))
        self.assertEqual(fast.got, self.all_from(1))
        self.assertIsNot(fast.feed, stuck.feed)
        stuck.read()
        self.turns.run_all()
        self.assertEqual((stuck.reason, stuck.got), (None, self.all_from(1)))
        self.assertIs(fast.feed, stuck.feed, "united again")

    def test_without_another_feed_it_waits_and_goes_on_when_the_other_reads(self) -> None:
        live = self.join()
        self.publish_half()
        stuck = [self.join(wanted, room=0) for wanted in range(1, 1 + 100 * (FEEDS - 1), 100)]
        self.assertEqual(len({one.feed for one in (live, *stuck)}), FEEDS)
        fast = self.come_back(float("inf"))
        self.assertIs(fast.feed, stuck[0].feed)
        self.assertLess(len(fast.got), self.published)
        for one in stuck:
            one.read()
        self.turns.run_all()
        self.assertEqual([one.got[-1] for one in (fast, *stuck)], [self.published] * FEEDS)
        self.assertEqual({one.reason for one in (fast, *stuck)}, {None})

    def test_it_waits_no_longer_when_the_feed_might_overrun(self) -> None:
        self.join()
        self.publish_half()
        stuck = [self.join(wanted, room=0) for wanted in range(1, 1 + 100 * (FEEDS - 1), 100)]
        fast = self.come_back(float("inf"))
        while self.hub.log.behind(0) < MIB * 3 // 4:
            self.publish(50, size=100)
            self.turns.run_all()
        self.assertEqual((fast.reason, fast.got), (None, self.all_from(1)))
        self.assertEqual(stuck[0].reason, CloseReason.OVERRUN)

    def test_in_a_feed_that_has_everything_one_who_falls_behind_gets_a_feed_of_its_own(self) -> None:
        slow, live = self.join(room=0), self.join()
        self.publish_half()
        self.turns.run_all()
        self.assertIsNot(slow.feed, live.feed)
        self.assertEqual(live.got, self.all_from(1))
        slow.read()
        self.turns.run_all()
        self.assertEqual((slow.reason, slow.got), (None, self.all_from(1)))

    def test_nobody_begins_in_the_oldest_quarter_of_what_a_feed_may_hold(self) -> None:
        here = self.join()
        self.publish_half()
        self.turns.run_all()
        log = here.feed.hub.log
        first = here.feed.first - here.feed.in_main(0)
        self.assertLess(log.first, first)
        self.assertLessEqual(log.behind(log.find(first).batch), here.feed.hub.budget.limit * 3 // 4)
