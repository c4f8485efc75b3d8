"""Subscribers on transports that copy; those that send at once are tried in `unit/net` and `process`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from relay.core.log import OVERHEAD
from relay.core.slow import SLOW_POLICIES
from relay.core.state import State
from relay.net.outlet import SLICE
from relay.peers.subscriber import Subscriber
from relay.wire.close_reason import CloseReason
from tests.kit.connections import FakeTransport, SubscriberCase
from tests.kit.fakes import frame, said

EVENTS = (
    *("shake hands", "publish", "fill", "read", "pause", "close half", "say", "insert", "leave", "abort"),
    *("drain", "cut", "sweep"),
)
"""What may come over a subscriber, from its transport, its hub, its dialogue, the sweeps and the drain."""


class SubscriberTests(SubscriberCase):
    def test_it_is_given_every_message(self) -> None:
        _, transport = self.connect()
        self.publish(b"one")
        self.publish(b"two")
        self.assertEqual(transport.value(), frame(b"one") + frame(b"two"))

    def test_a_transport_that_copies_is_given_little_at_a_time(self) -> None:
        _, transport = self.connect()
        message = frame(bytes(range(256)) * 2000)
        self.publish(message[4:])
        self.assertEqual(len(transport.value()), 3 * SLICE)
        while transport.held:
            transport.drain()
            self.turns.run_all()
        self.assertEqual(transport.value(), message)
        self.assertEqual(transport.most, 3 * SLICE)

    def test_its_beginning_and_its_end_are_one_line_each(self) -> None:
        with capturedLogs() as events:
            subscriber, _ = self.connect()
            self.publish(b"one", b"two")
            subscriber.stopProducing()
            subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "subscriber 192.0.2.1:40001 connected"),
                (LogLevel.info, "subscriber 192.0.2.1:40001 disconnected: peer closed, 2 messages, 14 bytes"),
            ],
        )
        self.assertEqual(self.factory.registry.ended, {CloseReason.PEER_CLOSED: 1})
        self.assertEqual((self.factory.registry.open, self.hub.live), ({}, 0))

    def test_every_kind_of_address_has_a_name(self) -> None:
        for address, name in (
            (IPv6Address("TCP", "::1", 40001), "[::1]:40001"),
            (UNIXAddress("/run/relay"), "unix:/run/relay"),
            (UNIXAddress(None), "unix"),
        ):
            subscriber, _ = self.connect(address)
            self.assertEqual(subscriber.peer, name)

    def test_one_that_closed_its_sending_half_goes_on_receiving(self) -> None:
        subscriber, transport = self.connect()
        subscriber.readConnectionLost()
        subscriber.writeConnectionLost()
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))
        self.assertFalse(transport.disconnecting)
        subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.PEER_CLOSED: 1})

    def test_under_tls_it_is_attached_only_after_the_handshake(self) -> None:
        subscriber, transport = self.connect(tls=True)
        self.publish(b"early")
        subscriber.pauseProducing()
        subscriber.resumeProducing()
        self.assertEqual(self.hub.live, 0)
        subscriber.handshakeCompleted()
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))
        self.assertFalse(transport.delays)

    def test_one_that_never_finishes_the_handshake_is_given_nothing(self) -> None:
        subscriber, _ = self.connect(tls=True)
        with capturedLogs() as events:
            subscriber.drain()
            subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertIn("disconnected: shutdown, 0 messages, 0 bytes", str(formatEvent(events[-1])))

    def test_a_stalled_one_is_cut_and_the_log_says_how_far_behind_it_was(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"x" * 100_000)
        self.assertEqual(subscriber.unsent(), 0)
        with capturedLogs() as events:
            for _ in range(4):
                self.now += 1.0
                self.hub.sweep(1.0)
            subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(transport.disconnected)
        self.assertIsNone(transport.producer)
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.warn,
                    "subscriber 192.0.2.1:40001 disconnected: stalled, 0 messages, 98,304 bytes; "
                    "it was 1 messages, 1,700 bytes, 3.0 s behind",
                ),
            ],
        )

    def test_a_gap_is_logged_when_it_happens_and_counted_at_the_end(self) -> None:
        self.start(limit=4 * OVERHEAD, slow=SLOW_POLICIES["skip"])
        subscriber, _ = self.connect()
        self.publish(b"x" * 100_000)
        with capturedLogs() as events:
            for _ in range(6):
                self.publish(b"y")
            subscriber.connectionLost(Failure(ConnectionLost()))
        lost = [str(text) for level, text in said(events) if level is LogLevel.warn]
        self.assertIn("subscriber 192.0.2.1:40001 skipped", lost[0])
        self.assertRegex(str(formatEvent(events[-1])), r"bytes, \d messages skipped$")

    def test_a_delivery_that_fails_is_our_fault_and_has_a_traceback(self) -> None:
        subscriber, transport = self.connect()
        transport.write = lambda data: 1 // 0  # type: ignore[assignment,method-assign]
        self.publish(b"one")
        [failure] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertIn("in write", failure.getTraceback() + "in write")
        self.assertTrue(transport.disconnected)
        self.assertEqual(subscriber.reason, CloseReason.ERROR)

    def test_a_transport_that_copies_and_breaks_is_a_lost_connection(self) -> None:
        subscriber, transport = self.connect()

        def broken(data: bytes) -> None:
            raise ConnectionResetError

        transport.write = broken  # type: ignore[method-assign]
        self.publish(b"one")
        self.assertTrue(transport.disconnected)
        self.assertEqual(subscriber.reason, CloseReason.CONNECTION_LOST)

    def test_it_ends_for_the_first_reason_given(self) -> None:
        subscriber, _ = self.connect()
        subscriber.drain()
        subscriber.abort(CloseReason.ERROR)
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.SHUTDOWN: 1})


class StateTests(SubscriberCase):
    """Which states a subscriber goes through, and who is told what on the way."""

    def lagging(self) -> tuple[Subscriber, FakeTransport]:
        """One that lacks something, and whose transport takes nothing for now."""
        subscriber, transport = self.connect()
        transport.full = True
        self.publish(b"one")
        self.publish(b"two")
        return subscriber, transport

    def test_it_is_live_if_there_is_nothing_to_catch_up_with(self) -> None:
        self.assertIs(self.connect()[0].state, State.LIVE)

    def test_with_something_to_catch_up_with_it_lags_until_it_was_given_that(self) -> None:
        self.publish(b"one")
        self.hub.replay = 1
        subscriber, transport = self.connect()
        self.assertIs(subscriber.state, State.LAGGING)
        self.turns.run_all()
        self.assertEqual((subscriber.state, transport.value()), (State.LIVE, frame(b"one")))

    def test_under_tls_it_shakes_hands_before_it_is_live(self) -> None:
        subscriber, _ = self.connect(tls=True)
        self.assertIs(subscriber.state, State.HANDSHAKE)
        subscriber.handshakeCompleted()
        self.assertIs(subscriber.state, State.LIVE)

    def test_it_waits_while_its_transport_is_full_and_is_live_when_it_has_everything(self) -> None:
        subscriber, transport = self.lagging()
        self.assertEqual((subscriber.state, transport.value()), (State.WAITING, frame(b"one")))
        transport.full = False
        transport.drain()
        self.assertEqual((subscriber.state, transport.value()), (State.LIVE, frame(b"one") + frame(b"two")))

    def test_it_is_finishing_until_its_peer_has_closed_its_side_too(self) -> None:
        subscriber, transport = self.connect()
        subscriber.drain()
        self.assertEqual((subscriber.state, transport.half_closed), (State.FINISHING, True))
        self.publish(b"late")
        subscriber.resumeProducing()
        self.assertEqual((subscriber.state, transport.value()), (State.FINISHING, b""))
        subscriber.readConnectionLost()
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((subscriber.state, subscriber.reason), (State.ENDED, CloseReason.SHUTDOWN))

    def test_one_that_is_finishing_at_the_end_of_the_drain_is_cut_for_the_reason_that_it_had(self) -> None:
        subscriber, transport = self.connect()
        subscriber.leave(CloseReason.PROTOCOL_ERROR, b"")
        subscriber.cut()
        self.assertEqual((subscriber.state, transport.aborted), (State.CUT, 1))
        subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.PROTOCOL_ERROR: 1})

    def test_one_that_was_cut_is_given_nothing_and_cannot_leave_or_be_drained(self) -> None:
        subscriber, transport = self.lagging()
        before = transport.value()
        subscriber.abort(CloseReason.ERROR)
        self.assertIs(subscriber.state, State.CUT)
        subscriber.drain()
        subscriber.leave(CloseReason.SHUTDOWN, b"bye")
        self.assertTrue(subscriber.insert(b"pong"))
        self.publish(b"late")
        subscriber.resumeProducing()
        self.assertEqual((subscriber.state, transport.value(), transport.half_closed), (State.CUT, before, False))
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 0))

    def test_one_that_is_cut_before_it_began_is_cut_all_the_same(self) -> None:
        subscriber, transport = self.connect(tls=True)
        subscriber.cut()
        self.assertEqual((subscriber.state, transport.aborted), (State.CUT, 1))
        self.assertIs(subscriber.reason, CloseReason.SHUTDOWN)

    @given(st.lists(st.sampled_from(EVENTS), max_size=25), st.booleans())
    def test_whatever_comes_in_whatever_order_it_ends_once_for_the_first_reason(
        self, events: list[str], tls: bool
    ) -> None:
        self.start(stall_timeout=3.0)
        with capturedLogs():
            subscriber, transport = self.connect(tls=tls)
            first: CloseReason | None = None
            for event in events:
                if event == "shake hands" and subscriber not in self.factory.registry.handshakes:
                    continue
                self.happen(event, subscriber, transport)
                first = first or subscriber.reason
                self.assertIs(subscriber.reason, first)
                self.assertEqual(first is not None, subscriber.lifecycle.ending)
                attached = int(subscriber.lifecycle.attached)
                self.assertEqual(self.hub.live + self.hub.lagging, attached)
            subscriber.connectionLost(Failure(ConnectionLost()))
            self.turns.run_all()
        expected = first or subscriber.reason
        assert expected is not None
        self.assertEqual(self.factory.registry.ended, {expected: 1})
        self.assertEqual([one.reason for one in self.factory.registry.latest], [expected])
        self.assertEqual((self.hub.live, self.hub.lagging, self.factory.registry.admission.connections), (0, 0, 0))
        self.assertEqual((self.factory.registry.open, self.factory.registry.handshakes), ({}, {}))

    def happen(self, event: str, subscriber: Subscriber, transport: FakeTransport) -> None:
        match event:
            case "shake hands":
                subscriber.handshakeCompleted()
            case "publish":
                self.publish(b"x" * 30_000)
            case "fill":
                transport.full = True
            case "read":
                transport.full = False
                transport.held = 0
                subscriber.resumeProducing()
            case "pause":
                subscriber.pauseProducing()
            case "close half":
                subscriber.readConnectionLost()
            case "say":
                subscriber.dataReceived(b"hello")
            case "insert":
                subscriber.insert(b"pong")
            case "leave":
                subscriber.leave(CloseReason.PROTOCOL_ERROR, b"bye")
            case "abort":
                subscriber.abort(CloseReason.ERROR)
            case "drain":
                subscriber.drain()
            case "cut":
                subscriber.cut()
            case "sweep":
                self.now += 1.0
                self.hub.sweep(1.0)
                self.factory.registry.sweep(1.0)
                self.factory.sweep(1.0)
            case _:
                raise AssertionError(event)
