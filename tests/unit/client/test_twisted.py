"""The front for Twisted, against a server in memory."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import INegotiated
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from relay.client.backoff import Backoff
from relay.client.errors import Closed, ConnectionFault, GaveUp, Refused, Replaced
from relay.client.retry import Retry
from relay.client.twisted import Gap, Message, Publication, Run, RunSubscription, Subscription
from relay.wire.answer import Ack, Bye, Error, Heartbeat, PublisherWelcome, SubscriberWelcome
from relay.wire.framing import Frames
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Position
from tests.kit.endpoints import Server
from tests.kit.fakes import frame
from tests.kit.folders import temporary_folder


def welcome(number: int, lost: int | None = 0) -> SubscriberWelcome:
    return SubscriberWelcome(Position("ab", number), 1, lost, 100, "relay")


def accepted(number: int, known: bool = True) -> PublisherWelcome:
    return PublisherWelcome(number, known, "relayed", "ab", 100, "relay")


def one_second(attempts: int | None = None) -> Retry:
    return Retry(attempts, backoff=Backoff(first=1, factor=1, chance=lambda: 0.0))


class SubscriptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self.found: list[Message | Gap] = []

    def begin(self, received: object = None, heartbeat: float = 10, **options: object) -> Subscription:
        client = Subscription(
            self.server,
            received or self.found.append,  # type: ignore[arg-type]  # what each test gives
            heartbeat=heartbeat,
            retry=one_second(),
            reactor=self.clock,
            **options,  # type: ignore[arg-type]
        )
        client.startService()
        return client

    def test_messages_come_over_reconnects_with_positions_and_gaps(self) -> None:
        client = self.begin()
        self.server.wire.say(b"early", welcome(1), b"one", b"two")
        self.server.wire.end(ConnectionLost())
        self.clock.advance(1)
        hello = read_hello(self.server.wire.take()[0])
        self.assertEqual(hello, SubscriberHello(after=Position("ab", 2), heartbeat=10))
        self.server.wire.say(welcome(5, lost=2), b"five")
        self.assertEqual(
            self.found,
            [
                Message(b"one", "ab", 1),
                Message(b"two", "ab", 2),
                Gap(2, Position("ab", 5)),
                Message(b"five", "ab", 5),
            ],
        )
        self.assertEqual(client.position, Position("ab", 5))
        self.assertIsInstance(client.last_fault, ConnectionFault)

    def test_a_deferred_holds_back_the_next_message_and_the_network(self) -> None:
        waits: list[Deferred[None]] = []

        def received(event: Message | Gap) -> Deferred[None]:
            self.found.append(event)
            waits.append(Deferred())
            return waits[-1]

        client = self.begin(received)
        self.server.wire.say(welcome(1), b"one", b"two")
        self.assertEqual((len(self.found), client.position), (1, Position("ab", 0)))
        self.assertEqual(self.server.wire.producerState, "paused")
        waits[0].callback(None)
        self.assertEqual((len(self.found), client.position), (2, Position("ab", 1)))
        self.assertEqual(self.server.wire.producerState, "paused")
        waits[1].callback(None)
        self.assertEqual(self.server.wire.producerState, "producing")

    def test_a_handler_that_is_slower_than_heartbeats_costs_no_connection(self) -> None:
        waits: list[Deferred[None]] = []

        def received(event: Message | Gap) -> Deferred[None]:
            waits.append(Deferred())
            return waits[-1]

        self.begin(received, heartbeat=1)
        self.server.wire.say(welcome(1), b"one")
        for _ in range(100):
            self.clock.advance(1)
        waits[0].callback(None)
        self.server.wire.say(Heartbeat(next=Position("ab", 2)))
        self.clock.advance(2.9)
        self.assertFalse(self.server.wire.ended)
        self.clock.advance(0.2)
        self.assertTrue(self.server.wire.ended, "from there on it is missed")

    def test_a_connection_that_is_made_while_the_handler_is_busy_is_not_read_either(self) -> None:
        wait: Deferred[None] = Deferred()
        self.begin(lambda event: wait)
        self.server.wire.say(welcome(1), b"one")
        self.server.wire.end(ConnectionLost())
        self.clock.advance(1)
        self.assertEqual(len(self.server.wires), 2)
        self.assertEqual(self.server.wire.producerState, "paused")
        wait.callback(None)
        self.assertEqual(self.server.wire.producerState, "producing")
        self.server.wire.say(welcome(2))

    def test_the_handler_can_be_a_coroutine(self) -> None:
        wait: Deferred[None] = Deferred()

        async def received(event: Message | Gap) -> None:
            await wait
            self.found.append(event)

        client = self.begin(received)
        self.server.wire.say(welcome(1), b"one", b"two")
        self.assertEqual(client.position, Position("ab", 0))
        wait.callback(None)
        self.assertEqual((len(self.found), client.position), (2, Position("ab", 2)))

    def test_a_handler_that_fails_ends_the_service_and_its_message_is_not_dealt_with(self) -> None:
        def received(event: Message | Gap) -> object:
            if len(self.found) == 1:
                raise ZeroDivisionError
            self.found.append(event)
            return None

        client = self.begin(received)
        self.server.wire.say(welcome(1), b"one", b"two", b"three")
        self.failureResultOf(client.whenClosed(), ZeroDivisionError)
        self.assertEqual((len(self.found), client.position), (1, Position("ab", 1)))

    def test_the_store_has_where_it_began_and_at_the_end_what_was_dealt_with(self) -> None:
        path = temporary_folder(self) / "position"
        client = self.begin(store=path)
        self.server.wire.say(welcome(7))
        self.assertEqual(path.read_text(), "ab-6\n")
        self.server.wire.say(b"seven")
        client.stopService()
        self.assertEqual(path.read_text(), "ab-7\n")
        self.assertEqual(self.begin(store=path).position, Position("ab", 7))

    def test_the_store_is_written_although_no_message_follows(self) -> None:
        path = temporary_folder(self) / "position"
        self.begin(store=path)
        self.server.wire.say(welcome(7), b"seven")
        self.assertEqual(path.read_text(), "ab-6\n")
        self.clock.advance(1)
        self.assertEqual(path.read_text(), "ab-7\n")

    def test_a_store_that_cannot_be_written_ends_the_service(self) -> None:
        client = self.begin(store=temporary_folder(self) / "missing" / "position")
        self.server.wire.say(welcome(7), b"seven")
        self.failureResultOf(client.whenClosed(), FileNotFoundError)
        self.assertEqual(self.found, [])

    def test_a_store_that_cannot_be_written_at_the_end_is_no_orderly_end(self) -> None:
        folder = temporary_folder(self) / "folder"
        folder.mkdir()
        client = self.begin(store=folder / "position")
        self.server.wire.say(welcome(7), b"seven")
        (folder / "position").unlink()
        folder.rmdir()
        closed = client.whenClosed()
        client.stopService()
        self.failureResultOf(closed, FileNotFoundError)

    def test_a_handler_that_stops_the_service_has_dealt_with_what_it_was_given(self) -> None:
        path = temporary_folder(self) / "position"

        def received(event: Message | Gap) -> None:
            client.stopService()

        client = self.begin(received, store=path)
        self.server.wire.say(welcome(7), b"seven", b"eight")
        self.assertEqual(path.read_text(), "ab-7\n")

    def test_a_handler_that_blocks_lets_nothing_be_missed_that_came_meanwhile(self) -> None:
        self.begin(lambda event: setattr(self.clock, "rightNow", self.clock.rightNow + 60), heartbeat=1)
        self.server.wire.say(welcome(1))
        self.server.wire.say(b"one")
        self.clock.advance(0)
        self.server.wire.say(b"two")
        self.clock.advance(0)
        self.assertEqual(len(self.server.wires), 1)

    def test_each_fault_that_is_followed_by_another_try_is_told(self) -> None:
        client = self.begin()
        told: list[str] = []
        client.retrying = lambda fault: told.append(str(fault))
        self.server.refuses = 1
        self.server.wire.end(ConnectionDone())
        self.clock.advance(1)
        self.clock.advance(1)
        self.server.wire.say(Error("no"))
        self.failureResultOf(client.whenClosed(), Refused)
        self.assertEqual(told, ["the relay closed the connection", "An error occurred while connecting."])

    def test_a_relay_that_says_nothing_for_some_heartbeats_is_left(self) -> None:
        self.begin(heartbeat=1)
        self.server.wire.say(welcome(1))
        self.clock.advance(2.9)
        self.assertEqual(len(self.server.wires), 1)
        self.clock.advance(0.2)
        self.clock.advance(1)
        self.assertEqual(len(self.server.wires), 2)

    def test_what_no_attempt_can_mend_ends_it(self) -> None:
        client = self.begin()
        closed = client.whenClosed()
        self.server.wire.say(Error("no"))
        self.failureResultOf(closed, Refused)
        self.failureResultOf(client.whenClosed(), Refused)
        self.assertEqual(self.clock.getDelayedCalls()[1:], [], "only the end of the connection is left")

    def test_stopped_in_any_state_it_leaves_nothing_behind(self) -> None:
        """While it waits to try again, before the welcome, and behind it."""
        self.server.refuses = 1
        waiting = self.begin()
        hello = self.begin()
        welcomed = self.begin()
        self.server.wire.say(welcome(1))
        for client in (waiting, hello, welcomed):
            closed, stopped = client.whenClosed(), client.stopService()
            self.successResultOf(closed)
            self.clock.advance(0)
            self.successResultOf(stopped)
        self.assertEqual([wire.ended for wire in self.server.wires], [True, True])
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_runs_come_as_they_are(self) -> None:
        found: list[Run | Gap] = []
        client = RunSubscription(self.server, found.append, reactor=self.clock)
        client.startService()
        self.server.wire.say(welcome(1), b"one", b"two")
        (run,) = found
        assert isinstance(run, Run)
        self.assertEqual((run.frames.messages, client.position), (2, Position("ab", 2)))


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
