"""The tester's client: how messages arrive in each framing, and how they are printed."""

from __future__ import annotations

import errno
import io
import os
from contextlib import redirect_stderr

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tester.client.options import Options, parse
from tester.client.printer import Printer, as_it_is, as_line
from tester.client.subscriber import SUBSCRIBERS, Subscriber
from tester.tally import Tally
from tests.kit.fakes import frame


def bracketed(number: int, payload: bytes) -> bytes:
    """A rendering that shows where messages begin and end."""
    return b"%d<%b>" % (number, payload)


class Transport(StringTransport):
    """Twisted's transport for tests, which remembers what ended it."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Pipe(io.BytesIO):
    """An output that notes what was flushed, and fails when it is told to."""

    error: OSError | None = None
    flushed = b""

    def flush(self) -> None:
        if self.error:
            raise self.error
        self.flushed = self.getvalue()


class PrinterTests(SynchronousTestCase):
    def test_lines_tell_the_number_and_what_came(self) -> None:
        self.assertRegex(as_line(3, b"hello\n"), rb"^\d\d:\d\d:\d\d\.\d{3}  #3  6 B  crc32 363a3020  hello\\n\n$")

    def test_bytes_are_printed_as_they_are(self) -> None:
        self.assertEqual(as_it_is(b"\n")(3, b"\x1b\xff"), b"\x1b\xff\n")

    def test_it_counts_what_it_prints_and_stops_when_it_has_enough(self) -> None:
        output, tally = Pipe(), Tally(lambda: 0.0)
        printer = Printer(output, bracketed, tally, count=2)
        for payload in (b"a", b"bc", b"d"):
            printer.message(payload)
        printer.flush()
        self.assertEqual(output.flushed, b"1<a>2<bc>")
        self.assertEqual((printer.done, tally.messages, tally.octets), (True, 2, 3))

    def test_without_a_count_it_is_never_done(self) -> None:
        printer = Printer(Pipe(), bracketed, Tally(lambda: 0.0))
        self.assertFalse(printer.done)


class SubscriberTests(SynchronousTestCase):
    def connect(self, framing: str, count: int | None = None, longest: int = 1000) -> Subscriber:
        self.said: list[str] = []
        self.output = Pipe()
        self.ended: Deferred[None] = Deferred()
        printer = Printer(self.output, bracketed, Tally(lambda: 0.0), count)
        subscriber = SUBSCRIBERS[framing](printer, self.ended, longest, self.said.append)
        subscriber.makeConnection(Transport())
        return subscriber

    @given(st.lists(st.binary(max_size=30)), st.lists(st.integers(1, 9), min_size=1))
    def test_messages_are_the_same_wherever_the_stream_was_cut(self, payloads: list[bytes], sizes: list[int]) -> None:
        lines = [payload.replace(b"\n", b"") for payload in payloads]
        for framing, sent, stream in (
            ("int32", payloads, b"".join(map(frame, payloads))),
            ("line", lines, b"".join(line + b"\n" for line in lines)),
        ):
            subscriber = self.connect(framing)
            at = 0
            while at < len(stream):
                sizes.append(sizes.pop(0))
                subscriber.dataReceived(stream[at : at + sizes[-1]])
                at += sizes[-1]
            expected = b"".join(bracketed(number, payload) for number, payload in enumerate(sent, 1))
            self.assertEqual(self.output.flushed, expected)
            subscriber.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.said, ["the relay closed the connection"])

    def test_without_framing_every_read_is_a_message(self) -> None:
        subscriber = self.connect("raw")
        subscriber.dataReceived(b"one\ntwo")
        subscriber.dataReceived(b"three")
        self.assertEqual(self.output.flushed, b"1<one\ntwo>2<three>")

    def test_the_reader_has_every_message_as_soon_as_it_came(self) -> None:
        subscriber = self.connect("line")
        subscriber.dataReceived(b"one\ntw")
        self.assertEqual(self.output.flushed, b"1<one>")

    def test_it_ends_when_there_were_enough_and_prints_none_that_came_with_them(self) -> None:
        subscriber = self.connect("line", count=2)
        subscriber.dataReceived(b"one\ntwo\nthree\n")
        self.successResultOf(self.ended)
        subscriber.dataReceived(b"four\n")
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.output.flushed, b"1<one>2<two>")
        self.assertEqual(self.said, [])

    def test_it_ends_when_it_cannot_print(self) -> None:
        subscriber = self.connect("line")
        self.output.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        subscriber.dataReceived(b"one\n")
        self.failureResultOf(self.ended, OSError)
        subscriber.dataReceived(b"two\n")

    def test_an_end_within_a_message_is_told(self) -> None:
        for framing in ("int32", "line"):
            subscriber = self.connect(framing)
            subscriber.dataReceived(b"\0\0\0\2h")
            subscriber.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.said, ["the relay closed the connection, within a message: 5 bytes of it had come"])

    def test_too_long_a_message_ends_the_connection_and_nothing_after_it_is_printed(self) -> None:
        for framing, stream in (
            ("int32", frame(b"ok") + b"\0\0\0\x0b" + frame(b"no")),
            ("line", b"ok\n" + b"x" * 11),
        ):
            subscriber = self.connect(framing, longest=10)
            for byte in stream:
                subscriber.dataReceived(bytes([byte]))
            self.assertTrue(subscriber.transport.aborted)
            subscriber.connectionLost(Failure(ConnectionAborted()))
            self.assertEqual(self.output.flushed, b"1<ok>")
            self.assertEqual(self.said, ["a message of at least 11 bytes is longer than --max-message 10"])


class OptionsTests(SynchronousTestCase):
    def parse(self, *arguments: str) -> Options:
        return parse(arguments)

    def test_by_default_it_prints_what_this_machine_sends_for_ever(self) -> None:
        options = self.parse()
        self.assertEqual((options.connect, options.framing), ("tcp:127.0.0.1:8002", "int32"))
        self.assertEqual((options.raw, options.count), (False, None))

    def test_it_takes_longer_messages_than_a_relay_sends_by_default(self) -> None:
        self.assertGreater(self.parse().max_message, 99_999)

    def test_what_makes_no_sense_is_refused(self) -> None:
        with redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(self.assertRaises(SystemExit, self.parse, "--count", "0").code, 2)
        self.assertIn("0 is less than 1", stderr.getvalue())
