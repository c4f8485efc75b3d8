"""The tester's publisher: how messages leave, and what it says about them."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from relay.wire.framings import find_framing
from tester.publisher.options import Options, parse
from tester.publisher.publisher import Outlet, Publisher
from tester.publisher.report import FOLLOWED, Report


class Transport(StringTransport):
    """Twisted's transport for tests, with a sending half that can be closed."""

    producer: Any  # an IPushProducer or None
    half_closed = False
    aborted = False

    def fileno(self) -> int:
        return -1

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


class PublisherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.outlet = Outlet()
        self.said: list[str] = []

    def connect(self, framing: str = "line", tls: bool = False) -> tuple[Any, Transport]:  # Any: a publisher
        publisher = Publisher(self.outlet, find_framing(framing).frame, self.said.append)
        transport = Transport()
        if tls:
            alsoProvides(transport, ISSLTransport)
        publisher.makeConnection(transport)
        return publisher, transport

    def ready(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.outlet.ready())

    def test_each_framing_is_as_the_protocol_has_it(self) -> None:
        for framing, wire in (
            *(("line", b"hi\n\n"), ("cr", b"hi\r\r"), ("nul", b"hi\0\0")),
            *(("int16", b"\0\2hi\0\0"), ("varint", b"\2hi\0"), ("netstring", b"2:hi,0:,")),
        ):
            publisher, transport = self.connect(framing)
            publisher.send(b"hi")
            publisher.send(b"")
            self.assertEqual(transport.value(), wire)

    def test_a_message_that_the_framing_does_not_have_ends_the_program_in_words(self) -> None:
        for framing, message in (("raw", b""), ("octet", b""), ("nul", b"h\0i"), ("int16", bytes(65_536))):
            publisher, transport = self.connect(framing)
            error = self.assertRaises(SystemExit, publisher.send, message)
            self.assertIn("a message cannot be sent: ", str(error))
            self.assertEqual(transport.value(), b"")

    def test_messages_wait_for_a_connection(self) -> None:
        ready = self.ready()
        self.assertNoResult(ready)
        self.connect()
        self.successResultOf(ready)

    def test_messages_wait_while_the_transport_has_enough(self) -> None:
        _, transport = self.connect()
        transport.producer.pauseProducing()
        ready = self.ready()
        self.assertNoResult(ready)
        transport.producer.resumeProducing()
        self.successResultOf(ready)

    def test_messages_go_to_the_next_connection_when_one_has_ended(self) -> None:
        first, transport = self.connect()
        transport.producer.pauseProducing()
        ready = self.ready()
        transport.producer.stopProducing()
        first.connectionLost(Failure(ConnectionDone()))
        self.assertNoResult(ready)
        second, _ = self.connect()
        self.successResultOf(ready)
        self.assertIs(self.outlet.connection, second)
        self.assertEqual(self.said, ["the relay closed the connection"])

    def test_it_finishes_when_the_relay_has_answered_the_end_with_its_own(self) -> None:
        publisher, transport = self.connect()
        self.outlet.send(b"hi")
        finished = Deferred.fromCoroutine(self.outlet.finish())
        self.assertTrue(transport.half_closed)
        self.assertIsNone(transport.producer)
        publisher.writeConnectionLost()
        self.assertNoResult(finished)
        publisher.readConnectionLost()
        self.assertTrue(transport.disconnecting)
        publisher.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(finished)
        self.assertEqual(self.outlet.certain, 1)
        self.assertEqual(self.said, [])

    def test_it_does_not_take_a_relay_that_drops_it_for_one_that_has_read_everything(self) -> None:
        publisher, _ = self.connect()
        self.outlet.send(b"hi")
        finished = Deferred.fromCoroutine(self.outlet.finish())
        publisher.writeConnectionLost()
        publisher.connectionLost(Failure(ConnectionLost()))
        self.successResultOf(finished)
        self.assertEqual(self.outlet.certain, 0)

    def test_it_drops_what_is_queued_when_the_relay_reads_no_more(self) -> None:
        publisher, transport = self.connect()
        self.outlet.send(b"hi")
        publisher.readConnectionLost()
        self.assertTrue(transport.aborted)
        publisher.connectionLost(Failure(ConnectionAborted()))
        self.assertEqual(self.outlet.certain, 0)
        self.assertEqual(self.said, ["the relay closed the connection"])

    def test_it_closes_both_halves_at_once_under_tls(self) -> None:
        publisher, transport = self.connect(tls=True)
        self.outlet.send(b"hi")
        finished = Deferred.fromCoroutine(self.outlet.finish())
        self.assertTrue(transport.disconnecting)
        publisher.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(finished)
        self.assertEqual(self.outlet.certain, 1)

    def test_without_a_connection_there_is_nothing_to_finish_or_to_abort(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.outlet.finish()))
        self.outlet.abort("no reason")
        self.assertEqual(self.said, [])

    def test_what_a_peer_that_speaks_has_read_is_not_certain(self) -> None:
        publisher, _ = self.connect()
        self.outlet.send(b"hi")
        finished = Deferred.fromCoroutine(self.outlet.finish())
        publisher.dataReceived(b"HTTP/1.1 400 Bad Request\r\n")
        publisher.writeConnectionLost()
        publisher.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(finished)
        self.assertEqual(self.outlet.certain, 0)
        self.assertEqual(self.said, ["this is an HTTP server: is it the right port?"])

    def test_a_peer_that_speaks_is_reproached_once(self) -> None:
        publisher, _ = self.connect()
        for _ in range(3):
            publisher.dataReceived(b"\0\0\0\2hi")
        self.assertEqual(len(self.said), 1)
        self.assertIn("is it the right port?", self.said[0])


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.written: list[str] = []
        self.report = Report(self.written.append, self.clock.seconds)

    def send(self, messages: int) -> list[str]:
        """Send so many within a second, and tell what was written."""
        self.written.clear()
        for _ in range(messages):
            self.report.sent(b"hello")
        self.clock.advance(1)
        return self.written

    def test_every_message_has_a_line_at_a_pace_that_can_be_followed(self) -> None:
        for number in range(1, 4):
            (line,) = self.send(1)
            self.assertIn(f"#{number}  5 B  crc32 3610a686  hello", line)

    def test_a_flood_has_one_line_a_second(self) -> None:
        self.assertEqual(len(self.send(100)), FOLLOWED)
        (line,) = self.send(200)
        self.assertIn("up to #100: 100 messages, 500 bytes", line)
        (line,) = self.send(1000)
        self.assertIn("up to #300: 200 messages, 1,000 bytes", line)

    def test_after_a_flood_messages_have_lines_again(self) -> None:
        self.send(100)
        self.send(1)
        up_to, line = self.send(1)
        self.assertIn("up to #101: 1 message, 5 bytes", up_to)
        self.assertIn("#102  5 B", line)
        self.assertEqual(len(self.send(1)), 1)

    def test_the_summary_is_of_everything(self) -> None:
        self.send(100)
        self.send(1)
        self.assertEqual(self.report.summary(), "101 messages, 505 bytes in 1.000 s: 100.0 messages/s")


class OptionsTests(SynchronousTestCase):
    def error(self, *arguments: str) -> str:
        with redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(self.assertRaises(SystemExit, parse, arguments).code, 2)
        self.assertEqual(stderr.getvalue().count("\n"), 1)
        return stderr.getvalue()

    def parse(self, *arguments: str) -> Options:
        return parse(arguments)

    def test_by_default_it_sends_1024_characters_every_10_seconds_to_this_machine(self) -> None:
        options = self.parse()
        self.assertEqual((options.size, options.interval, options.count), (1024, 10.0, None))
        self.assertEqual((options.connect, options.framing), ("tcp:127.0.0.1:8001", "int32"))

    def test_a_file_is_sent_as_fast_as_it_is_taken_unless_there_is_an_interval(self) -> None:
        self.assertEqual(self.parse("--file", "-").interval, 0.0)
        self.assertEqual(self.parse("--file", "-", "--interval", "3").interval, 3.0)

    def test_a_name_needs_acks(self) -> None:
        self.assertEqual((self.parse().acks, self.parse("--name", "me").acks), (False, True))

    def test_what_makes_no_sense_is_refused(self) -> None:
        self.assertIn("there are no acks with --framing line", self.error("--acks", "--framing", "line"))
        self.assertIn("printable characters", self.error("--name", "\n"))
        self.assertIn("-1 is less than 0", self.error("--size", "-1"))
        self.assertIn("not allowed with", self.error("--size", "1", "--file", "-"))
        self.assertIn("--size 11 is more than --max-message 10", self.error("--size", "11", "--max-message", "10"))
        self.assertIn("no empty messages", self.error("--size", "0", "--framing", "raw"))
