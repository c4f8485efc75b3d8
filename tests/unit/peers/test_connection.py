"""A connection's life: who is let in, which states follow each other, and one end for one reason."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.core.chores import Chore
from relay.core.cursor import Tally
from relay.core.state import State
from relay.net.addresses import address_name
from relay.peers.admission import Admission
from relay.peers.connection import BRIEF, Connection
from relay.peers.probes import Probes
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.wire.close_reason import CloseReason
from tests.kit.connections import PEER, FakeTransport
from tests.kit.fakes import accepted, said


class Guest(Connection):
    begun = 0

    tally = Tally(0, 0, 0)

    def _begin(self) -> None:
        self.lifecycle.become(State.OPEN)
        self.begun += 1

    def _end(self) -> None:
        self._log_end("gone")


class AccessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = Registry("guest", Admission(), RateLimitedLog())
        self.registry.allowed = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))

    def connect(self, address: IAddress) -> Guest:
        guest = Guest(self.registry, address)
        guest.makeConnection(StringTransport(peerAddress=address))
        return guest

    def test_an_address_within_the_networks_may_connect(self) -> None:
        for address in (
            IPv4Address("TCP", "192.0.2.7", 1),
            IPv6Address("TCP", "2001:db8::7", 1),
            IPv6Address("TCP", "::ffff:192.0.2.7", 1),
        ):
            self.assertIsNone(self.connect(address).reason, address)

    def test_another_is_closed_at_once_with_one_line_and_counted(self) -> None:
        for address in (
            IPv4Address("TCP", "198.51.100.7", 1),
            IPv6Address("TCP", "2001:db9::7", 1),
            IPv6Address("TCP", "::ffff:198.51.100.7", 1),
        ):
            with capturedLogs() as events:
                guest = self.connect(address)
            self.assertEqual((guest.reason, guest.begun), (CloseReason.ADDRESS_NOT_ALLOWED, 0))
            [(level, text)] = said(events)
            self.assertIs(level, LogLevel.warn)
            self.assertRegex(str(text), "^guest .* refused: address not allowed$")
            guest.connectionLost()
        self.assertEqual(self.registry.ended, {CloseReason.ADDRESS_NOT_ALLOWED: 3})
        self.assertEqual(self.registry.admission.connections, 0)

    def test_a_unix_socket_has_permissions_instead(self) -> None:
        self.assertIsNone(self.connect(UNIXAddress(b"/run/relay")).reason)

    def test_whom_a_proxy_speaks_for_is_named_behind_it_if_that_is_an_address(self) -> None:
        own = IPv4Address("TCP", "192.0.2.7", 1)
        for carried, name in (
            (own, "192.0.2.7:1"),
            (IPv4Address("TCP", "198.51.100.7", 2), "192.0.2.7:1 for 198.51.100.7:2"),
            (IPv6Address("TCP", "2001:db9::7", 2), "192.0.2.7:1 for [2001:db9::7]:2"),
            (IPv4Address("TCP", "\n2026 a forged line", 2), "192.0.2.7:1"),
        ):
            guest = self.connect(own)
            transport = guest.transport
            assert isinstance(transport, StringTransport)
            transport.peerAddr = carried
            self.assertEqual(guest.peer, name)

    def test_any_address_has_a_name(self) -> None:
        self.assertEqual(address_name(HostnameAddress(b"relay.example", 1)), repr(HostnameAddress(b"relay.example", 1)))

    def test_without_networks_everybody_may(self) -> None:
        self.registry.allowed = ()
        self.assertIsNone(self.connect(IPv4Address("TCP", "198.51.100.7", 1)).reason)


class CutTests(SynchronousTestCase):
    """Connections that are due to be cut while others are cut."""

    def setUp(self) -> None:
        self.waiting: list[Chore] = []
        self.registry = Registry("guest", Admission(), RateLimitedLog(), cuts=self.wait)
        self.guest, self.link = Guest(self.registry, PEER), FakeTransport()
        self.guest.makeConnection(self.link)

    def wait(self, chore: Chore) -> bool:
        self.waiting.append(chore)
        return False

    def test_one_that_waits_to_be_cut_is_not_read_any_more(self) -> None:
        self.guest.abort(CloseReason.OVERRUN)
        self.assertEqual((self.guest.state, self.link.producerState), (State.CUT, "paused"))
        self.assertFalse(self.link.disconnected)
        self.waiting.pop()()
        self.assertTrue(self.link.disconnected)

    def test_one_that_is_gone_meanwhile_is_not_cut(self) -> None:
        self.guest.abort(CloseReason.OVERRUN)
        self.guest.connectionLost(Failure(ConnectionDone()))
        self.waiting.pop()()
        self.assertFalse(self.link.disconnected)

    def test_one_that_was_refused_does_not_wait_because_its_descriptor_is_one_too_many(self) -> None:
        self.registry.admission.max_connections = 1
        guest, link = Guest(self.registry, PEER), FakeTransport()
        guest.makeConnection(link)
        self.assertEqual((self.waiting, link.disconnected), ([], True))


TLS_ERROR = SSL.Error([("SSL routines", "", "no shared cipher")])
"""As OpenSSL's errors come out of a connection that is lost during its handshake."""
EVENTS = ("shake hands", "abort", "drain", "cut", "sweep")


class LifeCase(SynchronousTestCase):
    """Guests of a registry."""

    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.registry = accepted("guest")

    def connect(self, tls: bool = False) -> tuple[Guest, FakeTransport]:
        guest, transport = Guest(self.registry, PEER), FakeTransport(tls=tls)
        guest.makeConnection(transport)
        return guest, transport


class StateTests(LifeCase):
    """The states that all roles have in common."""

    def test_without_tls_it_begins_at_once(self) -> None:
        guest, _ = self.connect()
        self.assertEqual((guest.state, guest.begun), (State.OPEN, 1))

    def test_with_tls_it_begins_when_the_handshake_is_complete(self) -> None:
        guest, _ = self.connect(tls=True)
        self.assertEqual((guest.state, guest.begun), (State.HANDSHAKE, 0))
        guest.handshakeCompleted()
        self.assertEqual((guest.state, guest.begun, guest.subject), (State.OPEN, 1, ""))

    def test_one_that_is_refused_is_cut_and_never_begins(self) -> None:
        self.registry.admission.max_connections = 0
        for tls in (False, True):
            guest, transport = self.connect(tls)
            self.assertEqual((guest.state, guest.begun, transport.aborted), (State.CUT, 0, 1))
            self.assertIs(guest.reason, CloseReason.CONNECTION_LIMIT)
            guest.connectionLost(Failure(ConnectionLost()))
            self.assertIs(guest.state, State.ENDED)
        self.assertEqual(self.registry.ended, {CloseReason.CONNECTION_LIMIT: 2})
        self.assertEqual(self.registry.admission.connections, 0)

    def test_one_that_is_aborted_is_cut_until_it_is_gone(self) -> None:
        for tls in (False, True):
            guest, transport = self.connect(tls)
            guest.abort(CloseReason.ERROR)
            self.assertEqual((guest.state, transport.aborted), (State.CUT, 1))
            self.assertIn(guest, self.registry.open)
            guest.connectionLost(Failure(ConnectionLost()))
            self.assertIs(guest.state, State.ENDED)
            self.assertNotIn(guest, self.registry.open)

    def test_one_that_is_drained_is_finishing_until_it_is_gone(self) -> None:
        guest, transport = self.connect()
        guest.drain()
        guest.drain()
        self.assertEqual((guest.state, transport.disconnecting, transport.aborted), (State.FINISHING, True, 0))
        guest.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((guest.state, guest.reason), (State.ENDED, CloseReason.SHUTDOWN))

    def test_when_there_is_no_time_left_it_is_cut_whether_or_not_its_end_had_begun(self) -> None:
        for tls in (False, True):
            for before in ([], ["drain"], ["abort"]):
                guest, transport = self.connect(tls)
                for event in before:
                    self.happen(event, guest)
                guest.cut()
                self.assertEqual((guest.state, transport.disconnected), (State.CUT, True), before)

    def test_one_that_is_cut_during_its_handshake_never_begins(self) -> None:
        guest, _ = self.connect(tls=True)
        guest.cut()
        guest.handshakeCompleted()
        self.assertEqual((guest.state, guest.begun), (State.CUT, 0))

    @given(st.lists(st.sampled_from(EVENTS), max_size=12), st.booleans(), st.booleans())
    def test_whatever_comes_in_whatever_order_it_ends_once_for_the_first_reason(
        self, events: list[str], tls: bool, refused: bool
    ) -> None:
        self.begin()
        self.registry.admission.max_connections = 0 if refused else 1
        with capturedLogs():
            guest, transport = self.connect(tls)
            first = guest.reason
            for event in events:
                if event == "shake hands" and guest not in self.registry.handshakes:
                    continue
                self.happen(event, guest)
                first = first or guest.reason
                self.assertIs(guest.reason, first)
                self.assertEqual(first is not None, guest.state in (State.FINISHING, State.CUT))
                self.assertEqual(guest.state is State.CUT, transport.aborted > 0)
            guest.connectionLost(Failure(ConnectionLost()))
        expected = first or guest.reason
        assert expected is not None
        self.assertEqual(self.registry.ended, {expected: 1})
        self.assertEqual([one.reason for one in self.registry.latest], [expected])
        self.assertEqual((self.registry.open, self.registry.handshakes), ({}, {}))
        self.assertEqual(self.registry.admission.connections, 0)

    def happen(self, event: str, guest: Guest) -> None:
        match event:
            case "shake hands":
                guest.handshakeCompleted()
            case "abort":
                guest.abort(CloseReason.ERROR)
            case "drain":
                guest.drain()
            case "cut":
                guest.cut()
            case "sweep":
                for _ in range(10):
                    self.registry.sweep(1.0)
            case _:
                raise AssertionError(event)


class EndTests(LifeCase):
    """The reason for an end, and the one line that tells it."""

    def end(self, guest: Guest, failure: Exception) -> list[tuple[LogLevel, str | None]]:
        with capturedLogs() as events:
            guest.connectionLost(Failure(failure))
        return said(events)

    def test_if_it_was_not_our_doing_the_transport_says_whose_it_was(self) -> None:
        for failure, reason in (
            (ConnectionDone(), CloseReason.PEER_CLOSED),
            (ConnectionLost(), CloseReason.CONNECTION_LOST),
            (TimeoutError(), CloseReason.CONNECTION_LOST),
        ):
            guest, _ = self.connect()
            guest.tally = Tally(1, 7, 0)
            line = (LogLevel.info, f"guest 192.0.2.1:40001 disconnected: {reason}, gone")
            self.assertEqual(self.end(guest, failure), [line])
            self.assertIs(guest.reason, reason)

    def test_one_that_came_and_went_without_a_word_is_for_those_who_look_for_a_fault(self) -> None:
        for tls in (False, True):
            self.registry.probes = Probes()
            guest, transport = self.connect(tls)
            if tls:
                vars(transport)["greeted"] = False
            [(level, _)] = self.end(guest, ConnectionLost())
            self.assertIs(level, LogLevel.debug)

    def test_who_stayed_for_a_while_is_told_of_though_nothing_was_published(self) -> None:
        for seconds, level in ((BRIEF - 1, LogLevel.debug), (BRIEF + 1, LogLevel.info)):
            guest, _ = self.connect()
            guest.since -= seconds
            self.assertEqual([told for told, _ in self.end(guest, ConnectionDone())], [level])
            self.registry.probes = Probes()

    def test_what_is_said_of_one_comes_behind_its_beginning(self) -> None:
        self.end(self.connect()[0], ConnectionDone())
        with capturedLogs() as events:
            guest, _ = self.connect()
            guest.info("guest {peer} waves")
            guest.warn("guest {peer} shouts")
        words = [text and text.split()[-1] for _, text in said(events)]
        self.assertEqual(words, ["connected", "waves", "shouts"])

    def test_after_that_its_address_s_next_is_told_of_when_it_stays_or_says_something(self) -> None:
        self.end(self.connect()[0], ConnectionDone())
        with capturedLogs() as events:
            self.end(self.connect()[0], ConnectionDone())
        self.assertEqual([level for level, _ in said(events)], [LogLevel.debug], "its end, and no beginning")
        with capturedLogs() as events:
            stays, _ = self.connect()
            self.registry.sweep(1.0)
        connected = (LogLevel.info, "guest 192.0.2.1:40001 connected")
        self.assertEqual(said(events), [connected])
        self.assertEqual([level for level, _ in self.end(stays, ConnectionDone())], [LogLevel.debug])
        speaks, _ = self.connect()
        speaks.tally = Tally(1, 7, 0)
        self.assertEqual(self.end(speaks, ConnectionDone())[0], connected)
        with capturedLogs() as events:
            self.connect()
        self.assertEqual(said(events), [connected])

    def test_during_the_handshake_it_failed_and_the_line_says_why(self) -> None:
        for failure, why in (
            (TLS_ERROR, "no shared cipher"),
            (ConnectionDone(), "the peer closed the connection"),
            (ConnectionLost(), "the peer closed the connection"),
        ):
            guest, _ = self.connect(tls=True)
            line = (LogLevel.warn, f"guest 192.0.2.1:40001 disconnected: TLS handshake failed, gone; {why}")
            self.assertEqual(self.end(guest, failure), [line])
        self.assertEqual(self.registry.ended, {CloseReason.HANDSHAKE_FAILED: 3})

    def test_after_the_handshake_it_ends_as_without_one(self) -> None:
        guest, _ = self.connect(tls=True)
        guest.handshakeCompleted()
        self.end(guest, ConnectionDone())
        self.assertEqual(self.registry.ended, {CloseReason.PEER_CLOSED: 1})

    def test_the_first_reason_wins_with_what_was_said_about_it(self) -> None:
        guest, transport = self.connect()
        guest.abort(CloseReason.ERROR, "it was our fault")
        guest.abort(CloseReason.STALLED, "it took nothing")
        guest.drain()
        line = (LogLevel.warn, "guest 192.0.2.1:40001 disconnected: error, gone; it was our fault")
        self.assertEqual(self.end(guest, ConnectionDone()), [line])
        self.assertEqual((self.registry.ended, transport.aborted), ({CloseReason.ERROR: 1}, 1))

    def test_an_end_about_which_there_is_nothing_to_say_is_no_warning(self) -> None:
        guest, _ = self.connect()
        guest.abort(CloseReason.SHUTDOWN)
        line = (LogLevel.info, "guest 192.0.2.1:40001 disconnected: shutdown, gone")
        self.assertEqual(self.end(guest, ConnectionLost()), [line])

    def test_one_that_was_refused_has_had_its_line(self) -> None:
        self.registry.admission.max_connections = 0
        guest, _ = self.connect()
        self.assertEqual(self.end(guest, ConnectionLost()), [])

    def test_its_place_is_free_when_it_is_gone_and_not_before(self) -> None:
        guest, _ = self.connect()
        guest.abort(CloseReason.ERROR)
        self.assertEqual(self.registry.admission.connections, 1)
        self.end(guest, ConnectionLost())
        self.assertEqual(self.registry.admission.connections, 0)


class BeginningTests(LifeCase):
    def test_its_name_number_and_time_are_those_of_its_beginning(self) -> None:
        self.registry.now = lambda: 1e9
        (first, _), (second, transport) = self.connect(), self.connect()
        self.registry.now = lambda: 2e9
        self.assertEqual((first.number, second.number, second.since), (1, 2, 1e9))
        self.assertEqual((second.role, second.feed, second.peer), ("guest", "tcp", "192.0.2.1:40001"))
        second.transport = None  # it is gone
        self.assertEqual((second.peer, transport.getPeer()), ("192.0.2.1:40001", PEER))

    def test_one_line_says_that_it_is_there_and_by_which_feed(self) -> None:
        for feed, by in (("tcp", ""), ("ws", " by ws")):
            self.registry.feed = feed
            with capturedLogs() as events:
                self.connect()
            self.assertEqual(said(events), [(LogLevel.info, f"guest 192.0.2.1:40001 connected{by}")])

    def test_under_tls_that_is_said_when_the_handshake_is_complete(self) -> None:
        with capturedLogs() as events:
            guest, _ = self.connect(tls=True)
        self.assertEqual(events, [])
        with capturedLogs() as events:
            guest.handshakeCompleted()
        self.assertEqual(said(events), [(LogLevel.info, "guest 192.0.2.1:40001 connected")])

    def test_it_is_not_behind_unless_its_role_says_so(self) -> None:
        self.assertIsNone(self.connect()[0].lag(lambda: 0.0))
