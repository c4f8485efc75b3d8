"""Publishers, with a hub and its log, and Twisted's transport for tests."""

from __future__ import annotations

from struct import pack

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from relay.core.cursor import Lag
from relay.wire.close_reason import CloseReason
from tests.kit.connections import PublisherCase
from tests.kit.fakes import frame, said


class PublisherTests(PublisherCase):
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
                    LogLevel.warn,
                    "publisher 192.0.2.1:40001 disconnected: peer closed, 1 messages, 7 bytes, "
                    "2 bytes of an incomplete message dropped; its last message was not complete",
                ),
            ],
        )
        self.assertEqual(self.factory.registry.ended, {CloseReason.PEER_CLOSED: 1})
        self.assertEqual(self.factory.registry.open, {})

    def test_who_ends_within_a_message_is_told_by_a_reset_and_who_ends_behind_one_by_an_orderly_end(self) -> None:
        for rest, aborted in ((b"", 0), (b"\0\0", 1)):
            publisher, transport = self.connect()
            publisher.dataReceived(frame(b"one") + rest)
            publisher.readConnectionLost()
            self.assertEqual((transport.disconnecting, transport.aborted), (True, aborted))
            publisher.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(publisher.reason, CloseReason.PEER_CLOSED)
        self.assertEqual(self.intake.incomplete, 1)

    def test_of_one_that_sends_nothing_at_all_the_log_says_so_once(self) -> None:
        self.connect()
        speaking, _ = self.connect()
        speaking.dataReceived(frame(b"one"))
        with capturedLogs() as events:
            for _ in range(30):
                self.intake.sweep(1.0)
        line = "publisher 192.0.2.1:40001 has sent nothing for 10 s: who wants to read connects to subscribers' ports"
        self.assertEqual(said(events), [(LogLevel.info, line)])

    def test_one_that_is_made_to_wait_is_not_called_silent(self) -> None:
        self.connect()
        self.intake.pause(Lag(1, 1, 1.0))
        with capturedLogs() as events:
            for _ in range(30):
                self.intake.sweep(1.0)
        self.assertEqual(events, [])

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


class LimitTests(PublisherCase):
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
