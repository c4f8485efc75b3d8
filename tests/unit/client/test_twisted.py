"""The front for Twisted as a subscriber, against a server in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault, Refused
from relay.client.twisted import Gap, Message, Run, RunSubscription, Subscription
from relay.wire.answer import Error, Heartbeat, SubscriberWelcome
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Position
from tests.kit.endpoints import Server, one_second
from tests.kit.folders import temporary_folder


def welcome(number: int, lost: int | None = 0) -> SubscriberWelcome:
    return SubscriberWelcome(Position("ab", number), 1, lost, 100, "relay")


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
