"""The hub's slow subscribers: what each policy does with them, and who takes nothing for too long."""

from __future__ import annotations

from relay.core.cursor import Lag, Tally
from relay.core.log import OVERHEAD
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import FakeSubscriber, frame
from tests.kit.hubs import HubTests


class SlowTests(HubTests):
    LIMIT = 20 * OVERHEAD

    def overrun(self, slow: SlowPolicy) -> FakeSubscriber:
        """One that takes a message and a half, and then nothing, until it has overrun."""
        self.set_up(limit=self.LIMIT, slow=slow)
        subscriber = FakeSubscriber(self.hub, room=10)
        self.publish(b"one", b"two", b"three")
        for number in range(25):
            self.now += 1
            self.publish(b"%d" % number)
        return subscriber

    def test_disconnect_says_how_far_behind_it_was(self) -> None:
        subscriber = self.overrun(SLOW_POLICIES["disconnect"])
        self.assertEqual(subscriber.reason, CloseReason.OVERRUN)
        kept = 19  # batches of 512 and some bytes
        behind = b"".join(frame(b"%d" % number) for number in range(kept))
        self.assertEqual(subscriber.lag, Lag(kept + 2, len(behind) + 23 - 10, float(kept)))
        self.assertEqual(subscriber.received, (frame(b"one") + frame(b"two"))[:10])
        self.assertEqual(self.hub.detach(subscriber.subscription), Tally(1, 10, 0))

    def test_only_those_that_the_log_has_left_behind_have_overrun(self) -> None:
        self.set_up(limit=self.LIMIT)
        far, near = FakeSubscriber(self.hub, room=0), FakeSubscriber(self.hub)
        self.publish(b"one")
        near.room = 0
        for _ in range(19):
            self.publish(b"more")
        self.assertEqual((far.reason, near.reason), (CloseReason.OVERRUN, None))
        near.read()
        self.assertEqual(near.received, frame(b"one") + frame(b"more") * 19)

    def test_skip_finishes_the_message_and_goes_to_the_newest_batch(self) -> None:
        subscriber = self.overrun(SLOW_POLICIES["skip"])
        self.assertIsNone(subscriber.reason)
        [(where, gap)] = subscriber.gaps
        self.assertEqual((where, gap.messages, gap.seconds), (10, 1 + 18, 19.0))
        subscriber.read()
        self.turns.run_all()
        rest = b"".join(frame(b"%d" % number) for number in range(18, 25))
        self.assertEqual(subscriber.received, frame(b"one") + frame(b"two") + rest)
        skipped = frame(b"three") + b"".join(frame(b"%d" % number) for number in range(18))
        self.assertEqual(gap.bytes, len(skipped))
        self.assertEqual(self.hub.detach(subscriber.subscription), Tally(9, len(subscriber.received), 19))

    def test_what_is_only_begun_does_not_count_as_given(self) -> None:
        subscriber = self.overrun(SLOW_POLICIES["skip"])
        self.assertEqual(self.hub.detach(subscriber.subscription), Tally(1, 10, 19))

    def test_skipping_again_before_the_begun_message_is_finished_still_finishes_it(self) -> None:
        subscriber = self.overrun(SLOW_POLICIES["skip"])
        for _ in range(40):
            self.publish(b"later")
        self.assertEqual([where for where, _ in subscriber.gaps], [10, 10, 10])
        subscriber.read(2)
        subscriber.read()
        self.turns.run_all()
        self.assertEqual(subscriber.received[:14], frame(b"one") + frame(b"two"))
        self.assertEqual(subscriber.received[14:], frame(b"later") * ((len(subscriber.received) - 14) // 9))

    def test_a_gap_of_nothing_is_not_announced(self) -> None:
        self.set_up(limit=OVERHEAD, slow=SLOW_POLICIES["skip"])
        subscriber = FakeSubscriber(self.hub, room=5)
        self.publish(b"one")
        self.publish(b"two")
        self.assertEqual(subscriber.gaps, [])
        subscriber.read()
        self.turns.run_all()
        self.assertEqual(subscriber.received, frame(b"one") + frame(b"two"))

    def test_block_stops_publishers_at_half_and_starts_them_below_a_quarter(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        subscriber = FakeSubscriber(self.hub, room=0)
        published = 0
        while self.intake.paused is None:
            self.publish(b"x" * 8)
            published += 1
            self.assertLess(published, 20)
        self.assertGreater(self.log.held, self.LIMIT // 2)
        self.assertEqual(self.intake.paused, Lag(published, 12 * published, 0.0))
        while self.intake.paused:
            subscriber.read(12)
            self.turns.run()
            if self.intake.paused:
                behind = published - len(subscriber.received) // 12
                self.assertGreaterEqual(behind * (OVERHEAD + 12), self.LIMIT // 4)
        self.assertIsNone(subscriber.reason)

    def test_block_leaves_room_for_what_is_reserved_for_others_also_when_they_come_to_hold_it(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        loan = self.budget.loan()
        loan.reserve(self.LIMIT // 2)
        subscriber = FakeSubscriber(self.hub, room=0)
        while self.intake.paused is None:
            self.publish(b"x" * 8)
        loan.hold(self.LIMIT // 2)
        for _ in range(self.LIMIT // 4 // (OVERHEAD + 12) - 1):  # what was on its way
            self.publish(b"x" * 8)
        self.assertIsNone(subscriber.reason)

    def test_block_ends_when_the_slowest_leaves(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        FakeSubscriber(self.hub, room=100)
        subscriber = FakeSubscriber(self.hub, room=0)
        while self.intake.paused is None:
            self.publish(b"x")
        self.hub.detach(subscriber.subscription)
        self.turns.run_all()
        self.assertIsNone(self.intake.paused)

    def test_without_subscribers_nothing_blocks(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        for _ in range(100):
            self.publish(b"x")
        self.assertEqual(self.intake.pauses, 0)

    def test_block_looks_once_a_turn_however_many_move(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        subscribers = [FakeSubscriber(self.hub, room=0) for _ in range(10)]
        while self.intake.paused is None:
            self.publish(b"x")
        for subscriber in subscribers:
            subscriber.read(5)
        self.assertEqual(len(self.turns._soon), 1)


class SweepTests(HubTests):
    def stuck(self, stall_timeout: float = 3.0) -> FakeSubscriber:
        self.set_up(stall_timeout=stall_timeout)
        subscriber = FakeSubscriber(self.hub, room=1)
        self.publish(b"one")
        self.sweep()
        return subscriber

    def test_one_that_takes_nothing_is_ended(self) -> None:
        subscriber = self.stuck()
        self.sweep()
        self.sweep()
        self.assertIsNone(subscriber.reason)
        self.sweep()
        self.assertEqual((subscriber.reason, subscriber.lag), (CloseReason.STALLED, Lag(1, 6, 4.0)))

    def test_one_that_may_wait_for_others_is_not(self) -> None:
        subscriber = self.stuck()
        subscriber.stalls = False
        for _ in range(10):
            self.sweep()
        self.assertIsNone(subscriber.reason)

    def test_taking_a_byte_is_progress(self) -> None:
        subscriber = self.stuck()
        for _ in range(5):
            self.sweep()
            self.sweep()
            subscriber.read(1)
        self.assertIsNone(subscriber.reason)

    def test_acknowledging_is_progress_and_being_given_more_is_not(self) -> None:
        subscriber = self.stuck()
        for held in (90, 80, 70, 60):
            subscriber.held = held
            self.sweep()
        self.assertIsNone(subscriber.reason)
        for held in (60, 70, 80):
            subscriber.held = held
            self.sweep()
        self.assertEqual(subscriber.reason, CloseReason.STALLED)

    def test_who_has_everything_is_never_stalled(self) -> None:
        self.set_up(stall_timeout=3.0)
        subscriber = FakeSubscriber(self.hub)
        for _ in range(10):
            self.sweep()
        self.assertIsNone(subscriber.reason)

    def test_what_only_the_transport_holds_counts_too(self) -> None:
        self.set_up(stall_timeout=3.0)
        copying = FakeSubscriber(self.hub, room=1, copies=True)
        self.publish(b"one")
        for _ in range(4):
            self.sweep()
        self.assertEqual((copying.reason, copying.lag), (CloseReason.STALLED, Lag(0, 0, 0.0)))

    def test_zero_is_never(self) -> None:
        subscriber = self.stuck(stall_timeout=0)
        for _ in range(100):
            self.sweep()
        self.assertIsNone(subscriber.reason)
