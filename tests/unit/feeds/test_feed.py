"""Feeds, one behaviour at a time, with turns and a clock of the test's own; `model/test_feed` tries all orders."""

from __future__ import annotations

from twisted.internet.testing import StringTransport

from relay.core.cursor import Tally
from relay.core.slow import SLOW_POLICIES
from relay.core.state import State
from relay.feeds.feed import STEP
from relay.feeds.feeds import ENOUGH, FEEDS, KEPT, LITTLE, OLD, PART, PAUSE, SHARE, TIME_SLICE
from relay.feeds.membership import Membership
from relay.peers.subscriber import Subscriber
from relay.web.event_dialogue import EventDialogue
from relay.wire.close_reason import CloseReason
from relay.wire.events import EventEncoding
from tests.kit.fakes import accepted
from tests.kit.feeds import MIB, FeedTests, Member, Slowly


class EncodingTests(FeedTests):
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

    def test_whose_encoding_fails_is_told_of_and_ended_and_others_are_not(self) -> None:
        member, other = self.join(), Member(self.feeds, Slowly(self))
        self.encoding.error = RuntimeError("for the test")
        self.publish(3)
        self.turns.run_all()
        self.assertEqual((member.reason, other.reason), (CloseReason.ERROR, None))
        self.assertEqual(other.got, self.all_from(1))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.hub.lagging, 0)


def steps(seconds: float) -> int:
    """Messages that are encoded in that time, at 1 µs each: the clock is looked at now and then."""
    return STEP * (int(seconds * 1e6 - 1e-6) // STEP + 1)


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
            oldest = self.hub.reach(self.feeds.reach)
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

    def test_with_block_nobody_is_overrun_by_what_is_encoded_at_once(self) -> None:
        member = self.blocked(1000)
        member.read()
        self.turns.run_all()
        self.assertEqual((member.got, self.intake.paused), (self.all_from(1), None))


class ReturnTests(FeedTests):
    """Who comes back, and wants what a feed's log has no more."""

    def setUp(self) -> None:
        self.set_up(limit=MIB)
        self.here = self.join()
        self.feeds.sweep(1.0)
        self.publish_batches(1000, size=100)
        self.assertLess(self.hub.log.first, 10)
        self.assertGreater(self.here.feed.first, 100)

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

    def test_if_all_feeds_are_behind_and_no_more_may_be_there_is_none(self) -> None:
        self.publish(1)
        self.hub.flush()
        for wanted in range(10, 10 + FEEDS - 1):
            self.join(wanted)
        self.assertIsNone(self.feeds.provide(self.encoding, self.published + 1))
        membership = Membership(self.feeds, self.encoding, self.published + 1)
        subscriber = Subscriber(
            accepted("subscriber"), None, membership, EventDialogue(b"", "e", self.published + 1, missed=True)
        )
        transport = StringTransport()
        subscriber.makeConnection(transport)
        self.assertEqual((subscriber.reason, transport.disconnecting), (CloseReason.OVERRUN, True))
        self.assertEqual((subscriber.state, subscriber.lag(lambda: self.now)), (State.CUT, None))
        self.turns.run_all()
        self.assertIsNotNone(self.feeds.provide(self.encoding, self.published + 1))

    def test_what_a_real_subscriber_was_given_adds_up(self) -> None:
        subscriber = Subscriber(
            accepted("subscriber"),
            None,
            Membership(self.feeds, EventEncoding("e"), 10),
            EventDialogue(b"HTTP/1.1 200 OK\r\n\r\n", "e", 10, missed=True),
        )
        transport = StringTransport()
        subscriber.makeConnection(transport)
        self.publish_batches(5)
        self.assertEqual(subscriber.tally, Tally(len(self.all_from(10)), len(transport.value()), 0))


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

    def test_little_is_kept_before_anybody_came_and_all_after_that_but_not_in_a_flood(self) -> None:
        limit = 4 * MIB
        kept_for_them = limit * KEPT // 8
        self.set_up(limit=limit)
        self.feeds.sweep(1.0)
        self.assertEqual(self.hub.budget.history, LITTLE)
        self.join().leave()
        self.feeds.sweep(1.0)
        self.assertEqual(self.hub.budget.history, kept_for_them)
        for size, kept in ((limit // ENOUGH + MIB, LITTLE), (limit // ENOUGH - MIB, kept_for_them)):
            self.publish(int(size) // MIB, size=MIB)
            self.turns.run_all()
            self.feeds.sweep(1.0)
            self.assertEqual(self.hub.budget.history, kept)
        self.publish(5, size=MIB)
        self.turns.run_all()
        self.feeds.sweep(5.0)
        self.assertEqual(self.hub.budget.history, kept_for_them, "5 MiB in five seconds are no flood")

    def test_with_a_replay_as_much_is_kept_always(self) -> None:
        self.set_up(limit=4 * MIB, replay=10)
        self.publish(4, size=MIB)
        self.turns.run_all()
        self.feeds.sweep(1.0)
        self.assertEqual(self.hub.budget.history, 4 * MIB * KEPT // 8)
