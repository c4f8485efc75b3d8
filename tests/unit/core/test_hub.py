"""The hub, one behaviour at a time; `model/test_hub` tries them in all orders."""

from __future__ import annotations

from relay.core.cursor import Lag, Tally
from relay.core.log import OVERHEAD
from relay.core.pace import CATCH_UP, FLUSH
from relay.core.pending import LARGE
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames
from tests.kit.fakes import FakeSubscriber, frame, frames
from tests.kit.hubs import HubTests


class PublishTests(HubTests):
    def test_everybody_gets_everything_in_order(self) -> None:
        self.set_up()
        subscribers = [FakeSubscriber(self.hub) for _ in range(3)]
        self.publish(b"one", b"two")
        self.publish(b"three")
        for subscriber in subscribers:
            self.assertEqual(subscriber.received, frame(b"one") + frame(b"two") + frame(b"three"))

    def test_one_turn_is_one_call_for_each_subscriber(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        for message in (b"one", b"two", b"three"):
            self.hub.publish(frames(message))
        self.assertEqual(subscriber.calls, 0)
        self.turns.run()
        self.assertEqual(subscriber.calls, 1)
        self.assertEqual(self.log.end, 1)
        self.turns.run_all()
        self.assertEqual(subscriber.calls, 1)

    def test_a_lot_does_not_wait_for_the_end_of_the_turn(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.hub.publish(frames(b"x" * FLUSH))
        self.assertEqual(len(subscriber.received), FLUSH + 4)

    def test_a_small_buffer_makes_that_less(self) -> None:
        self.set_up(limit=8000)
        subscriber = FakeSubscriber(self.hub)
        self.hub.publish(frames(b"x" * 995))
        self.assertEqual(subscriber.calls, 0)
        self.hub.publish(frames(b""))
        self.assertEqual(subscriber.calls, 1)

    def test_large_pieces_are_batches_of_their_own_and_still_one_call(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        large = b"x" * LARGE
        for message in (b"a", b"b", large, large, b"c"):
            self.hub.publish(frames(message))
        self.turns.run()
        self.assertEqual([self.log.batch(number).messages for number in range(self.log.end)], [2, 1, 1, 1])
        self.assertEqual(subscriber.calls, 1)
        self.assertEqual(subscriber.received, b"".join(map(frame, (b"a", b"b", large, large, b"c"))))

    def test_what_cannot_be_told_apart_later_carries_its_ends(self) -> None:
        self.set_up(self_delimiting=False)
        for data in (b"ab", b"c"):
            self.hub.publish([Frames(data, 1, len(data))])
        self.turns.run()
        self.assertEqual(list(self.log.batch(0).ends or []), [2, 3])

    def test_nobody_needs_to_be_there(self) -> None:
        self.set_up()
        self.publish(b"one")
        self.assertEqual(self.log.next, 2)

    def test_nothing_is_kept_that_nobody_needs(self) -> None:
        self.set_up()
        FakeSubscriber(self.hub)
        for _ in range(100):
            self.publish(b"x")
            self.assertEqual(self.log.end - self.log.oldest, 1)

    def test_what_a_replay_may_need_is_kept_within_the_limit(self) -> None:
        self.set_up(limit=10 * OVERHEAD, replay=1)
        for _ in range(100):
            self.publish(b"")
            self.assertLessEqual(self.log.held, self.budget.limit)
        self.assertEqual(self.log.first, 101 - 9)


class AttachTests(HubTests):
    def test_a_new_subscriber_gets_what_comes_after_it(self) -> None:
        self.set_up()
        self.publish(b"before")
        self.hub.publish(frames(b"in the same turn"))
        subscriber = FakeSubscriber(self.hub)
        self.publish(b"after")
        self.assertEqual(subscriber.received, frame(b"after"))

    def test_replay_starts_that_many_messages_earlier_also_inside_a_batch(self) -> None:
        self.set_up(replay=3)
        self.publish(b"one", b"two")
        self.publish(b"three", b"four")
        subscriber = FakeSubscriber(self.hub)
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 1))
        self.turns.run_all()
        self.assertEqual(subscriber.received, frame(b"two") + frame(b"three") + frame(b"four"))
        self.assertEqual((self.hub.live, self.hub.lagging), (1, 0))
        self.publish(b"five")
        self.assertEqual(self.hub.detach(subscriber.subscription), Tally(4, len(subscriber.received), 0))

    def test_replay_is_everything_where_there_is_less(self) -> None:
        self.set_up(replay=10)
        subscriber = FakeSubscriber(self.hub)
        self.assertEqual(self.hub.live, 1)
        self.publish(b"one")
        other = FakeSubscriber(self.hub)
        self.turns.run_all()
        self.assertEqual(other.received, subscriber.received)

    def test_replay_takes_a_quarter_of_the_buffer_at_most(self) -> None:
        self.set_up(limit=20 * OVERHEAD, replay=1000)
        for _ in range(20):
            self.publish(b"")
        subscriber = FakeSubscriber(self.hub)
        self.turns.run_all()
        self.assertEqual(subscriber.received, frame(b"") * 4)  # a batch costs 4 bytes and the overhead: 5 are too many

    def test_what_is_published_during_a_replay_comes_after_it(self) -> None:
        self.set_up(replay=1)
        self.publish(b"one")
        subscriber = FakeSubscriber(self.hub)
        self.hub.publish(frames(b"two"))
        self.turns.run_all()
        self.assertEqual(subscriber.received, frame(b"one") + frame(b"two"))

    def test_a_subscriber_that_left_is_given_nothing(self) -> None:
        self.set_up(replay=1)
        self.publish(b"one")
        live, replaying = FakeSubscriber(self.hub), FakeSubscriber(self.hub)
        self.turns.run_all()
        late = FakeSubscriber(self.hub)
        for subscriber in (live, replaying, late):
            self.hub.detach(subscriber.subscription)
        self.publish(b"two")
        self.turns.run_all()
        self.assertEqual(live.received, frame(b"one"))
        self.assertEqual(late.received, b"")
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 0))

    def test_leaving_twice_and_pausing_afterwards_change_nothing(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.publish(b"one")
        tally = self.hub.detach(subscriber.subscription)
        self.publish(b"two")
        self.hub.pause(subscriber.subscription)
        self.hub.resume(subscriber.subscription)
        self.assertEqual(self.hub.detach(subscriber.subscription), tally)
        self.assertEqual((tally, self.hub.lagging), (Tally(1, 7, 0), 0))

    def test_one_that_leaves_during_a_flush_is_not_delivered_to(self) -> None:
        self.set_up()
        first = FakeSubscriber(self.hub)
        second = FakeSubscriber(self.hub)
        deliver = first.deliver_one

        def leave(piece):  # type: ignore[no-untyped-def]
            self.hub.detach(second.subscription)
            self.hub.detach(first.subscription)
            return deliver(piece) - 1

        first.subscription.deliver_one = leave
        self.publish(b"one")
        self.assertEqual(second.calls, 0)
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 0))


class LaggingTests(HubTests):
    def test_nobody_waits_for_the_slowest(self) -> None:
        self.set_up()
        slow, quick = FakeSubscriber(self.hub, room=5), FakeSubscriber(self.hub)
        self.publish(b"one", b"two")
        self.publish(b"three")
        self.assertEqual(slow.calls, 1)
        self.assertEqual(quick.received, frame(b"one") + frame(b"two") + frame(b"three"))
        slow.read()
        self.assertEqual(slow.received, quick.received)
        self.assertEqual(self.hub.live, 2)

    def test_the_first_to_lag_may_do_so_in_the_first_of_several_batches(self) -> None:
        self.set_up()
        slow, quick = FakeSubscriber(self.hub, room=1), FakeSubscriber(self.hub)
        for message in (b"a", b"b" * LARGE, b"c" * LARGE):
            self.hub.publish(frames(message))
        self.turns.run()
        slow.read()
        self.assertEqual(slow.received, quick.received)
        self.assertEqual(len(quick.received), 13 + 2 * LARGE)

    def test_many_small_batches_are_caught_up_with_in_one_call(self) -> None:
        self.set_up()
        slow = FakeSubscriber(self.hub, room=0)
        for _ in range(500):
            self.publish(b"x")
        slow.read()
        self.assertEqual((slow.calls, len(slow.received)), (2, 2500))

    def test_a_fast_reader_far_behind_does_not_own_the_turn(self) -> None:
        self.set_up()
        slow = FakeSubscriber(self.hub, room=0)
        for _ in range(5):
            self.publish(b"x" * (CATCH_UP // 2))
        slow.read()
        self.assertEqual(len(slow.received), CATCH_UP)
        self.turns.run()
        self.assertEqual(len(slow.received), 2 * CATCH_UP)
        self.turns.run_all()
        self.assertEqual(len(slow.received), self.log.size)

    def test_one_that_is_resumed_while_a_turn_is_due_gets_one_turn_more_and_not_two(self) -> None:
        self.set_up()
        slow = FakeSubscriber(self.hub, room=0)
        for _ in range(8):
            self.publish(b"x" * (CATCH_UP // 2))
        slow.read()
        self.hub.resume(slow.subscription)
        self.assertEqual(len(slow.received), 2 * CATCH_UP)
        self.turns.run()
        self.assertEqual(len(slow.received), 3 * CATCH_UP)

    def test_one_that_says_pause_after_it_took_everything_lags_until_it_says_resume(self) -> None:
        self.set_up()
        copying = FakeSubscriber(self.hub, room=3, copies=True)
        self.publish(b"one")
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 1))
        self.publish(b"two")
        self.assertEqual(copying.received, frame(b"one"))
        copying.read()
        self.assertEqual(copying.received, frame(b"one") + frame(b"two"))
        self.assertEqual(self.hub.live, 1)

    def test_a_resume_without_a_pause_is_harmless(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.hub.resume(subscriber.subscription)
        self.publish(b"one")
        self.assertEqual(subscriber.received, frame(b"one"))

    def test_a_failure_ends_that_subscriber_only(self) -> None:
        self.set_up()
        bad, good = FakeSubscriber(self.hub), FakeSubscriber(self.hub)
        bad.error = ZeroDivisionError()
        self.publish(b"one")
        self.assertEqual((bad.reason, bad.lag), (CloseReason.ERROR, Lag(1, 7, 0.0)))
        self.assertEqual(self.hub.detach(bad.subscription), Tally(0, 0, 0))
        self.assertEqual(good.received, frame(b"one"))

    def test_an_error_of_the_socket_is_the_transports_business(self) -> None:
        self.set_up()
        broken, good = FakeSubscriber(self.hub), FakeSubscriber(self.hub)
        broken.error = ConnectionResetError()
        self.publish(b"one")
        self.assertEqual((broken.reason, self.hub.lagging), (None, 1))
        broken.read()
        self.assertEqual((broken.reason, self.hub.lagging), (None, 1))
        self.assertEqual(self.hub.detach(broken.subscription), Tally(0, 0, 0))
        self.publish(b"two")
        self.assertEqual(good.received, frame(b"one") + frame(b"two"))

    def test_a_failure_while_it_catches_up_does_too(self) -> None:
        self.set_up()
        bad, good = FakeSubscriber(self.hub, room=0), FakeSubscriber(self.hub)
        self.publish(b"one")
        bad.error = ZeroDivisionError()
        bad.read()
        self.assertEqual(bad.reason, CloseReason.ERROR)
        self.publish(b"two")
        self.assertEqual(good.received, frame(b"one") + frame(b"two"))

    def test_what_is_no_message_comes_between_two_and_counts_as_bytes_alone(self) -> None:
        self.set_up()
        slow, live = FakeSubscriber(self.hub, room=7), FakeSubscriber(self.hub)
        self.publish(b"one", b"two")
        for one in (slow, live):
            self.hub.insert(one.subscription, b"<!>")
        self.assertEqual(live.received, frame(b"one") + frame(b"two") + b"<!>")
        slow.read()
        self.assertEqual(slow.received, frame(b"one") + b"<!>" + frame(b"two"))
        self.publish(b"three")
        for one in (slow, live):
            self.assertEqual(self.hub.detach(one.subscription), Tally(3, 26, 0))
            self.hub.insert(one.subscription, b"<!>")
            self.assertTrue(one.received.endswith(b"three"))

    def test_one_that_leaves_while_it_catches_up_is_forgotten(self) -> None:
        self.set_up()
        slow = FakeSubscriber(self.hub, room=0)
        self.publish(b"one")

        def leave(pieces):  # type: ignore[no-untyped-def]
            self.hub.detach(slow.subscription)
            return 1

        slow.subscription.deliver = leave
        slow.read()
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 0))
