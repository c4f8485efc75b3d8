"""The past: who falls out of the log goes on in the journal, arrives in the log again, and overruns only there."""

from __future__ import annotations

from relay.core.cursor import Tally
from relay.core.slow import SLOW_POLICIES
from relay.core.state import State
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import FakeSubscriber, frame
from tests.kit.pasts import LIMIT, PastTests


class FallingTests(PastTests):
    def setUp(self) -> None:
        self.set_up_past()

    def test_who_falls_out_of_the_log_gets_everything_when_it_reads(self) -> None:
        slow, fast = FakeSubscriber(self.hub, room=150), FakeSubscriber(self.hub)
        sent = self.publish_many(300)
        self.assertEqual(len(self.past.readings), 1)
        self.assertLessEqual(self.log.held, LIMIT)
        slow.read()
        self.settle()
        self.assertEqual((bytes(slow.received) == sent, bytes(fast.received) == sent), (True, True))
        self.assertEqual((slow.lifecycle.state, len(self.past.readings), self.hub.live), (State.LIVE, 0, 2))
        self.assertEqual(slow.subscription.given(), Tally(300, len(sent), 0))

    def test_who_is_back_in_the_log_can_fall_out_again(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        sent = self.publish_many(100)
        for _ in range(20):
            slow.read(2000)
            self.settle()
            sent += self.publish_many(100)
        slow.read()
        self.settle()
        self.assertEqual(bytes(slow.received), sent)

    def test_one_that_stops_in_the_log_again_is_moved_out_of_the_way_again(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        sent = self.publish_many(100)
        slow.read(len(sent))
        self.settle()
        sent += self.publish_many(10)
        slow.read(1)
        self.settle()
        self.assertEqual((len(self.past.readings), slow.lifecycle.state), (0, State.WAITING))
        sent += self.publish_many(100)
        slow.read()
        self.settle()
        self.assertEqual(bytes(slow.received), sent)

    def test_wherever_one_is_moved_to_in_the_log_it_is_moved_out_of_the_way(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        self.publish_many(100)
        for _ in range(30):
            self.hub.move(slow.subscription, self.log.first, b"")
            self.publish_many(27)
            self.hub.move(slow.subscription, 1, b"")
            self.publish_many(1)
        slow.read()
        self.settle()
        self.assertEqual(slow.subscription.given().messages, self.log.next - 1)

    def test_it_lags_and_says_how_far(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        sent = self.publish_many(300)
        self.time.now += 5_000_000
        lag = slow.subscription.lag(lambda: self.now)
        self.assertEqual((lag.messages, slow.lifecycle.state), (300, State.WAITING))
        self.assertTrue(len(sent) <= lag.bytes <= 2 * len(sent), lag)
        self.assertTrue(5.0 <= lag.seconds <= 6.0, lag)

    def test_one_that_takes_nothing_keeps_nothing_but_the_rest_of_its_message(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        sent = self.publish_many(300)
        slow.read(150)
        self.settle()
        cursor = slow.subscription.cursor
        self.assertEqual(bytes(slow.received), sent[:150])
        self.assertEqual(cursor.read(10**6, 100)[1], len(cursor.tail))
        self.assertLess(len(cursor.tail), 110)
        for _ in range(2):
            self.journal.reader.sweep(1.0)
        self.assertEqual(self.journal.reader.size, 0)

    def test_one_that_leaves_gives_back_what_it_has(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        self.publish_many(300)
        slow.read(10**4)
        self.turns.run()
        self.hub.detach(slow.subscription)
        self.settle()
        for _ in range(2):
            self.journal.reader.sweep(1.0)
        self.assertEqual((self.journal.reader.size, len(self.past.readings)), (0, 0))

    def test_what_is_inserted_comes_between_two_messages(self) -> None:
        slow = FakeSubscriber(self.hub, room=50)
        sent = self.publish_many(300)
        self.hub.insert(slow.subscription, b"between")
        slow.read()
        self.settle()
        end = sent.index(frame(b"2")[4:] + b".") - 4
        self.assertEqual(bytes(slow.received), sent[:end] + b"between" + sent[end:])

    def test_one_that_is_stalled_is_ended_as_ever(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        self.publish_many(300)
        for _ in range(31):
            self.sweep()
        self.assertIs(slow.reason, CloseReason.STALLED)
        assert slow.lag is not None
        self.assertEqual(slow.lag.messages, 300)

    def test_while_it_waits_for_the_disk_it_is_not_stalled(self) -> None:
        slow = FakeSubscriber(self.hub, room=0)
        self.publish_many(300)
        slow.read()
        for _ in range(100):
            self.sweep()
        self.assertIsNone(slow.reason)

    def test_what_cannot_be_read_ends_it_and_is_told(self) -> None:
        slow, fast = FakeSubscriber(self.hub, room=0), FakeSubscriber(self.hub)
        self.publish_many(300)
        first = self.journal.storage.segments[0]
        self.disk.files[first.path].data[first.size - 10] ^= 1
        slow.read()
        self.settle()
        self.assertEqual((slow.reason, bytes(slow.received)), (CloseReason.JOURNAL_DAMAGED, b""))
        self.assertEqual(len(self.unreadable), 1)
        self.assertIsNone(fast.reason)


class BeginningTests(PastTests):
    def setUp(self) -> None:
        self.set_up_past()

    def test_one_may_begin_as_far_back_as_the_journal_goes(self) -> None:
        sent = self.publish_many(300)
        self.assertGreater(self.log.first, 200)
        self.assertEqual((self.hub.recent(300), self.hub.recent(1000), self.hub.recent(1)), (1, 1, 300))
        self.hub.replay = 290
        late = FakeSubscriber(self.hub)
        self.settle()
        self.assertEqual(bytes(late.received), b"".join(frame(b"%d" % n + b"." * 100) for n in range(11, 301)))
        self.assertTrue(sent.endswith(bytes(late.received)))

    def test_one_is_moved_there_and_told_first(self) -> None:
        self.publish_many(300)
        one = FakeSubscriber(self.hub)
        self.hub.move(one.subscription, 100, b"welcome")
        self.settle()
        self.hub.move(one.subscription, 299, b"again")
        self.settle()
        messages = [frame(b"%d" % n + b"." * 100) for n in range(1, 301)]
        self.assertEqual(
            bytes(one.received), b"welcome" + b"".join(messages[99:]) + b"again" + b"".join(messages[298:])
        )

    def test_one_is_moved_while_something_is_read_for_it(self) -> None:
        self.publish_many(300)
        one = FakeSubscriber(self.hub)
        for position in (100, 7, 300, 50):
            self.hub.move(one.subscription, position, b"to %d;" % position)
            self.turns.run()
        self.settle()
        self.assertTrue(bytes(one.received).endswith(frame(b"300" + b"." * 100)))
        self.assertEqual(bytes(one.received).count(b"."), 100 * (1 + 251))


class EndTests(PastTests):
    """A journal that drops its oldest messages before a subscriber has read them."""

    def test_who_is_older_than_the_journal_has_overrun(self) -> None:
        self.set_up_past(size=4 * 8 * 1024)
        slow = FakeSubscriber(self.hub, room=0)
        self.publish_many(400)
        self.assertGreater(self.journal.storage.oldest, 1)
        self.assertEqual((slow.reason, len(self.past.readings)), (CloseReason.OVERRUN, 0))

    def test_who_may_skip_goes_on_with_the_newest_and_is_told(self) -> None:
        self.set_up_past(slow=SLOW_POLICIES["skip"], size=4 * 8 * 1024)
        slow = FakeSubscriber(self.hub, room=50)
        slow.notice = b"lost"
        sent = self.publish_many(400)
        slow.read()
        self.settle()
        gaps = sum([gap.messages for _, gap in slow.gaps])
        self.assertGreater(gaps, 0)
        received = bytes(slow.received)
        self.assertTrue(received.startswith(sent[:100]))
        self.assertTrue(received.endswith(sent[-500:]))
        tally = slow.subscription.given()
        self.assertEqual((tally.messages + tally.skipped, tally.skipped), (400, gaps))
        self.assertEqual((self.hub.live, len(self.past.readings)), (1, 0))

    def test_publishers_wait_while_it_is_half_the_journal_behind(self) -> None:
        self.set_up_past(slow=SLOW_POLICIES["block"], size=16 * 8 * 1024)
        slow = FakeSubscriber(self.hub, room=0)
        sent = b""
        while self.intake.paused is None:
            sent += self.publish_many(1)
        half = 8 * 8 * 1024
        self.assertTrue(half <= len(sent) * 1.5 and len(sent) <= half, len(sent))
        self.assertEqual(self.intake.paused.messages, self.log.next - 1)
        slow.read()
        self.settle()
        self.assertEqual((bytes(slow.received) == sent, self.intake.paused), (True, None))
