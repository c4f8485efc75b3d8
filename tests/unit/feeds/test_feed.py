"""A feed: encoded once for all, lagging and overrunning as any subscriber, and slow subscribers of its own."""

from __future__ import annotations

from relay.core.cursor import Tally
from relay.core.slow import SLOW_POLICIES
from relay.feeds.feed import STEP
from relay.wire.close_reason import CloseReason
from tests.kit.feeds import MIB, FeedTests, Member, Slowly


class FeedEncodingTests(FeedTests):
    def test_a_message_is_encoded_once_however_many_there_are(self) -> None:
        members = [self.join() for _ in range(5)]
        self.publish(10)
        self.turns.run_all()
        self.publish(20)
        self.turns.run_all()
        self.assertEqual(self.encoding.encoded, self.all_from(1))
        for member in members:
            self.assertEqual(member.got, self.all_from(1))

    def test_nothing_is_encoded_while_the_hub_hands_out(self) -> None:
        member = self.join()
        self.publish(10)
        self.hub.flush()
        self.assertEqual((self.encoding.encoded, member.feed.live, self.hub.lagging), ([], False, 1))
        self.turns.run_all()
        self.assertEqual((len(self.encoding.encoded), member.feed.live, self.hub.lagging), (10, True, 0))

    def test_a_slice_that_is_over_before_it_begins_encodes_something_all_the_same(self) -> None:
        member = self.join()
        self.publish(10 * STEP)
        self.hub.flush()
        for slices in range(1, 4):
            member.feed.encode_until(0.0)
            self.assertEqual(len(self.encoding.encoded), slices * STEP)

    def test_whose_encoding_fails_is_told_of_and_ended_and_others_are_not(self) -> None:
        member, other = self.join(), Member(self.feeds, Slowly(self))
        self.encoding.error = RuntimeError("for the test")
        self.publish(3)
        self.turns.run_all()
        self.assertEqual((member.reason, other.reason), (CloseReason.ERROR, None))
        self.assertEqual(other.got, self.all_from(1))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.hub.lagging, 0)


class SlowTests(FeedTests):
    def test_one_that_lags_gets_the_rest_in_order_and_delays_nobody(self) -> None:
        other, member = self.join(), self.join(room=100)
        self.publish_batches(50)
        self.assertEqual(other.got, self.all_from(1))
        self.assertEqual(len(member.received), 100)
        for size in (1, 7, 500, 3, float("inf")):
            member.read(size)
            self.turns.run_all()
        self.assertEqual(member.received, other.received)

    def test_one_that_takes_nothing_is_stalled_and_others_are_not(self) -> None:
        other, member = self.join(), self.join(room=0)
        self.publish_batches(1)
        for _ in range(4):
            self.feeds.sweep(1.0)
        self.assertEqual((other.reason, member.reason), (None, CloseReason.STALLED))

    def test_a_feed_that_is_overrun_ends_its_subscribers_with_that_and_a_new_one_goes_on(self) -> None:
        self.set_up(limit=MIB)
        members = [self.join(), self.join(room=0)]
        self.publish(1000, size=1000)  # in one turn: there is no time to encode
        self.hub.flush()
        self.publish(100, size=1000)
        self.hub.flush()
        self.assertEqual([member.reason for member in members], [CloseReason.OVERRUN] * 2)
        self.assertEqual(members[0].feed.lag().messages, 1100)
        self.assertEqual((self.hub.subscriptions, self.hub.budget.lent), ((), 0))
        late = self.join()
        self.turns.run_all()
        self.publish(5)
        self.turns.run_all()
        self.assertEqual(late.got, self.all_from(1101))

    def skipped(self) -> tuple[list[Member], list[int]]:
        """A fast and a slow one, whose feed had to skip; and which messages."""
        self.set_up(limit=MIB, slow=SLOW_POLICIES["skip"])
        members = [self.join(), self.join(room=30)]
        self.publish_batches(10)
        feed = members[0].feed
        while not feed.lost:
            self.publish(30, size=1000)
            self.hub.flush()  # again and again in one turn: there is no time to encode
        self.turns.run_all()
        return members, list(range(11, 11 + feed.lost))

    def test_a_feed_that_skips_counts_what_is_lost_and_its_subscribers_see_the_gap(self) -> None:
        members, gap = self.skipped()
        late = self.join()
        self.publish_batches(3)
        members[1].read()
        self.turns.run_all()
        for member in members:
            self.assertEqual(sorted(member.got + gap), self.all_from(1))
            self.assertEqual(member.leave(), Tally(len(member.got), len(member.received), 0))
        self.assertEqual(late.got, self.all_from(self.published - 2))

    def test_nobody_begins_within_what_a_feed_has_skipped(self) -> None:
        _, gap = self.skipped()
        for wanted in (gap[0] - 1, gap[0], gap[-1], gap[-1] + 1, gap[-1] + 2):
            oldest = self.history.first
            member = self.join(wanted)
            self.turns.run_all()
            self.assertEqual(member.first, max(wanted, oldest))
            self.assertEqual(member.got, self.all_from(member.first))
            member.leave()
            self.feeds.sweep(0.0)

    def blocked(self, messages: int) -> Member:
        """One that does not read while so many messages come at once, again and again, until publishers are blocked."""
        self.set_up(limit=MIB, slow=SLOW_POLICIES["block"])
        member = self.join(room=10)
        while self.intake.paused is None:
            self.publish(messages, size=200)
            self.turns.run_all()
            self.assertIsNone(member.reason)
        return member

    def test_with_block_one_that_does_not_read_blocks_those_who_do_too(self) -> None:
        self.set_up(limit=MIB, slow=SLOW_POLICIES["block"])
        other, member = self.join(), self.join(room=10)
        while self.intake.paused is None:
            self.publish(10, size=200)
            self.turns.run_all()
        self.assertTrue(member.feed.paused)
        member.read()
        self.turns.run_all()
        self.assertEqual((self.intake.paused, member.feed.paused), (None, False))
        for one in (member, other):
            self.assertEqual((one.reason, one.got), (None, self.all_from(1)))

    def test_another_policy_is_in_force_for_feeds_too(self) -> None:
        member = self.join()
        self.feeds.change(SLOW_POLICIES["skip"], 7.0)
        self.assertEqual((member.feed.hub.slow, member.feed.hub.stall_timeout), (SLOW_POLICIES["skip"], 7.0))

    def test_with_block_one_that_does_not_read_blocks_publishers_until_it_does(self) -> None:
        self.encoding.seconds = 1e-6
        member = self.blocked(1)
        member.read()
        self.turns.run_all()
        self.assertIsNone(self.intake.paused)
        self.publish(10)
        self.turns.run_all()
        self.assertEqual(member.got, self.all_from(1))

    def test_with_block_a_feed_that_waits_for_one_who_stalls_goes_on_when_that_is_ended(self) -> None:
        stalled = self.blocked(1)
        others = [self.join(), self.join()]
        for seconds in range(30):  # as long as anybody may stall
            stalled.feed.hub.sweep(1.0)
            self.hub.sweep(1.0)
            self.assertIsNone(others[0].reason, seconds)
        self.turns.run_all()
        self.assertEqual((stalled.reason, self.intake.paused), (CloseReason.STALLED, None))
        self.assertEqual([one.reason for one in others], [None, None])

    def test_with_block_nobody_is_overrun_by_what_is_encoded_at_once(self) -> None:
        member = self.blocked(1000)
        member.read()
        self.turns.run_all()
        self.assertEqual((member.got, self.intake.paused), (self.all_from(1), None))
