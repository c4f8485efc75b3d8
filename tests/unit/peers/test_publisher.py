"""Publishers, with a hub and its log, and Twisted's transport for tests."""

from __future__ import annotations

from struct import pack

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from relay.core.cursor import Lag
from relay.peers.publisher import PublisherFactory
from relay.peers.rate_limited_log import MAX_LINES
from relay.wire.close_reason import CloseReason
from relay.wire.delimited import Line
from relay.wire.raw import Raw
from tests.kit.connections import PublisherCase
from tests.kit.fakes import accepted, frame, said


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


class RawTests(PublisherCase):
    """`--framing raw`, where every read is a message."""

    def setUp(self) -> None:
        super().setUp()
        self.factory = PublisherFactory(accepted("publisher"), self.hub, self.intake, lambda: Raw(99_999))

    def sent(self, *reads: bytes) -> list[tuple[LogLevel, str | None]]:
        """What the log says of a publisher of which that is read."""
        publisher, transport = self.connect()
        with capturedLogs() as events:
            for data in reads:
                publisher.dataReceived(data)
        self.assertEqual((publisher.messages, transport.disconnecting), (len(reads), False))
        return said(events)

    def test_of_one_that_seems_to_have_a_framing_the_log_says_so_once(self) -> None:
        line = (
            "publisher 192.0.2.1:40001 seems to send messages of --framing int32: "
            "here what came at once is one message, with their lengths in it"
        )
        for first in (frame(b"one"), frame(b"one") + frame(b"x" * 50_000)):
            self.assertEqual(self.sent(first, frame(b"two")), [(LogLevel.warn, line)])

    def test_of_any_other_it_says_nothing(self) -> None:
        self.assertEqual(self.sent(b"one", frame(b"two")), [])


class DiscardTests(PublisherCase):
    """`--too-long discard`, with a framing that tells where the next message begins."""

    def setUp(self) -> None:
        super().setUp()
        self.factory = PublisherFactory(accepted("publisher"), self.hub, self.intake, lambda: Line(40))
        self.intake.discards = True

    def test_a_message_that_is_too_long_is_dropped_and_counted_and_its_publisher_goes_on(self) -> None:
        publisher, transport = self.connect()
        with capturedLogs() as events:
            publisher.dataReceived(b"one\n" + b"x" * 41)
            publisher.dataReceived(b"x\ntwo\n")
        self.turns.run()
        self.assertEqual(b"".join(self.log.batch(number).data for number in range(self.log.end)), b"one\ntwo\n")
        self.assertEqual((self.intake.discarded, publisher.tally.messages, self.log.next), (1, 2, 3))
        self.assertFalse(transport.aborted)
        line = "publisher 192.0.2.1:40001 sent a message of more than the limit of 40 bytes, which is discarded"
        self.assertEqual(said(events), [(LogLevel.warn, line)])

    def test_of_one_that_has_sent_no_message_yet_the_log_says_what_it_seems_to_speak(self) -> None:
        publisher, _ = self.connect()
        with capturedLogs() as events:
            publisher.dataReceived(b"hello\0" * 20)
        words = "which is discarded; it looks like text that ends with a zero byte: --framing nul"
        self.assertIn(words, said(events)[0][1])

    def test_lines_about_it_are_limited(self) -> None:
        publisher, _ = self.connect()
        with capturedLogs() as events:
            publisher.dataReceived((b"x" * 41 + b"\n") * 1000)
        self.assertEqual((len(events), self.intake.discarded), (MAX_LINES, 1000))

    def test_it_can_change_while_publishers_are_connected(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(b"x" * 41 + b"\none\n")
        self.intake.discards = False
        publisher.dataReceived(b"x" * 41 + b"\ntwo\n")
        self.assertTrue(transport.aborted)
        self.assertEqual((publisher.reason, publisher.tally.messages), (CloseReason.MESSAGE_TOO_LONG, 1))

    def test_what_is_being_dropped_is_no_incomplete_message(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(b"x" * 41)
        for _ in range(60):
            self.intake.sweep(1.0)
        self.assertEqual((transport.aborted, publisher.partial), (False, 0))
        publisher.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.intake.incomplete, self.intake.discarded), (0, 1))


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
