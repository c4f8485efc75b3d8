"""What the hub does unless told otherwise, who gets how much of a turn, who is where, and a change of policy."""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.budget import Budget
from relay.core.cursor import Lag
from relay.core.hub import Hub
from relay.core.log import OVERHEAD, Log
from relay.core.pace import CATCH_UP, FLUSH, LEAST_CATCH_UP, LEAST_READ, MANY, MAX_READ, PIECES, TURN
from relay.core.slow import SLOW_POLICIES
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from relay.wire.framing import Buffer, Frames
from tests.kit.fakes import FakeIntake, FakeSubscriber, Turns, frame, frames
from tests.kit.hubs import HubTests as Base


class DefaultTests(Base):
    def test_unless_told_otherwise(self) -> None:
        turns = Turns()
        log = Log(Int32.ends)
        hub = Hub(log, Budget(2**20), FakeIntake(), call_soon=turns.call_soon, clock=lambda: 5.0)
        self.assertEqual(
            (hub.slow, hub.stall_timeout, hub.replay, hub.blocked), (SLOW_POLICIES["disconnect"], 180.0, 0, False)
        )
        hub.publish(frames(b"one"))
        hub.publish(frames(b"two"))
        turns.run()
        self.assertIsNone(log.batch(0).ends)
        self.assertEqual(log.batch(0).time, 5.0)


class ReadTests(Base):
    def test_it_is_as_large_as_makes_sense(self) -> None:
        self.set_up()
        self.assertEqual(self.read(), MAX_READ)

    def test_it_is_within_an_eighth_of_the_buffer_and_what_was_asked_for(self) -> None:
        self.set_up(limit=2**20)
        self.assertEqual(self.read(), 2**17)
        self.set_up(max_read=64)
        self.assertEqual(self.read(), 64)

    def test_many_subscribers_and_many_publishers_make_it_smaller(self) -> None:
        self.set_up()
        for _ in range(MANY - 1):
            FakeSubscriber(self.hub)
        self.assertEqual(self.read(), TURN // MANY)
        self.turns.run()
        for _ in range(9 * MANY):
            FakeSubscriber(self.hub)
        for publishers in (4, 1, 400):
            before = {self.read(b"x", b"y") for _ in range(publishers)}
            self.turns.run()
            self.assertEqual(len(before), 1)
            self.assertEqual(self.read(), max(TURN // MANY // publishers, LEAST_READ))
            self.turns.run()

    def test_what_is_read_waits_for_the_end_of_the_turn_if_others_may_be_read_in_it(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.read(b"one", b"two")
        self.read(b"three")
        self.assertEqual(subscriber.calls, 0)
        self.turns.run()
        self.assertEqual(subscriber.calls, 1)

    def test_what_the_only_publisher_sent_goes_out_at_the_end_of_the_read_and_once(self) -> None:
        self.set_up()
        self.intake.alone = True
        subscriber = FakeSubscriber(self.hub)
        self.read(b"one", b"two")
        self.assertEqual((subscriber.calls, subscriber.received), (1, frame(b"one") + frame(b"two")))
        self.read()
        self.assertFalse(self.turns.run())
        self.assertEqual(subscriber.calls, 1)

    def test_what_another_published_in_the_same_turn_goes_out_with_it(self) -> None:
        """It is no publisher of a transport of ours, or it has left."""
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.read(b"one")
        self.intake.alone = True
        self.read(b"two")
        self.assertEqual((subscriber.calls, subscriber.received), (1, frame(b"one") + frame(b"two")))
        self.turns.run_all()
        self.assertEqual(self.read(b"three"), MAX_READ)
        self.assertEqual(subscriber.calls, 2)

    def test_of_the_only_publisher_reads_stay_large(self) -> None:
        self.set_up()
        self.intake.alone = True
        for _ in range(MANY):
            FakeSubscriber(self.hub)
        self.assertEqual([self.read(b"x", b"y") for _ in range(3)], [TURN // MANY] * 3)


class ShareTests(Base):
    def test_what_fills_a_flush_exactly_does_not_wait_either(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.hub.publish(frames(b"x" * (FLUSH - 5)))
        self.assertEqual(subscriber.calls, 0)
        self.turns.run()
        self.hub.publish(frames(b"x" * (FLUSH - 4)))
        self.assertEqual(subscriber.calls, 2)

    def test_reads_are_full_as_long_as_all_of_them_fit_into_a_turn(self) -> None:
        self.set_up()
        fitting = TURN // MAX_READ - 1  # and one for the reading itself
        for _ in range(fitting):
            FakeSubscriber(self.hub)
        self.assertEqual(self.read(), MAX_READ)
        FakeSubscriber(self.hub)
        self.assertEqual(self.read(), TURN // (fitting + 2))

    def test_the_publishers_of_the_last_turn_share_the_next_one(self) -> None:
        self.set_up()
        for _ in range(MANY):
            FakeSubscriber(self.hub)
        last = 1
        for publishers in (4, 2, 2):
            for _ in range(publishers):
                self.assertEqual(self.read(b"x"), TURN // MANY // last)
            self.turns.run()
            last = publishers

    def test_a_publisher_of_another_transport_counts_as_a_read(self) -> None:
        self.set_up()
        for _ in range(MANY):
            FakeSubscriber(self.hub)
        for _ in range(3):
            self.hub.publish(frames(b"x"))
        self.turns.run()
        self.assertEqual(self.read(), TURN // MANY // 3)

    def test_those_that_lag_share_a_turn(self) -> None:
        for lagging, share in (
            (1, CATCH_UP),
            (TURN // CATCH_UP, CATCH_UP),
            (200, TURN // 200),
            (TURN // LEAST_CATCH_UP + 500, LEAST_CATCH_UP),
        ):
            self.set_up()
            for _ in range(lagging - 1):
                FakeSubscriber(self.hub, room=0)
            subscriber = FakeSubscriber(self.hub, room=0)
            self.publish(b"x" * 2 * CATCH_UP)
            subscriber.read()
            self.assertEqual(len(subscriber.received), share, lagging)

    def test_no_call_has_more_pieces_than_the_kernel_takes(self) -> None:
        class Counting(FakeSubscriber):
            most = 0

            def deliver(self, pieces: Sequence[Buffer]) -> int:
                self.most = max(self.most, len(pieces))
                return super().deliver(pieces)

        self.set_up()
        subscriber = Counting(self.hub, room=0)
        for _ in range(2 * PIECES):
            self.publish(b"x")
        subscriber.read()
        self.turns.run_all()
        self.assertEqual(subscriber.most, PIECES)
        self.assertLess(PIECES, 1024)  # IOV_MAX of Linux, less one for the tail
        self.assertEqual(subscriber.received, frame(b"x") * 2 * PIECES)

    def test_a_single_piece_is_passed_on_as_it_is(self) -> None:
        self.set_up()
        FakeSubscriber(self.hub)
        data = memoryview(frame(b"large") + b"rest")[:9]
        self.hub.publish([Frames(data, 1, 13)])
        self.turns.run()
        self.assertIs(self.log.batch(0).data, data)
        self.assertEqual(self.log.held, 13 + OVERHEAD)


class PlaceTests(Base):
    """Whoever stands before what is dropped has overrun, in whatever order they began to lag."""

    LIMIT = 20 * OVERHEAD

    def test_one_that_is_replayed_to_is_the_slowest_also_after_somebody_overran(self) -> None:
        self.set_up(limit=self.LIMIT, replay=4)
        first = FakeSubscriber(self.hub, room=0)
        while first.reason is None:
            self.publish(b"x")
        self.check_overrun()

    def test_one_that_is_replayed_to_is_the_slowest_also_while_another_lags(self) -> None:
        self.set_up(limit=self.LIMIT, replay=4)
        for _ in range(10):
            self.publish(b"x")
        ahead = FakeSubscriber(self.hub)
        self.turns.run_all()
        ahead.room = 0
        self.publish(b"x")
        self.check_overrun()
        self.assertIsNone(ahead.reason)

    def check_overrun(self) -> None:
        """A subscriber that is replayed to and reads nothing is ended when its place is dropped, not later."""
        replayed = FakeSubscriber(self.hub, room=0)
        self.turns.run_all()
        place = replayed.subscription.cursor.place.batch
        self.assertLess(place, self.log.end - 1)
        while self.log.oldest <= place:
            self.assertIsNone(replayed.reason)
            self.publish(b"x")
        self.assertEqual(replayed.reason, CloseReason.OVERRUN)

    def test_one_that_left_is_not_among_those_that_lag_whatever_its_transport_says(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.hub.detach(subscriber.subscription)
        self.hub.pause(subscriber.subscription)
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 0))

    def test_a_turn_that_is_due_waits_when_the_transport_says_pause(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub, room=0)
        for _ in range(5):
            self.publish(b"x" * (CATCH_UP // 2))
        subscriber.read()
        calls = subscriber.calls
        self.hub.pause(subscriber.subscription)
        self.turns.run_all()
        self.assertEqual(subscriber.calls, calls)
        self.hub.resume(subscriber.subscription)
        self.turns.run_all()
        self.assertEqual(len(subscriber.received), self.log.size)

    def test_it_is_told_to_wait_each_time_when_it_took_less_and_at_no_other(self) -> None:
        class Told(FakeSubscriber):
            told: tuple[OSError | None, ...] = ()

            def await_room(self, error: OSError | None) -> None:
                super().await_room(error)
                self.told += (error,)

        self.set_up()
        subscriber = Told(self.hub, room=8)
        self.publish(b"one")
        self.assertEqual(subscriber.told, ())
        self.publish(b"two")
        self.assertEqual(subscriber.told, (None,))
        subscriber.read(1)
        self.assertEqual(subscriber.told, (None, None))
        subscriber.error = BlockingIOError()
        subscriber.read()
        self.assertEqual(subscriber.told, (None, None, subscriber.error))

    def test_one_that_may_go_on_and_lacks_nothing_is_given_nothing(self) -> None:
        self.set_up()
        copying = FakeSubscriber(self.hub, room=3, copies=True)
        self.publish(b"one")
        self.assertEqual(self.hub.lagging, 1)
        copying.read()
        self.assertEqual((copying.calls, self.hub.live), (1, 1))

    def test_to_be_asked_and_take_nothing_is_no_progress(self) -> None:
        self.set_up(stall_timeout=1.0)
        subscriber = FakeSubscriber(self.hub, room=0)
        self.publish(b"one")
        for _ in range(2):
            self.assertIsNone(subscriber.reason)
            subscriber.read(0)
            self.sweep()
        self.assertEqual(subscriber.reason, CloseReason.STALLED)

    def test_nothing_is_due_when_one_leaves_and_nobody_waits(self) -> None:
        self.set_up(slow=SLOW_POLICIES["block"])
        subscriber = FakeSubscriber(self.hub, room=0)
        self.publish(b"one")
        self.hub.detach(subscriber.subscription)
        self.assertFalse(self.turns.run())

    def test_who_lags_again_has_the_whole_stall_timeout_again(self) -> None:
        self.set_up(stall_timeout=3.0)
        subscriber = FakeSubscriber(self.hub, room=0)
        for _ in range(2):
            subscriber.room = 0
            self.publish(b"one")
            for _ in range(3):  # the first look counts nothing: the time before it may have been short
                self.sweep()
            self.assertIsNone(subscriber.reason)
            subscriber.read()
        subscriber.room = 0
        self.publish(b"one")
        for _ in range(4):
            self.assertIsNone(subscriber.reason)
            self.sweep()
        self.assertEqual(subscriber.reason, CloseReason.STALLED)


class ChangeTests(Base):
    LIMIT = 20 * OVERHEAD

    def test_publishers_that_wait_go_on_when_nobody_has_to_be_waited_for(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        subscriber = FakeSubscriber(self.hub, room=0)
        while self.intake.paused is None:
            self.publish(b"x")
        self.hub.change(SLOW_POLICIES["disconnect"], 30.0)
        self.assertIsNone(self.intake.paused)
        self.assertFalse(self.hub.blocked)
        for _ in range(20):
            self.publish(b"x")
        self.assertEqual(subscriber.reason, CloseReason.OVERRUN)

    def test_publishers_have_to_wait_at_once_when_somebody_is_far_behind(self) -> None:
        self.set_up(limit=self.LIMIT)
        FakeSubscriber(self.hub, room=0)
        for _ in range(15):
            self.publish(b"x")
        self.assertIsNone(self.intake.paused)
        self.hub.change(SLOW_POLICIES["block"], 30.0)
        self.assertEqual(self.intake.paused, Lag(15, 75, 0.0))

    def test_they_do_not_wait_for_one_that_skips(self) -> None:
        self.set_up(limit=self.LIMIT)
        FakeSubscriber(self.hub, room=0)
        for _ in range(15):
            self.publish(b"x")
        self.hub.change(SLOW_POLICIES["skip"], 30.0)
        self.assertIsNone(self.intake.paused)

    def test_they_wait_until_the_slowest_is_less_than_a_quarter_behind(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        subscriber = FakeSubscriber(self.hub, room=0)
        while self.intake.paused is None:
            self.publish(b"x")
        looks = set()
        while self.log.end > subscriber.subscription.cursor.place.batch:
            subscriber.read(5)
            self.turns.run()
            behind = self.log.behind(subscriber.subscription.cursor.place.batch)
            looks.add(self.intake.paused is not None)
            self.assertEqual(self.intake.paused is not None, behind >= self.LIMIT // 4)
        self.assertEqual(looks, {True, False})

    def test_they_go_on_waiting_if_only_the_stall_timeout_changes(self) -> None:
        self.set_up(limit=self.LIMIT, slow=SLOW_POLICIES["block"])
        subscriber = FakeSubscriber(self.hub, room=0)
        while self.intake.paused is None:
            self.publish(b"x")
        self.hub.change(SLOW_POLICIES["block"], 2.0)
        self.assertEqual(self.intake.pauses, 1)
        for _ in range(3):
            self.sweep()
        self.assertEqual(subscriber.reason, CloseReason.STALLED)
        self.turns.run_all()
        self.assertIsNone(self.intake.paused)
