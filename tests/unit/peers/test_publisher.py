"""Publishers, with a hub and its log, and Twisted's transport for tests."""

from __future__ import annotations

from struct import pack

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.core.budget import Budget
from relay.core.cursor import Lag
from relay.core.hub import Hub
from relay.core.log import Log
from relay.peers.intake import Intake
from relay.peers.publisher import Publisher, PublisherFactory
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Int32
from tests.kit.fakes import Turns, accepted, frame, said


class IntakeCase(SynchronousTestCase):
    """A hub that publishers connect to."""

    def setUp(self) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.intake = Intake(lambda: self.now)
        self.log = Log(Int32.ends)
        self.hub = Hub(self.log, Budget(2**20), self.intake, call_soon=self.turns.call_soon, clock=lambda: self.now)
        self.factory = PublisherFactory(accepted("publisher"), self.hub, self.intake, lambda: Int32(40))

    def connect(self) -> tuple[Publisher, StringTransport]:
        address = IPv4Address("TCP", "192.0.2.1", 40001)
        publisher = self.factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        publisher.makeConnection(transport)
        return publisher, transport


class PublisherTests(IntakeCase):
    def test_what_it_sends_reaches_the_log_at_the_end_of_the_turn(self) -> None:
        publisher, _ = self.connect()
        publisher.dataReceived(frame(b"one") + frame(b"two")[:3])
        publisher.dataReceived(frame(b"two")[3:])
        self.assertEqual(self.log.next, 1)
        self.turns.run()
        self.assertEqual(self.log.next, 3)
        self.assertEqual((publisher.messages, publisher.bytes), (2, 14))

    def test_its_beginning_and_its_end_are_one_line_each(self) -> None:
        with capturedLogs() as events:
            publisher, _ = self.connect()
            publisher.dataReceived(frame(b"one") + b"\0\0")
            publisher.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "publisher 192.0.2.1:40001 connected"),
                (
                    LogLevel.info,
                    "publisher 192.0.2.1:40001 disconnected: peer closed, 1 messages, 7 bytes, "
                    "2 bytes of an incomplete message dropped",
                ),
            ],
        )
        self.assertEqual(self.factory.registry.ended, {CloseReason.PEER_CLOSED: 1})
        self.assertEqual(self.factory.registry.open, {})

    def test_a_lost_connection_is_told_from_a_closed_one(self) -> None:
        publisher, _ = self.connect()
        publisher.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.CONNECTION_LOST: 1})

    def test_an_over_long_message_ends_it_and_only_what_came_before_is_delivered(self) -> None:
        publisher, transport = self.connect()
        with capturedLogs() as events:
            publisher.dataReceived(frame(b"one") + pack("!I", 41) + b"x" * 41 + frame(b"two"))
            publisher.dataReceived(frame(b"three"))
            self.turns.run()
            self.assertEqual(self.log.next, 2)
            self.assertTrue(transport.disconnected)
            publisher.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.warn,
                    "publisher 192.0.2.1:40001 disconnected: message too long, 1 messages, 7 bytes; "
                    "it sent a message of 41 bytes, more than the limit of 40 bytes",
                )
            ],
        )
        self.assertEqual(self.factory.registry.ended, {CloseReason.MESSAGE_TOO_LONG: 1})

    def test_who_took_the_wrong_port_is_told_what_it_looks_like(self) -> None:
        for start, looks in (
            (b"GET / HTTP/1.1\r\n", "an HTTP request"),
            (b"POST / HTTP/1.1\r\n", "an HTTP request"),
            (b"\x16\x03\x01\x02\x00\x01", "a TLS handshake"),
        ):
            publisher, _ = self.connect()
            with capturedLogs() as events:
                publisher.dataReceived(start)
                publisher.connectionLost(Failure(ConnectionLost()))
            [(level, text)] = said(events)
            self.assertEqual(level, LogLevel.warn)
            self.assertIn(f"it looks like {looks}, which does not belong on this port", str(text))

    def test_only_a_first_message_is_taken_for_something_else(self) -> None:
        publisher, _ = self.connect()
        with capturedLogs() as events:
            publisher.dataReceived(frame(b"one") + b"GET / HTTP/1.1\r\n")
            publisher.connectionLost(Failure(ConnectionLost()))
        [(_, text)] = said(events)
        self.assertNotIn("HTTP", str(text))


class IntakeTests(IntakeCase):
    def test_all_publishers_wait_and_go_on_together(self) -> None:
        _, first = self.connect()
        gone, _ = self.connect()
        gone.connectionLost(Failure(ConnectionDone()))
        with capturedLogs() as events:
            self.intake.pause(Lag(12345, 678900, 1.25))
        _, late = self.connect()
        self.assertEqual((first.producerState, late.producerState), ("paused", "paused"))
        self.now = 3.0
        with capturedLogs() as more:
            self.intake.resume()
        self.assertEqual((first.producerState, late.producerState), ("producing", "producing"))
        self.assertEqual(
            said([*events, *more]),
            [
                (
                    LogLevel.warn,
                    "publishers wait: the slowest subscriber is 12,345 messages, 678,900 bytes, 1.2 s behind",
                ),
                (LogLevel.info, "publishers go on, after 3.0 s"),
            ],
        )
        _, later = self.connect()
        self.assertEqual(later.producerState, "producing")


class FrameTimeoutTests(IntakeCase):
    """30 seconds, the default."""

    def sweep(self, times: int) -> None:
        for _ in range(times):
            self.intake.sweep(1.0)

    def test_a_message_that_is_not_completed_in_time_ends_its_publisher(self) -> None:
        publisher, transport = self.connect()
        self.sweep(100)
        publisher.dataReceived(frame(b"whole") + b"\0\0\0\7abc")
        with capturedLogs() as events:
            self.sweep(30)
            self.assertFalse(transport.disconnected)
            self.sweep(2)
            self.assertTrue(transport.disconnected)
            publisher.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.warn,
                    "publisher 192.0.2.1:40001 disconnected: frame timeout, 1 messages, 9 bytes, 7 bytes of an "
                    "incomplete message dropped; it began a message and did not complete it in 30 s",
                )
            ],
        )

    def test_part_of_another_message_begins_anew(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        for _ in range(10):
            self.sweep(20)
            publisher.dataReceived(frame(b"one")[3:] + frame(b"one")[:3])
        self.assertFalse(transport.disconnected)

    def test_bytes_alone_are_no_excuse(self) -> None:
        publisher, transport = self.connect()
        for byte in frame(b"x" * 36)[:-1]:
            publisher.dataReceived(bytes([byte]))
            self.sweep(1)
        self.assertTrue(transport.disconnected)

    def test_what_comes_after_the_end_is_not_published(self) -> None:
        publisher, _ = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(32)
        publisher.dataReceived(frame(b"one")[3:])
        self.turns.run()
        self.assertEqual(self.log.next, 1)

    def test_time_in_which_the_relay_did_not_read_does_not_count(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(20)
        self.intake.pause(Lag(1, 1, 1.0))
        self.sweep(1000)
        self.intake.resume()
        self.sweep(5)
        self.assertFalse(transport.disconnected)
        self.sweep(10)
        self.assertTrue(transport.disconnected)

    def test_zero_is_never(self) -> None:
        publisher, transport = self.connect()
        self.intake.frame_timeout = 0
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(1000)
        self.assertFalse(transport.disconnected)


class LimitTests(IntakeCase):
    def test_one_too_many_is_closed_at_once_and_says_why_in_one_line(self) -> None:
        self.factory.registry.admission.max_connections = 1
        first, _ = self.connect()
        with capturedLogs() as events:
            second, transport = self.connect()
            second.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(transport.disconnected)
        self.assertEqual(said(events), [(LogLevel.warn, "publisher 192.0.2.1:40001 refused: connection limit")])
        self.assertEqual(self.factory.registry.ended, {CloseReason.CONNECTION_LIMIT: 1})
        self.intake.pause(Lag(1, 1, 1.0))
        first.connectionLost(Failure(ConnectionDone()))
        _, transport = self.connect()
        self.assertFalse(transport.disconnected)

    def test_so_is_one_too_many_from_an_address(self) -> None:
        self.factory.registry.admission.max_per_address = 1
        self.connect()
        second, _ = self.connect()
        self.assertEqual(second.reason, CloseReason.ADDRESS_LIMIT)
