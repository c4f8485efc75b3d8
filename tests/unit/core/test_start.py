"""Where subscribers begin, and what they are told to have lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from relay.core.history import History
from relay.core.log import OVERHEAD
from relay.core.start import EARLY, LOOK, NEXT, Start, Starts, wait
from relay.wire.hello import SubscriberHello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import frames
from tests.kit.hubs import HubTests
from tests.kit.sessions import Timers

EPOCH = "0123456789ab"
NOW = 1_000_000_000.0


class StartTests(HubTests):
    def setUp(self) -> None:
        self.begin(limit=2**20)

    def begin(self, limit: int) -> None:
        self.set_up(limit=limit)
        self.history = History(self.hub)
        self.starts = Starts(self.hub, self.history, [Epoch(EPOCH, 1)], lambda: self.now, lambda: NOW + self.now)
        self.history.use()

    def first(self, hello: SubscriberHello) -> tuple[int, int | None]:
        """The position of the first message, and how many are lost."""
        start = self.starts.find(hello)
        first = self.starts.first(start)
        return first, start.lost(first)

    def after(self, number: int, epoch: str = EPOCH) -> tuple[int, int | None]:
        return self.first(SubscriberHello(after=Position(epoch, number)))

    def test_who_wants_nothing_begins_with_what_is_published_next(self) -> None:
        self.assertEqual(self.first(SubscriberHello()), (1, 0))
        self.publish(b"one")
        self.assertEqual(self.first(SubscriberHello()), (2, 0))
        self.assertEqual(self.starts.find(SubscriberHello()), NEXT)

    def test_who_comes_back_goes_on_behind_its_last_message(self) -> None:
        for _ in range(5):
            self.publish(b"message")
        self.assertEqual([self.after(number) for number in (0, 1, 4, 5)], [(1, 0), (2, 0), (5, 0), (6, 0)])

    def test_who_wants_what_is_since_a_time_at_which_nothing_was_published_wants_what_is_next(self) -> None:
        self.publish(b"one")
        for since in (datetime(9999, 12, 31, tzinfo=UTC), 0.0):
            self.now += 1
            self.assertEqual(self.starts.find(SubscriberHello(since=since)), NEXT)

    def test_what_was_published_in_this_turn_counts(self) -> None:
        self.publish(b"one")
        self.hub.publish(frames(b"two"))
        self.assertEqual(self.after(2), (3, 0))
        self.assertEqual(self.first(SubscriberHello(replay=1)), (2, 0))

    def test_who_comes_back_too_late_is_told_how_many_are_lost(self) -> None:
        for _ in range(3000):
            self.publish(bytes(1000))
        first = self.history.first
        self.assertGreater(first, 10)
        self.assertEqual(self.after(3), (first, first - 4))
        self.assertEqual(self.after(first - 1), (first, 0))

    def test_of_another_epoch_nobody_knows_and_all_that_can_be_had_comes(self) -> None:
        self.publish(b"one")
        self.publish(b"two")
        self.assertEqual(self.after(1, "ba9876543210"), (1, None))
        self.assertEqual(self.after(3), (1, None), "no message has that number yet")

    def test_a_mirror_begins_with_as_much_as_it_can_keep(self) -> None:
        for _ in range(5):
            self.publish(bytes(1000))
        self.assertEqual(self.first(SubscriberHello(mirror=3 * (1004 + OVERHEAD))), (3, 0))
        self.assertEqual(self.first(SubscriberHello(mirror=0)), (5, 0))

    def test_who_comes_from_a_relay_that_has_got_further_is_early(self) -> None:
        self.publish(b"one")
        shared = Starts(self.hub, self.history, [Epoch(EPOCH, 1)], lambda: 0.0, lambda: 0.0, shared=True)
        for starts, epoch, number, early in (
            (self.starts, EPOCH, 2, False),
            (shared, EPOCH, 1, False),
            (shared, EPOCH, 2, True),
            (shared, "ba9876543210", 1, False),
        ):
            self.assertEqual(starts.early(SubscriberHello(after=Position(epoch, number))), early)
        shared.current = False
        self.assertTrue(shared.early(SubscriberHello(after=Position("ba9876543210", 1))), "it may be a new one")
        self.assertFalse(shared.early(SubscriberHello()))
        shared.known = False
        self.assertTrue(shared.early(SubscriberHello()))

    def test_one_of_an_older_epoch_is_early_too_if_this_relay_has_not_got_as_far(self) -> None:
        self.publish(b"one")
        epochs = [Epoch("5289cfdd2847", 1), Epoch(EPOCH, 4)]
        shared = Starts(self.hub, self.history, epochs, lambda: 0.0, lambda: 0.0, shared=True)
        for number, early, wanted, ahead in ((1, False, 2, 0), (2, True, 3, 0), (3, True, 4, 0), (9, True, 4, 6)):
            hello = SubscriberHello(after=Position("5289cfdd2847", number))
            start = shared.find(hello)
            self.assertEqual((shared.early(hello), start.wanted, start.ahead), (early, wanted, ahead))
            self.assertEqual(start.early(self.log.next), early)

    def test_until_a_mirror_is_complete_nobody_begins_with_the_next_message(self) -> None:
        shared = Starts(self.hub, self.history, [Epoch(EPOCH, 1)], lambda: 0.0, lambda: 0.0, shared=True)
        shared.complete = False
        for hello, early in (
            (SubscriberHello(), True),
            (SubscriberHello(replay=0), True),
            (SubscriberHello(mirror=10_000), True),
            (SubscriberHello(replay=2), False),
            (SubscriberHello(since=0.0), False),
            (SubscriberHello(after=Position(EPOCH, 0)), False),
        ):
            self.assertEqual(shared.early(hello), early, hello)

    def test_the_last_messages(self) -> None:
        for _ in range(5):
            self.publish(b"message")
        for replay, first in ((0, 6), (1, 5), (5, 1), (99, 1)):
            self.assertEqual(self.first(SubscriberHello(replay=replay)), (first, 0))

    def test_what_was_published_since_then(self) -> None:
        for second in range(5):
            self.now = float(second)
            self.publish(b"message")
        for age, first in ((0.0, 5), (0.5, 5), (1.0, 4), (1.5, 4), (4.0, 1), (10**9, 1)):
            self.assertEqual(self.first(SubscriberHello(since=float(age))), (first, 0), age)
        for second, first in ((-5, 1), (0, 1), (1, 2), (4, 5), (5, 6)):
            time = datetime.fromtimestamp(NOW + second, UTC)
            self.assertEqual(self.first(SubscriberHello(since=time)), (first, 0), second)

    def test_only_one_that_resumes_can_have_lost_something(self) -> None:
        self.assertEqual(Start(5).lost(9), 0)
        self.assertEqual(Start(5, resumes=True).lost(9), 4)
        self.assertIsNone(Start(1, resumes=True, known=False).lost(9))

    def test_who_comes_from_a_relay_of_the_same_order_that_is_further_waits_until_this_one_is_as_far(self) -> None:
        epochs = [Epoch(EPOCH, 1)]
        self.starts = Starts(self.hub, self.history, epochs, lambda: self.now, lambda: NOW, shared=True)
        self.publish(b"one")
        timers = Timers()
        found: list[Start] = []
        start = self.starts.find(SubscriberHello(after=Position(EPOCH, 3)))
        in_vain = replace(start, wanted=9)
        for one in (start, in_vain):
            wait(self.hub, one, timers.call_later, found.append)
        self.publish(b"two")
        timers.advance(EARLY / 2)
        self.assertEqual(found, [])
        self.publish(b"three")
        timers.advance(LOOK)
        self.assertEqual((found, self.starts.first(start), start.lost(4)), ([start], 4, 0))
        timers.advance(EARLY)
        self.assertEqual((found[1:], in_vain.early(self.hub.log.next)), ([in_vain], True))

    def test_nobody_else_has_to_wait(self) -> None:
        self.publish(b"one")
        for hello in (SubscriberHello(), SubscriberHello(replay=3), SubscriberHello(after=Position(EPOCH, 3))):
            self.assertFalse(self.starts.find(hello).early(self.hub.log.next))
