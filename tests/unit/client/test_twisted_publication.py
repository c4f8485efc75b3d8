"""The front for Twisted as a publisher, against a server in memory."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import INegotiated
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from relay.client.errors import Closed, ConnectionFault, GaveUp, Replaced
from relay.client.twisted import Publication
from relay.wire.answer import Ack, Bye, Heartbeat, PublisherWelcome
from relay.wire.framing import Frames
from tests.kit.endpoints import Server, one_second
from tests.kit.fakes import frame


def accepted(number: int, known: bool = True) -> PublisherWelcome:
    return PublisherWelcome(number, known, "relayed", "ab", 100, "relay")


class PublicationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)

    def begin(self, session: bool = True, max_unacknowledged: int = 2**20, attempts: int | None = None) -> Publication:
        client = Publication(
            self.server,
            session=session,
            name="a" if session else "",
            max_unacknowledged=max_unacknowledged,
            retry=one_second(attempts),
            reactor=self.clock,
        )
        client.startService()
        return client

    def test_a_deferred_fires_when_its_message_is_acknowledged_over_reconnects(self) -> None:
        client = self.begin()
        one, two = client.publish(b"one"), client.publish(b"two")
        self.server.wire.take()
        self.assertNoResult(client.welcomed())
        self.server.wire.say(accepted(5))
        self.successResultOf(client.welcomed())
        self.assertEqual((client.accepted, self.server.wire.take()), (5, [b"one", b"two"]))
        self.server.wire.say(Ack(6))
        self.successResultOf(one)
        self.server.wire.end(ConnectionLost())
        self.clock.advance(1)
        self.server.wire.take()
        self.server.wire.say(accepted(6))
        self.assertEqual(self.server.wire.take(), [b"two"])
        self.server.wire.say(Heartbeat(accepted=7))
        self.successResultOf(two)
        self.assertEqual((client.acknowledged, client.accepted, client.uncertain), (2, 7, 0))

    def test_what_may_come_twice_is_counted(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0))
        client.publish(b"one")
        self.server.wire.end(ConnectionLost())
        self.clock.advance(1)
        self.server.wire.say(accepted(0, known=False))
        self.assertEqual(client.uncertain, 1)

    def test_who_publishes_more_can_wait_for_room_and_for_the_end(self) -> None:
        client = self.begin(max_unacknowledged=10)
        self.server.wire.say(accepted(0))
        self.successResultOf(client.ready())
        client.publish(b"0123456")
        ready, drained = client.ready(), client.drained()
        self.assertNoResult(ready)
        client.publish(b"")
        self.server.wire.say(Ack(1))
        self.successResultOf(ready)
        self.assertNoResult(drained)
        self.server.wire.say(Ack(2))
        self.successResultOf(drained)

    def test_a_transport_that_is_full_is_not_filled_further(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0))
        self.server.wire.take()
        producer = self.server.wire.producer
        assert producer is not None
        producer.pauseProducing()
        client.publish(b"one")
        self.assertEqual(self.server.wire.take(), [])
        producer.resumeProducing()
        self.assertEqual(self.server.wire.take(), [b"one"])

    def test_frames_go_as_they_are(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0))
        self.server.wire.take()
        client.send_frames(Frames(frame(b"one") + frame(b"two"), 2, 14))
        self.assertEqual(self.server.wire.take(), [b"one", b"two"])
        self.assertEqual(client.max_message, 100)
        finished = client.finish()
        self.assertRaises(Closed, client.send_frames, Frames(frame(b"three"), 1, 9))
        self.assertNoResult(finished)
        self.server.wire.say(Ack(2))
        self.clock.advance(0)
        self.successResultOf(finished)

    def test_without_a_session_there_is_room_again_when_the_transport_takes_more(self) -> None:
        client = self.begin(session=False, max_unacknowledged=8)
        producer = self.server.wire.producer
        assert producer is not None
        producer.pauseProducing()
        client.send_frames(Frames(frame(b"four"), 1, 8))
        ready = client.ready()
        self.assertNoResult(ready)
        producer.resumeProducing()
        self.clock.advance(0)
        self.successResultOf(ready)

    def test_messages_that_come_to_a_publisher_are_counted(self) -> None:
        client = self.begin(session=False)
        self.server.wire.say(b"what", b"is this")
        self.assertEqual(client.heard, 2)

    def test_finishing_waits_for_the_acks_and_takes_no_more(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0))
        client.publish(b"one")
        finished = client.finish()
        self.failureResultOf(client.publish(b"two"), Closed)
        self.assertNoResult(finished)
        self.server.wire.say(Ack(1))
        self.assertTrue(self.server.wire.disconnecting, "an orderly end")
        self.clock.advance(0)
        self.successResultOf(finished)
        self.assertFalse(client.running)

    def test_who_waits_is_told_when_it_is_stopped(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0))
        one, drained = client.publish(b"one"), client.drained()
        client.stopService()
        self.failureResultOf(one, Closed)
        self.failureResultOf(drained, Closed)
        self.failureResultOf(client.publish(b"two"), Closed)
        self.failureResultOf(client.ready(), Closed)

    def test_one_that_is_replaced_does_not_come_back(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0), Bye("replaced", accepted=0))
        self.failureResultOf(client.whenClosed(), Replaced)
        self.clock.advance(100)
        self.assertEqual(len(self.server.wires), 1)

    def test_a_relay_that_is_not_there_is_waited_for_until_it_is_enough(self) -> None:
        self.server.refuses = 5
        client = self.begin(attempts=5)
        self.clock.pump([1] * 10)
        self.failureResultOf(client.whenClosed(), GaveUp)
        self.server.refuses = 4
        self.begin(attempts=5)
        self.clock.pump([1] * 4)
        self.assertEqual(len(self.server.wires), 1)

    def test_a_deferred_that_is_cancelled_takes_nothing_from_the_others(self) -> None:
        client = self.begin()
        self.server.wire.say(accepted(0))
        one, two = client.publish(b"one"), client.publish(b"two")
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.server.wire.say(Ack(2))
        self.successResultOf(two)

    def test_the_time_without_a_word_counts_from_the_welcome_on(self) -> None:
        """Until the welcome the limit is longer than three heartbeats."""
        client = Publication(self.server, heartbeat=1, retry=one_second(), reactor=self.clock)
        client.startService()
        self.server.wire.say(accepted(0))
        self.clock.advance(3.1)
        self.clock.advance(0)
        self.assertTrue(self.server.wires[0].ended)

    def test_a_path_that_takes_nothing_is_left_though_there_are_no_heartbeats_to_miss(self) -> None:
        client = Publication(self.server, name="a", heartbeat=0, retry=one_second(), reactor=self.clock)
        client.startService()
        self.server.wire.say(accepted(0))
        self.clock.advance(1000)
        client.publish(b"one")
        self.clock.advance(29)
        self.assertFalse(self.server.wires[0].ended)
        self.clock.advance(2)
        self.clock.advance(0)
        self.assertTrue(self.server.wires[0].ended)

    def test_without_a_session_the_end_is_that_the_server_has_read_everything(self) -> None:
        for error, fault in ((ConnectionDone(), None), (ConnectionLost(), ConnectionFault)):
            client = self.begin(session=False)
            one = client.publish(b"one")
            self.clock.advance(0)
            self.successResultOf(one)
            finished = client.finish()
            self.assertEqual((self.server.wire.take(), self.server.wire.half_closed), ([b"one"], True))
            self.assertNoResult(finished)
            self.server.wire.end(error)
            if fault:
                self.failureResultOf(finished, fault)
            else:
                self.successResultOf(finished)

    def test_without_a_session_the_end_over_tls_is_answered_too(self) -> None:
        client = self.begin(session=False)
        alsoProvides(self.server.wire, INegotiated)
        client.publish(b"one")
        finished = client.finish()
        self.assertEqual((self.server.wire.disconnecting, self.server.wire.half_closed), (True, False))
        self.assertNoResult(finished)
        self.clock.advance(0)
        self.successResultOf(finished)

    def test_without_a_session_a_loop_of_callbacks_is_no_recursion(self) -> None:
        client = self.begin(session=False)
        left = 2000

        def again(result: None) -> None:
            nonlocal left
            left -= 1
            if left:
                client.publish(b"x").addCallback(again)

        client.publish(b"x").addCallback(again)
        for _ in range(2000):
            self.clock.advance(0)
        self.assertEqual(left, 0)
