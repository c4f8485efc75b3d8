"""The tester's client: how messages arrive in each framing, and how they are printed."""

from __future__ import annotations

import errno
import io
import os
from contextlib import redirect_stderr
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.client.events import Gap
from relay.wire.framing import Frames
from relay.wire.framings import FRAMINGS
from relay.wire.position import Position
from tester.client.__main__ import DOUBT, QUIET, listen
from tester.client.options import Options, parse
from tester.client.printer import Printer
from tester.client.session import describe
from tester.client.subscriber import Subscriber
from tester.connection import spoken_endpoint
from tester.tally import Tally
from tests.kit.fakes import frame


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


def framed(*payloads: bytes) -> Frames:
    data = b"".join(map(frame, payloads))
    return Frames(data, len(payloads), len(data))


class PrinterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.output, self.tally = Pipe(), Tally(lambda: 0.0)

    def printer(self, framing: str = "int32", raw: bool = True, count: int | None = None) -> Printer:
        return Printer(self.output, FRAMINGS[framing], raw, self.tally, count)

    def test_lines_tell_the_number_and_what_came(self) -> None:
        printer = self.printer(raw=False)
        printer.run(framed(b"one", b"two"))
        printer.run(framed(b"hello\n"))
        last = self.output.flushed.splitlines()[2]
        self.assertRegex(last, rb"^\d\d:\d\d:\d\d\.\d{3}  #3  6 B  crc32 363a3020  hello\\n$")

    def test_bytes_are_printed_as_they_are(self) -> None:
        self.printer().run(framed(b"\x1b\xff", b"", b"x"))
        self.printer("line").run(Frames(b"one\ntwo\n", 2, 8))
        self.printer("raw").run(Frames(memoryview(b"thr"), 1, 3))
        self.printer("nul").run(Frames(b"ee\0", 1, 3))
        self.printer("netstring").run(Frames(b"2:hi,", 1, 5))
        self.assertEqual(self.output.flushed, b"\x1b\xffxone\ntwo\nthree\0hi")
        self.assertEqual((self.tally.messages, self.tally.octets), (8, 16))

    @given(st.lists(st.lists(st.binary(max_size=5), min_size=1, max_size=5)), st.integers(1, 10))
    def test_it_prints_and_counts_as_many_as_are_wanted(self, runs: list[list[bytes]], count: int) -> None:
        self.setUp()
        printer = self.printer(count=count)
        for run in runs:
            printer.run(framed(*run))
        wanted = [payload for run in runs for payload in run][:count]
        self.assertEqual(self.output.flushed, b"".join(wanted))
        self.assertEqual((printer.done, self.tally.messages), (len(wanted) == count, len(wanted)))

    def test_without_a_count_it_is_never_done(self) -> None:
        self.assertFalse(self.printer().done)


class SubscriberTests(SynchronousTestCase):
    def connect(self, framing: str = "line", count: int | None = None, longest: int = 1000) -> Subscriber:
        self.said: list[str] = []
        self.output = Pipe()
        self.ended: Deferred[None] = Deferred()
        printer = Printer(self.output, FRAMINGS[framing], True, Tally(lambda: 0.0), count)
        subscriber = Subscriber(FRAMINGS[framing](longest), printer, self.ended, self.said.append)
        subscriber.makeConnection(Transport())
        return subscriber

    def test_the_reader_has_every_message_as_soon_as_it_came(self) -> None:
        subscriber = self.connect()
        subscriber.dataReceived(b"one\ntw")
        self.assertEqual(self.output.flushed, b"one\n")

    def test_it_ends_when_there_were_enough_and_prints_none_that_came_with_them(self) -> None:
        subscriber = self.connect(count=2)
        subscriber.dataReceived(b"one\ntwo\nthree\n")
        self.successResultOf(self.ended)
        subscriber.dataReceived(b"four\n")
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.output.flushed, b"one\ntwo\n")
        self.assertEqual(self.said, [])

    def test_it_ends_when_it_cannot_print(self) -> None:
        subscriber = self.connect()
        self.output.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        subscriber.dataReceived(b"one\n")
        self.failureResultOf(self.ended, OSError)
        subscriber.dataReceived(b"two\n")

    def test_an_end_within_a_message_is_told(self) -> None:
        subscriber = self.connect()
        subscriber.dataReceived(b"one\nhello")
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.said, ["the relay closed the connection, within a message: 5 bytes of it had come"])

    def test_too_long_a_message_ends_it_in_words_and_nothing_after_it_is_printed(self) -> None:
        for long, words in (
            (b"x" * 11, "a message of more than the limit of 10 bytes: give a larger --max-message, or the relay's"),
            (bytes(11), "is not line; it looks like lengths of 4 bytes: --framing int32"),
        ):
            subscriber = self.connect(longest=10)
            for byte in b"ok\n" + long:
                subscriber.dataReceived(bytes([byte]))
            self.assertTrue(subscriber.transport.aborted)
            subscriber.connectionLost(Failure(ConnectionAborted()))
            self.assertEqual(self.output.flushed, b"ok\n")
            self.assertIn(words, str(self.failureResultOf(self.ended, SystemExit).value))


class GapTests(SynchronousTestCase):
    def test_each_kind_of_gap_has_words(self) -> None:
        position = Position("ab", 1200)
        self.assertEqual(describe(Gap(1000, position)), "messages are missing before ab-1200: 1,000")
        self.assertIn("nobody knows how many", describe(Gap(None, position)))
        self.assertIn("messages from ab-1200 on come again", describe(Gap(0, position, repeats=True)))


class OptionsTests(SynchronousTestCase):
    def parse(self, *arguments: str) -> Options:
        return parse(arguments)

    def test_by_default_it_prints_what_this_machine_sends_for_ever(self) -> None:
        options = self.parse()
        self.assertEqual((options.connect, options.framing), ("tcp:127.0.0.1:8002", "int32"))
        self.assertEqual((options.raw, options.count), (False, None))

    def test_it_takes_longer_messages_than_a_relay_sends_by_default(self) -> None:
        self.assertGreater(self.parse().max_message, 99_999)

    def test_there_is_a_session_if_it_can_be_had_and_none_is_needed(self) -> None:
        self.assertIsNone(self.parse().session)
        self.assertFalse(self.parse("--no-session").session)
        self.assertFalse(self.parse("--framing", "line").session)
        for needed in (["--session"], ["--after", "ab-1"], ["--replay", "0"], ["--since", "0"], ["--name", "me"]):
            self.assertTrue(self.parse(*needed).session, needed)

    def test_a_beginning_is_a_position_a_number_of_messages_or_a_time(self) -> None:
        self.assertEqual(self.parse("--after", "ab-17").after, Position("ab", 17))
        self.assertEqual(self.parse("--since", "1.5").since, 1.5)
        noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
        self.assertEqual(self.parse("--since", "2026-01-02t13:00:00+01:00").since, noon)

    def test_what_makes_no_sense_is_refused(self) -> None:
        for arguments, words in (
            (["--count", "0"], "0 is less than 1"),
            (["--after", "17"], "is not a position"),
            (["--since", "2026-01-02T12:00:00"], "neither seconds nor a time with its zone"),
            (["--since", "1", "--replay", "1"], "not allowed with"),
            (["--name", "x" * 129], "not 1 to 128 printable characters"),
            (["--no-session", "--store", "x"], "--store needs a session, which there is none with --no-session"),
            (["--framing", "line", "--session"], "--session needs a session, which there is none with --framing line"),
        ):
            with redirect_stderr(io.StringIO()) as stderr:
                self.assertEqual(self.assertRaises(SystemExit, self.parse, *arguments).code, 2)
            self.assertIn(words, stderr.getvalue())


class ListenTests(SynchronousTestCase):
    def test_who_hears_nothing_for_long_is_told_once_what_may_be_wrong(self) -> None:
        reactor = MemoryReactorClock()
        said: list[str] = []
        options = parse(("--framing", "line"))
        endpoint = spoken_endpoint(reactor, options.connect, None, said.append, said.append)
        tally = Tally(reactor.seconds)
        printer = Printer(Pipe(), FRAMINGS["line"], False, tally)
        with redirect_stderr(io.StringIO()) as stderr:
            listening = Deferred.fromCoroutine(listen(options, endpoint, printer, reactor))
            reactor.advance(QUIET)
            reactor.advance(QUIET)
        self.assertEqual(stderr.getvalue(), f"{DOUBT} line\n")
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assertEqual(reactor.getDelayedCalls(), [])
