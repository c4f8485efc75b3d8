"""Feeds with a journal: a feed begins in the past, reads on when its chunks come, and loses nothing."""

from __future__ import annotations

from relay.core.history import History
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.feeds.feeds import FEEDS_WITH_PAST, PART, SMALL_PART, Feeds
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from tests.kit.events import events
from tests.kit.feeds import Member, Slowly
from tests.kit.pasts import LIMIT, PastTests


class FeedsPastTests(PastTests):
    def set_up_feeds(self, slow: SlowPolicy = SLOW_POLICIES["disconnect"], size: int = 1 << 20) -> None:
        self.set_up_past(slow=slow, size=size)
        self.feeds = Feeds(
            self.hub,
            Int32,
            History(self.hub),
            call_soon=self.turns.call_soon,
            call_later=lambda seconds, function: self.turns.call_soon(function),
            clock=lambda: self.now,
        )
        self.encoding = Slowly(self)

    def settle(self) -> None:
        for _ in range(2000):
            self.now += 0.01
            self.turns.run()
            self.threads.run()

    def positions(self, member: Member) -> list[int]:
        """The positions of the messages that came."""
        return [event.position for event in events(bytes(member.received))]

    def test_one_that_comes_back_for_what_only_the_journal_has_gets_all_of_it(self) -> None:
        self.set_up_feeds()
        self.publish_many(400)
        member = Member(self.feeds, self.encoding, 3)
        self.assertEqual(member.first, 3)
        self.settle()
        self.publish_many(20)
        self.settle()
        self.assertEqual(self.positions(member), list(range(3, 421)))
        self.assertTrue(member.feed.live)
        self.assertEqual(len(self.past.readings), 0)

    def test_one_that_stops_reading_for_long_loses_nothing(self) -> None:
        self.set_up_feeds()
        member = Member(self.feeds, self.encoding, room=100)
        self.publish_many(400)
        self.settle()
        self.assertEqual(len(self.past.readings), 1, "its feed waits for it in the past")
        for _ in range(2):
            self.journal.reader.sweep(1.0)
        self.assertEqual(self.journal.reader.size, 0, "and has nothing in memory meanwhile")
        member.read()
        self.settle()
        self.assertEqual(self.positions(member), list(range(1, 401)))

    def test_those_who_come_back_from_far_apart_have_feeds_of_their_own_and_the_last_has_to_wait(self) -> None:
        self.set_up_feeds()
        self.publish_many(400)
        members = [Member(self.feeds, self.encoding, 390 - 40 * number) for number in range(FEEDS_WITH_PAST)]
        self.assertEqual(len({member.feed for member in members}), FEEDS_WITH_PAST)
        self.assertEqual(
            sorted({member.feed.hub.budget.size for member in members}), [LIMIT // SMALL_PART, LIMIT // PART]
        )
        self.assertIsNone(self.feeds.provide(self.encoding, 1))
        self.settle()
        late = Member(self.feeds, self.encoding, 1)
        self.settle()
        for member in (*members, late):
            self.assertEqual(self.positions(member), list(range(member.first, 401)))

    def test_one_whose_place_the_journal_drops_is_ended(self) -> None:
        self.set_up_feeds(size=4 * 8 * 1024)
        member = Member(self.feeds, self.encoding, room=100)
        self.publish_many(600)
        self.settle()
        self.assertIs(member.reason, CloseReason.OVERRUN)
