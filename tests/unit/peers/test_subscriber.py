"""Subscribers on transports that copy; those that send at once are tried in `unit/net` and `process`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.log import OVERHEAD, Log
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.net.outlet import SLICE
from relay.peers.subscriber import Subscriber, SubscriberFactory
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Int32
from tests.kit.fakes import FakeIntake, Turns, accepted, frame, frames, said

PEER = IPv4Address("TCP", "192.0.2.1", 40001)


class PausingTransport(StringTransport):
    """Says pause inside `write` once it holds more than Twisted's own does, as that one does, and again after it."""

    def __init__(self, peer: IAddress | None) -> None:
        super().__init__(peerAddress=peer)
        self.delays = True
        self.half_closed = False
        self.held = 0
        self.most = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.held += len(data)
        self.most = max(self.most, self.held)
        if self.held > 64 * 1024 and self.producer is not None:
            self.producer.pauseProducing()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.delays = not enabled

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def getPeerCertificate(self) -> None:
        """Nobody shows one."""

    def drain(self) -> None:
        self.held = 0
        assert self.producer is not None
        self.producer.resumeProducing()


class SubscriberCase(SynchronousTestCase):
    """A hub that subscribers connect to."""

    make_transport: type[PausingTransport] = PausingTransport

    def setUp(self) -> None:
        self.now = 0.0
        self.slow = SLOW_POLICIES["disconnect"]
        self.start()

    def start(self, limit: int = 2**20, slow: SlowPolicy = SLOW_POLICIES["disconnect"]) -> None:
        self.turns = Turns()
        self.hub = Hub(
            Log(Int32.ends),
            Budget(limit),
            FakeIntake(),
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            stall_timeout=2.0,
            slow=slow,
        )
        self.factory = SubscriberFactory(accepted("subscriber"), self.hub, "tcp:8001")

    def connect(self, address: IAddress = PEER) -> tuple[Subscriber, PausingTransport]:
        subscriber = self.factory.buildProtocol(address)
        transport = self.make_transport(address)
        subscriber.makeConnection(transport)
        return subscriber, transport

    def publish(self, *messages: bytes) -> None:
        self.hub.publish(frames(*messages))
        self.turns.run()


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

    def test_what_it_sends_is_thrown_away_with_one_line(self) -> None:
        subscriber, transport = self.connect()
        with capturedLogs() as events:
            subscriber.dataReceived(b"garbage")
            subscriber.dataReceived(b"more")
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.info,
                    "subscriber 192.0.2.1:40001 sends data, which is thrown away: publishers belong on tcp:8001",
                )
            ],
        )
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))

    def test_that_line_says_what_the_data_looks_like(self) -> None:
        subscriber, _ = self.connect()
        with capturedLogs() as events:
            subscriber.dataReceived(b"GET / HTTP/1.1\r\n")
        self.assertIn("sends data that looks like an HTTP request, which", str(formatEvent(events[0])))

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
        subscriber = self.factory.buildProtocol(None)
        transport = PausingTransport(None)
        directlyProvides(transport, ISSLTransport)
        subscriber.makeConnection(transport)
        self.publish(b"early")
        subscriber.pauseProducing()
        subscriber.resumeProducing()
        self.assertEqual(self.hub.live, 0)
        subscriber.handshakeCompleted()
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))
        self.assertFalse(transport.delays)

    def test_one_that_never_finishes_the_handshake_is_given_nothing(self) -> None:
        subscriber = self.factory.buildProtocol(None)
        transport = PausingTransport(None)
        directlyProvides(transport, ISSLTransport)
        subscriber.makeConnection(transport)
        with capturedLogs() as events:
            self.assertTrue(subscriber.drain())
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


class HastyTransport(PausingTransport):
    """Says pause inside `write` as it should, and may send all of it before it returns, and say resume."""

    hasty = True

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.hasty and self.held > 64 * 1024:
            self.drain()


class HastyTests(SubscriberCase):
    make_transport = HastyTransport

    def test_what_is_resumed_inside_a_write_goes_on_in_order(self) -> None:
        _, transport = self.connect()
        first, second = b"x" * 90_000 + b"1", b"y" * 99_000 + b"2"
        self.publish(first, second)
        self.publish(b"three")
        self.assertEqual(transport.value(), frame(first) + frame(second) + frame(b"three"))
        self.assertEqual((self.hub.live, self.hub.lagging), (1, 0))

    def test_so_does_one_that_was_behind(self) -> None:
        _, transport = self.connect()
        assert isinstance(transport, HastyTransport)
        transport.hasty = False
        messages = [bytes([number]) * 70_000 for number in range(10)]
        for message in messages[:5]:
            self.publish(message)
        self.assertEqual(self.hub.lagging, 1)
        transport.hasty = True
        transport.drain()
        self.turns.run_all()
        for message in messages[5:]:
            self.publish(message)
        self.assertEqual(transport.value(), b"".join(map(frame, messages)))
        self.assertEqual((self.hub.live, self.hub.lagging), (1, 0))

    def test_one_that_is_full_after_its_last_byte_is_behind_until_it_says_so(self) -> None:
        _, transport = self.connect()
        assert isinstance(transport, HastyTransport)
        transport.hasty = False
        self.publish(b"x" * (3 * SLICE - 4))
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 1))
        self.publish(b"later")
        self.assertEqual(len(transport.value()), 3 * SLICE)
        transport.drain()
        self.assertTrue(transport.value().endswith(frame(b"later")))


class DrainTests(SubscriberCase):
    """What a subscriber does when the relay stops."""

    def test_one_that_has_everything_is_told_so_by_the_end_of_the_stream(self) -> None:
        subscriber, transport = self.connect()
        self.assertTrue(subscriber.drain())
        self.assertTrue(transport.half_closed)
        self.assertFalse(transport.disconnecting, "what it sends still has to be read")
        subscriber.dataReceived(b"anything")
        subscriber.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_one_that_closed_its_half_before_is_closed(self) -> None:
        subscriber, transport = self.connect()
        subscriber.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        self.assertTrue(subscriber.drain())
        self.assertTrue(transport.disconnecting)

    def test_tls_has_no_halves(self) -> None:
        subscriber = self.factory.buildProtocol(PEER)
        transport = PausingTransport(PEER)
        directlyProvides(transport, ISSLTransport)
        subscriber.makeConnection(transport)
        subscriber.handshakeCompleted()
        self.assertTrue(subscriber.drain())
        self.assertTrue(transport.disconnecting)

    def test_one_that_lags_is_given_the_rest_first(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"x" * 150_000)
        self.assertFalse(subscriber.drain())
        self.assertFalse(subscriber.drain())
        transport.drain()
        self.turns.run_all()
        self.assertTrue(subscriber.drain())
        self.assertTrue(transport.half_closed)
        self.assertEqual(transport.value(), frame(b"x" * 150_000))

    def test_one_that_lags_for_too_long_is_cut_and_the_log_says_how_far_behind_it_was(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"x" * 150_000)
        with capturedLogs() as events:
            subscriber.drain()
            subscriber.cut()
            self.assertTrue(transport.disconnected)
            subscriber.connectionLost(Failure(ConnectionLost()))
        [(level, text)] = said(events)
        self.assertIs(level, LogLevel.warn)
        self.assertRegex(str(text), "disconnected: shutdown, .*; it was 1 messages, [0-9,]+ bytes, 0.0 s behind$")

    def test_a_transport_that_copies_may_hold_something_for_ever(self) -> None:
        subscriber, transport = self.connect()
        subscriber.drain()
        subscriber.cut()
        self.assertTrue(transport.disconnected)

    def test_one_that_never_finishes_the_handshake_is_cut(self) -> None:
        subscriber = self.factory.buildProtocol(PEER)
        transport = PausingTransport(PEER)
        directlyProvides(transport, ISSLTransport)
        subscriber.makeConnection(transport)
        self.assertTrue(subscriber.drain())
        self.assertTrue(transport.disconnected)
        subscriber.handshakeCompleted()
        self.publish(b"late")
        self.assertEqual(transport.value(), b"")
