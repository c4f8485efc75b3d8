"""The registry: who is there, who was, and who may not come."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from relay.core.cursor import Tally
from relay.core.state import State
from relay.core.timing import SWEEP
from relay.peers.ended_connection import REMEMBERED
from relay.peers.publisher import Publisher
from relay.peers.registry import Registry
from relay.wire.close_reason import CloseReason
from tests.kit.connections import FakeTransport, PublisherCase
from tests.kit.fakes import frame, said


class RegistryCase(PublisherCase):
    """The registry of publishers, which are the simplest connections."""

    def setUp(self) -> None:
        super().setUp()
        self.registry = self.factory.registry
        self.time = 1_000_000_000.0
        self.registry.now = lambda: self.time

    def end(self, publisher: Publisher, lost: bool = False) -> None:
        publisher.connectionLost(Failure(ConnectionLost() if lost else ConnectionDone()))


class RegistryTests(RegistryCase):
    def test_those_that_are_open_are_in_it_oldest_first(self) -> None:
        first, second, third = (self.connect()[0] for _ in range(3))
        self.end(second)
        fourth, _ = self.connect()
        self.assertEqual(list(self.registry.open), [first, third, fourth])

    def test_each_end_is_counted_once_by_its_reason(self) -> None:
        for lost in (False, True, False):
            self.end(self.connect()[0], lost)
        self.assertEqual(self.registry.ended, {CloseReason.PEER_CLOSED: 2, CloseReason.CONNECTION_LOST: 1})

    def test_what_is_known_of_one_is_kept_when_it_is_gone(self) -> None:
        publisher, _ = self.connect()
        publisher.dataReceived(frame(b"one") + frame(b"two"))
        self.time += 2.5
        self.end(publisher)
        [one] = self.registry.latest
        self.assertEqual((one.number, one.role, one.feed), (publisher.number, "publisher", "tcp"))
        self.assertEqual((one.peer, one.subject), ("192.0.2.1:40001", ""))
        self.assertEqual((one.since, one.until), (1_000_000_000.0, 1_000_000_002.5))
        self.assertEqual((one.reason, one.tally), (CloseReason.PEER_CLOSED, Tally(2, 14, 0)))

    def test_what_all_that_ended_exchanged_is_summed_up(self) -> None:
        for messages in (1, 0, 3):
            publisher, _ = self.connect()
            publisher.dataReceived(frame(b"one") * messages)
            self.end(publisher)
        self.assertEqual(self.registry.exchanged, Tally(4, 28, 0))

    def test_of_many_that_ended_the_last_are_kept_and_all_are_counted(self) -> None:
        publishers = [self.connect()[0] for _ in range(REMEMBERED + 3)]
        for publisher in publishers:
            self.end(publisher)
        self.assertEqual([one.number for one in self.registry.latest], [one.number for one in publishers[3:]])
        self.assertEqual(self.registry.ended, {CloseReason.PEER_CLOSED: REMEMBERED + 3})

    def test_numbers_rise_over_the_connections_of_all_registries(self) -> None:
        other = Registry("subscriber", self.registry.admission, self.registry.lines)
        numbers = []
        for among in (self.registry, other, self.registry, other):
            self.factory.registry = among
            numbers.append(self.connect()[0].number)
        self.assertEqual(numbers, sorted(set(numbers)))


class RefusalTests(RegistryCase):
    def test_an_address_that_is_not_allowed_is_told_so_even_if_there_is_no_room(self) -> None:
        self.registry.allowed = (ip_network("192.0.2.0/24"),)
        self.registry.admission.max_connections = 0
        self.assertIs(self.registry.refusal("198.51.100.1"), CloseReason.ADDRESS_NOT_ALLOWED)
        self.assertIs(self.registry.refusal("192.0.2.1"), CloseReason.CONNECTION_LIMIT)

    def test_a_unix_socket_is_no_address_but_takes_room(self) -> None:
        self.registry.allowed = (ip_network("192.0.2.0/24"),)
        self.assertIsNone(self.registry.refusal(None))
        self.registry.admission.max_connections = 0
        self.assertIs(self.registry.refusal(None), CloseReason.CONNECTION_LIMIT)

    def test_without_networks_everybody_may_connect(self) -> None:
        for host in ("192.0.2.1", "2001:db8::1", None):
            self.assertIsNone(self.registry.refusal(host))

    def test_those_of_all_registries_share_the_room(self) -> None:
        other = Registry("subscriber", self.registry.admission, self.registry.lines)
        self.registry.admission.max_connections = 1
        publisher, _ = self.connect()
        self.assertIs(other.refusal("192.0.2.2"), CloseReason.CONNECTION_LIMIT)
        self.end(publisher)
        self.assertIsNone(other.refusal("192.0.2.2"))


class HandshakeTests(RegistryCase):
    """5 seconds, the default."""

    def sweep(self, times: int) -> None:
        for _ in range(times):
            self.registry.sweep(1.0)

    def handshake(self) -> tuple[Publisher, FakeTransport]:
        return self.connect(tls=True)

    def test_one_that_is_not_completed_in_time_ends_the_connection(self) -> None:
        publisher, transport = self.handshake()
        with capturedLogs() as events:
            self.sweep(5)
            self.assertEqual((publisher.state, transport.aborted), (State.HANDSHAKE, 0))
            self.sweep(1)
            self.assertEqual((publisher.state, transport.aborted), (State.CUT, 1))
            self.sweep(10)  # before the transport says that it is gone
            self.end(publisher, lost=True)
        self.assertEqual(transport.aborted, 1)
        line = "publisher 192.0.2.1:40001 disconnected: TLS handshake timeout, 0 messages, 0 bytes; "
        self.assertEqual(said(events), [(LogLevel.warn, f"{line}it took more than 5 s")])
        self.assertEqual(self.registry.ended, {CloseReason.HANDSHAKE_TIMEOUT: 1})
        self.assertEqual((self.registry.handshakes, self.registry.handshakes_completed), ({}, 0))

    def test_one_that_is_completed_is_counted_and_timed_no_more(self) -> None:
        publisher, transport = self.handshake()
        self.sweep(5)
        publisher.handshakeCompleted()
        self.sweep(100)
        self.assertEqual((publisher.state, transport.aborted), (State.OPEN, 0))
        self.assertEqual((self.registry.handshakes, self.registry.handshakes_completed), ({}, 1))

    def test_for_one_that_waits_for_us_no_time_passes(self) -> None:
        publisher, transport = self.handshake()
        transport.waits = True  # type: ignore[attr-defined]  # as that of a connection with TLS has it
        self.sweep(100)
        transport.waits = False  # type: ignore[attr-defined]
        self.sweep(5)
        self.assertEqual(publisher.state, State.HANDSHAKE)
        self.sweep(1)
        self.assertEqual(publisher.state, State.CUT)

    def test_one_whose_peer_left_is_forgotten(self) -> None:
        publisher, _ = self.handshake()
        self.end(publisher)
        self.assertEqual((self.registry.handshakes, self.registry.handshakes_completed), ({}, 0))
        self.assertEqual(self.registry.ended, {CloseReason.HANDSHAKE_FAILED: 1})

    def test_without_tls_there_is_none(self) -> None:
        self.connect()
        self.assertEqual(self.registry.handshakes, {})

    def test_zero_is_never(self) -> None:
        self.registry.handshake_timeout = 0
        _, transport = self.handshake()
        self.sweep(1000)
        self.assertEqual(transport.aborted, 0)

    def test_it_is_swept_every_second(self) -> None:
        asked = []
        self.registry.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(SWEEP, self.registry.sweep)])
