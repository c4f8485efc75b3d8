"""All feeds: when they encode, who gets which, and what they keep; `model/test_feed` tries all orders."""

from __future__ import annotations

from relay.core.cursor import Tally
from relay.feeds.feed import STEP
from relay.feeds.feeds import FEEDS, LENT, OLD, PART, PAUSE, SHARE, TIME_SLICE
from tests.kit.fakes import FakeSubscriber
from tests.kit.feeds import MIB, FeedTests, Member, Slowly, TrimmedFeedTests


def steps(seconds: float) -> int:
    """Messages that are encoded in that time, at 1 µs each: the clock is looked at now and then."""
    return STEP * (int(seconds * 1e6 - 1e-6) // STEP + 1)


class TimeTests(FeedTests):
    def test_while_there_is_nothing_else_to_do_a_turn_encodes_for_a_slice(self) -> None:
        self.encoding.seconds = 1e-6
        self.join()
        self.publish(2000)
        self.turns.run()
        for turn in (1, 2, 3):
            self.turns.run()
            self.assertEqual(len(self.encoding.encoded), turn * steps(TIME_SLICE))

    def test_while_there_is_the_turns_of_others_are_left_in_peace(self) -> None:
        self.encoding.seconds = 1e-6
        self.join()
        self.publish(5000)
        self.turns.run()
        turn = PAUSE * 0.8  # what others do in it
        expected = 0
        for number in range(1, 9):
            self.now += turn
            self.turns.run()
            expected += (1 - number % 2) * steps(2 * turn * SHARE)  # only the second turn is after the pause
            self.assertEqual(len(self.encoding.encoded), expected)
        self.now += 10
        self.turns.run()
        self.assertEqual(len(self.encoding.encoded), expected + steps(TIME_SLICE))


class ReturnTests(TrimmedFeedTests):
    """Who comes back, and wants what a feed's log has no more."""

    def test_within_the_feeds_log_it_is_given_that(self) -> None:
        for wanted in (self.here.feed.first, self.here.feed.first + 1, self.published, self.published + 1):
            member = self.join(wanted)
            self.turns.run_all()
            self.assertEqual(member.got, self.all_from(wanted))
            self.assertIs(member.feed, self.here.feed)
        self.assertEqual(self.encoding.encoded, self.all_from(1))

    def test_behind_it_is_given_a_feed_of_its_own_until_both_have_everything(self) -> None:
        member = self.join(10)
        own = member.feed
        self.assertIsNot(own, self.here.feed)
        self.turns.run_all()
        self.assertIs(member.feed, self.here.feed)
        self.publish_batches(5)
        self.assertEqual(member.got, self.all_from(10))
        self.assertEqual(self.here.got, self.all_from(1))
        self.assertEqual(member.leave(), Tally(len(self.all_from(10)), len(member.received), 0))
        self.feeds.sweep(1.0)
        self.publish(5)
        self.turns.run_all()
        self.assertEqual(self.encoding.encoded[-5:], self.all_from(self.published - 4), "once again")

    def test_while_messages_come_nothing_is_lost_or_doubled(self) -> None:
        self.encoding.seconds = 1e-6
        member, slow = self.join(10), self.join(10, room=50_000)
        while member.feed is not self.here.feed:
            self.publish(1, size=100)
            self.now += 0.001
            self.turns.run()
            slow.read(3000)
            self.assertLess(self.published, 5000)
        slow.read()
        self.turns.run_all()
        for one, first in ((member, 10), (slow, 10), (self.here, 1)):
            self.assertEqual(one.got, self.all_from(first))
            self.assertEqual(one.leave(), Tally(len(one.got), len(one.received), 0))

    def test_one_that_reads_slowly_gets_all_that_the_hubs_log_has(self) -> None:
        member = self.join(10, room=1000)
        while member.reason is None and len(member.received) < len(self.here.received) * 0.95:
            self.turns.run()
            member.read(3000)
        self.turns.run_all()
        self.assertIsNone(member.reason)
        member.read()
        self.turns.run_all()
        self.assertEqual(member.got, self.all_from(10))

    def test_one_that_begins_with_the_oldest_message_is_not_overrun_by_the_next(self) -> None:
        self.publish_batches(1000, size=100)
        self.assertGreater(self.hub.log.first, 1)
        member = self.join(1, room=1000)
        for _ in range(20):
            self.publish(1, size=100)
            self.turns.run()
        self.assertIsNone(member.reason)
        while len(member.received) < 100_000:
            member.read(3000)
            self.now += 1.0
            self.turns.run()
        member.read()
        self.turns.run_all()
        self.assertEqual(member.got, self.all_from(member.first))

    def test_one_more_than_there_may_be_loses_what_no_feed_has_and_no_more(self) -> None:
        own = [self.join(wanted) for wanted in range(10, 10 + FEEDS - 1)]
        self.assertEqual([member.first for member in own], list(range(10, 10 + FEEDS - 1)))
        member = self.join(5)
        self.turns.run_all()
        self.assertEqual(member.got, self.all_from(10))

    def test_one_that_wants_new_messages_is_not_given_those_that_another_came_back_for(self) -> None:
        self.here.leave()
        self.feeds.sweep(1.0)
        self.now += OLD + 0.1
        self.join(10, room=0)
        member = self.join()
        self.publish(3)
        self.turns.run_all()
        self.assertEqual(member.got, self.all_from(self.published - 2))

    def test_a_feed_that_nobody_has_any_more_does_not_count_as_one(self) -> None:
        for wanted in (30, 20, 10):
            member = self.join(wanted)
            self.turns.run_all()
            self.assertEqual(member.got, self.all_from(wanted))

    def test_it_is_not_either_where_the_log_is_full_because_somebody_else_lags(self) -> None:
        stuck = FakeSubscriber(self.hub, room=0)
        while self.hub.log.held < self.hub.budget.limit * 0.98:
            self.publish(1, size=1000)
            self.turns.run_all()
        self.assertIsNone(stuck.reason)
        member = self.join(self.hub.log.first, room=1000)
        for _ in range(50):
            self.publish(1, size=1000)
            self.hub.flush()  # before there was any time to encode
        self.turns.run_all()
        self.assertIsNone(member.reason)
        member.read()
        self.turns.run_all()
        self.assertEqual(member.got, self.all_from(member.first))


class MemoryTests(FeedTests):
    def test_a_feed_that_nobody_has_is_dropped_at_the_sweep(self) -> None:
        member = self.join()
        self.publish_batches(10)
        member.leave()
        self.assertGreater(self.hub.budget.lent, 0)
        self.feeds.sweep(1.0)
        self.assertEqual((self.hub.budget.lent, self.hub.subscriptions), (0, ()))
        self.assertEqual(self.hub.budget.limit, self.hub.budget.size)

    def test_what_feeds_hold_is_taken_off_the_hubs_limit_and_there_is_a_most_of_it(self) -> None:
        self.set_up(limit=MIB)
        self.join()
        Member(self.feeds, Slowly(self))
        for _ in range(20):
            self.publish_batches(50, size=100)
            self.assertEqual(self.hub.budget.limit, MIB - self.hub.budget.lent)
            self.assertLessEqual(self.hub.log.held + self.hub.budget.lent, MIB)
        self.assertLessEqual(self.hub.budget.lent, 2 * MIB // PART)
        self.assertGreater(self.hub.budget.lent, MIB // PART)

    def test_with_a_replay_as_much_is_kept_always(self) -> None:
        self.set_up(limit=4 * MIB, replay=10)
        self.publish(4, size=MIB)
        self.turns.run_all()
        self.feeds.sweep(1.0)
        self.assertEqual(self.hub.budget.history, 4 * MIB * (LENT - 1) // LENT)
