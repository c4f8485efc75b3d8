"""What the tester's publisher and client share: how messages look, how connections come back, how options fail."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.internet import ClientService
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault, NoSessions, Refused
from tester.connection import explain, in_options, keep_connected, parse_endpoint, spoken_endpoint
from tester.message import SHOWN, beginning, describe
from tester.options import Parser, seconds, whole
from tester.tally import Tally

NOON = datetime(2026, 1, 2, 12, 0, 0, 5000)


class MessageTests(SynchronousTestCase):
    def test_a_line_says_when_which_and_what(self) -> None:
        line = describe(7, b"hello", NOON)
        self.assertEqual(line, "12:00:00.005  #7  5 B  crc32 3610a686  hello")

    def test_long_messages_are_cut_for_display_and_short_ones_are_not(self) -> None:
        self.assertEqual(beginning(b"x" * SHOWN), "x" * SHOWN)
        self.assertEqual(beginning(b"x" * (SHOWN + 1)), "x" * SHOWN + "…")

    def test_text_is_shown_as_text_and_never_cut_within_a_character(self) -> None:
        self.assertEqual(beginning("€😀".encode() * 100, width=3), "€😀€…")

    def test_what_could_move_the_cursor_or_turn_the_text_round_is_spelled_out(self) -> None:
        shown = beginning("\x1b[2J\r\n\x07\x9b\u202e\\".encode() + b"\xff\x00")
        self.assertEqual(shown, r"\x1b[2J\r\n\x07\x9b\u202e\\\xff\x00")

    @given(st.binary(max_size=500))
    def test_whatever_comes_nothing_but_printable_characters_is_shown(self, payload: bytes) -> None:
        line = describe(1, payload, NOON)
        self.assertTrue(line.isprintable(), line)
        line.encode()


class TallyTests(SynchronousTestCase):
    def summary(self, *arrivals: tuple[float, int]) -> str:
        times = iter([when for when, _ in arrivals])
        tally = Tally(lambda: next(times))
        for _, size in arrivals:
            tally.add(size)
        return tally.summary()

    def test_nothing(self) -> None:
        self.assertEqual(self.summary(), "0 messages, 0 bytes")

    def test_one_message_has_no_rate(self) -> None:
        self.assertEqual(self.summary((5.0, 1)), "1 message, 1 byte")

    def test_one_message_every_10_seconds_is_a_tenth_of_a_message_a_second(self) -> None:
        summary = self.summary((5.0, 1024), (15.0, 1024), (25.0, 1024))
        self.assertEqual(summary, "3 messages, 3,072 bytes in 20.000 s: 0.1 messages/s")


class ConnectionTests(SynchronousTestCase):
    """A service on a reactor that connects when the test says so."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.said: list[str] = []
        self.endpoint = spoken_endpoint(self.reactor, "relay.example:8001", None, self.said.append, self.fail)
        self.service: ClientService = keep_connected(self.reactor, self.endpoint, Protocol)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def newest(self) -> Any:
        """The factory of the newest attempt to connect. Any: it is Twisted's own, and has no public type."""
        return self.reactor.tcpClients[-1][2]

    def accept(self) -> Protocol:
        """The newest attempt to connect succeeds."""
        protocol: Protocol = self.newest().buildProtocol(None)
        protocol.makeConnection(StringTransport())
        return protocol

    def refuse(self) -> None:
        """The newest attempt to connect fails, and the next one begins."""
        self.newest().clientConnectionFailed(None, Failure(ConnectError()))
        self.reactor.advance(10)

    def test_a_connection_is_announced(self) -> None:
        self.accept()
        self.assertEqual(self.said, ["connected to relay.example:8001"])

    def test_a_relay_that_is_not_there_is_waited_for_and_said_once(self) -> None:
        for _ in range(3):
            self.refuse()
        self.accept()
        self.assertEqual(len(self.reactor.tcpClients), 4)
        self.assertEqual(len(self.said), 2, self.said)
        self.assertIn("waiting for a relay at relay.example:8001: An error occurred while connecting", self.said[0])

    def test_it_comes_back_and_the_next_outage_is_said_again(self) -> None:
        self.refuse()
        protocol = self.accept()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(10)
        self.refuse()
        self.assertEqual([line.split()[0] for line in self.said], ["waiting", "connected", "waiting"])

    def test_a_stop_while_it_connects_is_no_outage(self) -> None:
        self.service.stopService()
        self.assertEqual(self.said, [])

    def test_the_client_library_tells_why_a_connection_ended_and_once(self) -> None:
        self.endpoint.lost(ConnectionFault("it was never there"))
        self.accept()
        for _ in range(2):
            self.endpoint.lost(ConnectionFault("the relay is gone"))
        self.assertEqual(self.said[1:], ["the relay is gone"])

    def test_the_client_library_gives_up_in_the_words_of_the_options(self) -> None:
        self.assertIn("; --no-session needs no answer", in_options(NoSessions(), "--no-session"))
        self.assertEqual(in_options(Refused("a larger max_message"), ""), "a larger --max-message")

    def test_ends_are_explained(self) -> None:
        self.assertEqual(explain(Failure(ConnectionDone())), "the relay closed the connection")
        self.assertIn("the connection broke: ", explain(Failure(ConnectionLost())))


class EndpointTests(SynchronousTestCase):
    def test_host_and_port_are_enough(self) -> None:
        reactor = MemoryReactorClock()
        for address in ("relay.example:8001", "tcp:relay.example:8001"):
            parse_endpoint(reactor, address).connect(Protocol)  # type: ignore[arg-type]  # it is never called
            self.assertEqual(reactor.tcpClients[-1][:2], ("relay.example", 8001))

    def test_every_endpoint_of_twisted_will_do(self) -> None:
        reactor = MemoryReactorClock()
        parse_endpoint(reactor, "unix:/run/relay").connect(Protocol)  # type: ignore[arg-type]
        self.assertEqual(reactor.unixClients[-1][0], "/run/relay")

    def test_anything_else_ends_the_program_with_a_line(self) -> None:
        for address in ("8001", "tcp:8001", "tcp:a:b:c:d:e", "carrier-pigeon:home:1", ""):
            error = self.assertRaises(SystemExit, parse_endpoint, MemoryReactorClock(), address)
            self.assertIn("is no HOST:PORT and no endpoint string", str(error))


class OptionsTests(SynchronousTestCase):
    def error(self, *arguments: str) -> str:
        """What a program says to these arguments before it ends with status 2."""
        parser = Parser(prog="program")
        parser.add_argument("--count", type=whole(minimum=1, maximum=9))
        parser.add_argument("--interval", type=seconds)
        with redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(self.assertRaises(SystemExit, parser.parse_args, arguments).code, 2)
        return stderr.getvalue()

    def test_an_error_is_one_line_that_names_the_option(self) -> None:
        line = "program: argument --count: 0 is less than 1 (--help tells more)\n"
        self.assertEqual(self.error("--count", "0"), line)

    def test_numbers_are_numbers_and_within_their_limits(self) -> None:
        self.assertIn("not a whole number: 'x'", self.error("--count", "x"))
        self.assertIn("10 is more than 9", self.error("--count", "10"))

    def test_spans_of_time_are_finite_and_not_negative(self) -> None:
        for text in ("-1", "x", "nan", "inf"):
            self.assertIn(f"not a number of seconds: {text!r}", self.error(f"--interval={text}"))
        self.assertEqual(seconds("0.5"), 0.5)
