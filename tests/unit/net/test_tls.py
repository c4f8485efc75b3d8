"""The TLS transport that sends at once, with the standard library's TLS at the other end of a real connection."""

from __future__ import annotations

import contextlib
import select
import ssl
import time
from itertools import accumulate, pairwise

from OpenSSL import SSL
from twisted.internet import main
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from relay.core.chores import Chore
from relay.net.certificates import RenewableContext
from relay.net.tcp import SubscriberTransport
from relay.net.tls import MAX_ENCRYPTED, MAX_RECORD, NOT_TLS, SLICE, SecureTransport, direct
from tests.kit.certificates import Authority
from tests.kit.folders import temporary_folder
from tests.kit.transports import TransportTests, at_once


class FullProducer:
    """A producer that counts what it is told."""

    def __init__(self) -> None:
        self.paused = self.resumed = 0

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.resumed += 1

    def stopProducing(self) -> None:
        pass


class SecureTransportTests(TransportTests):
    """`secure` is what the relay's protocol sees, above `transport`; the handshake is complete."""

    transport: SubscriberTransport
    secure: SecureTransport

    def setUp(self) -> None:
        authority = Authority(temporary_folder(self))
        certificate = str(authority.issue("localhost"))
        self.chores = 0  # what took its turn so far
        self.busy = False  # whether that waits for a later turn
        self.waiting: list[Chore] = []

        def lane(chore: Chore) -> bool:
            self.chores += 1
            if self.busy:
                self.waiting.append(chore)
            else:
                chore()
            return not self.busy

        door = RenewableContext(lane)
        door.context = SSL.Context(SSL.TLS_METHOD)
        door.context.use_certificate_chain_file(certificate)
        door.context.use_privatekey_file(certificate)

        def between(protocol: Protocol) -> Protocol:
            self.secure = SecureTransport(door.wrap(Factory()), protocol)
            return self.secure

        self.set_up(at_once, between=between)
        self.connect = lambda: self.set_up(at_once, between=between)  # without a handshake
        self.context = authority.client()
        self.shake_hands()
        self.say()
        self.producer = FullProducer()
        self.secure.registerProducer(self.producer, True)

    def shake_hands(self) -> None:
        """The handshake of a new client, but for the last that it says."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = self.context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        while not self.shaken():
            self.say()
            self._incoming.write(self.peer.recv(2**16))

    def shaken(self) -> bool:
        try:
            self.client.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    @property
    def waits(self) -> bool:
        return self.transport in self.reactor.getWriters()

    def turn(self) -> None:
        """The kernel has room, as far as it has."""
        if self.waits:
            self.transport.doWrite()

    def say(self, more: bytes = b"") -> None:
        """What the peer's TLS has to say, then `more`, and the relay's answer."""
        self.give(self._outgoing.read() + more)
        self.turn()

    def give(self, data: bytes) -> None:
        """Have the relay read what the peer sends."""
        self.peer.sendall(data)
        select.select([self.transport], [], [], 10)
        self.transport.doRead()

    def read(self, least: int = 0) -> bytes:
        """What the peer has been sent by now, or as soon as that is enough."""
        data = b""
        while True:
            ready, _, _ = select.select([self.peer], [], [], 10 if len(data) < least else 0)
            if not ready:
                return data
            self._incoming.write(self.peer.recv(2**16))
            with contextlib.suppress(ssl.SSLWantReadError):
                while True:
                    data += self.client.read(2**16)

    def read_all(self, size: int) -> bytes:
        """What the peer is sent, until it is so much; the kernel takes it little by little."""
        data = b""
        deadline = time.monotonic() + 10
        while len(data) < size and time.monotonic() < deadline:
            self.turn()
            data += self.read()
        return data

    def test_it_sends_at_once_and_says_that_it_took_everything(self) -> None:
        self.assertEqual(self.secure.sendmsg([b"one", b"", memoryview(b"two")]), 6)
        self.assertFalse(self.waits)
        self.assertEqual(self.read(6), b"onetwo")

    def test_pieces_of_any_length_arrive_whole_and_in_order(self) -> None:
        ends = accumulate(
            [1, MAX_RECORD - 1, MAX_RECORD, MAX_RECORD + 1, MAX_ENCRYPTED - 1, MAX_ENCRYPTED, MAX_ENCRYPTED + 1, 5],
            initial=0,
        )
        whole = bytes(number % 251 for number in range(250_000))
        received = b""
        for start, stop in pairwise(ends):
            piece = whole[start:stop]
            while piece:
                piece = piece[self.secure.send(piece) :]
                received += self.read()
                self.turn()
        self.assertEqual(received + self.read_all(stop - len(received)), whole[:stop])

    def test_several_pieces_of_any_length_are_one_stream(self) -> None:
        pieces = [bytes([number]) * size for number, size in enumerate([5000, 20_000, 16_384, 3, 40_000])]
        stream = b"".join(pieces)
        taken = self.secure.sendmsg(pieces)
        received = self.read()
        while taken < len(stream):
            self.turn()
            taken += self.secure.send(stream[taken:])
            received += self.read()
        self.assertEqual(received + self.read_all(len(stream) - len(received)), stream)

    def test_when_the_kernel_takes_no_more_neither_does_it_and_little_waits(self) -> None:
        piece = b"x" * 200_000
        taken = self.secure.send(piece)
        self.assertTrue(0 < taken < len(piece))
        self.assertTrue(self.waits)
        self.assertTrue(0 < self.transport.rest <= MAX_ENCRYPTED + MAX_RECORD)
        self.assertEqual(self.secure.send(piece), 0)
        self.assertEqual(self.producer.paused, 0)

    def test_it_says_resume_when_nothing_waits_any_more(self) -> None:
        piece = bytes(number % 251 for number in range(500_000))
        taken = self.secure.send(piece)
        received = b""
        waited = 0
        while taken < len(piece):
            waited += 1
            self.secure.await_room(None)
            while self.producer.resumed < waited:
                self.assertTrue(self.waits)
                received += self.read()
                self.turn()
            self.assertEqual(self.transport.rest, 0)
            taken += self.secure.send(memoryview(piece)[taken:])
        self.assertEqual(received + self.read_all(len(piece) - len(received)), piece)
        self.assertEqual((self.producer.paused, self.producer.resumed), (waited, waited))

    def test_a_connection_that_broke_is_the_reactor_s_to_end(self) -> None:
        self.reset()
        self.secure.send(b"one")
        self.assertIs(self.transport.doWrite(), main.CONNECTION_LOST)

    def test_after_the_peer_s_end_it_takes_nothing(self) -> None:
        with self.assertRaises(ssl.SSLWantReadError):
            self.client.unwrap()
        self.say()
        self.assertEqual(self.secure.send(b"one"), 0)
        self.assertTrue(self.transport.disconnecting)

    def test_all_that_a_read_brought_is_handed_on_together(self) -> None:
        for data in (b"one", b"two", b"three"):
            self.client.write(data)
        self.say()
        self.assertEqual(self.protocol.reads, [b"onetwothree"])

    def test_a_peer_that_sends_the_smallest_records_is_read_on(self) -> None:
        for _ in range(20):
            for _ in range(500):
                self.client.write(b"x")
            self.say()
        self.assertEqual(sum(map(len, self.protocol.reads)), 10_000)
        self.assertIn(self.transport, self.reactor.getReaders())

    def test_data_that_comes_with_the_end_of_the_handshake_takes_its_turn_in_pieces(self) -> None:
        self.connect()
        self.shake_hands()
        for number in range(50):
            self.client.write(bytes([number]) * 1000)
        before = self.chores
        self.say()
        self.assertGreaterEqual(self.chores - before, 50 * 1000 // SLICE)
        self.assertEqual(b"".join(self.protocol.reads), b"".join(bytes([number]) * 1000 for number in range(50)))

    def test_what_comes_before_the_first_data_takes_its_turn_and_what_comes_after_it_does_not(self) -> None:
        self.client.write(b"one")
        record, before = self._outgoing.read(), self.chores
        for data in (record[:10], record[10:]):
            self.give(data)
        self.assertEqual(self.chores, before + 2)
        self.client.write(b"x" * 10 * SLICE)
        self.say()
        self.assertEqual(self.chores, before + 2)
        self.assertEqual(b"".join(self.protocol.reads), b"one" + b"x" * 10 * SLICE)

    def test_who_wants_nothing_to_be_read_in_the_middle_of_that_is_given_the_rest_and_no_more(self) -> None:
        self.client.write(b"x" * 10 * SLICE)
        read = self.protocol.dataReceived

        def stop(data: bytes) -> None:
            if not self.protocol.reads:
                self.secure.pauseProducing()
            read(data)

        self.busy = True
        self.protocol.dataReceived = stop  # type: ignore[method-assign]
        self.say()
        self.assertNotIn(self.transport, self.reactor.getReaders())
        while self.waiting:
            self.waiting.pop(0)()
        self.assertEqual(b"".join(self.protocol.reads), b"x" * 10 * SLICE)
        self.assertNotIn(self.transport, self.reactor.getReaders())
        self.secure.resumeProducing()
        self.assertIn(self.transport, self.reactor.getReaders())

    def test_half_a_record_waits_for_the_rest(self) -> None:
        self.client.write(b"one")
        record = self._outgoing.read()
        self.give(record[:10])
        self.assertEqual(self.protocol.reads, [])
        self.give(record[10:])
        self.assertEqual(self.protocol.reads, [b"one"])

    def test_what_came_before_the_end_is_handed_on(self) -> None:
        self.client.write(b"one")
        with self.assertRaises(ssl.SSLWantReadError):
            self.client.unwrap()
        self.say()
        self.assertEqual(self.protocol.reads, [b"one"])
        self.assertTrue(self.transport.disconnecting)

    def test_what_is_no_tls_ends_the_connection_and_what_came_before_counts(self) -> None:
        self.client.write(b"one")
        self.say(b"this is no record")
        self.assertEqual(self.protocol.reads, [b"one"])
        self.assertTrue(self.transport.disconnecting)
        self.transport.connectionLost(Failure(main.CONNECTION_DONE))
        assert self.protocol.lost
        self.assertFalse(self.protocol.lost.check(ConnectionDone))

    def test_who_does_not_speak_tls_is_told_so_before_the_end(self) -> None:
        for first in (b"\0\0\0\5hello", b"hello\n", b"GET / HTTP/1.1\r\n\r\n"):
            self.connect()
            self.give(first)
            self.turn()
            self.assertEqual(self.peer.recv(100), NOT_TLS)
            self.assertEqual(self.protocol.reads, [])
            self.transport.connectionLost(Failure(main.CONNECTION_DONE))

    def test_after_an_abort_nothing_is_handed_on(self) -> None:
        self.secure.abortConnection()
        self.client.write(b"one")
        self.give(self._outgoing.read())
        self.assertEqual(self.protocol.reads, [])

    def test_when_it_cannot_encrypt_the_connection_ends(self) -> None:
        self.secure.getHandle().shutdown()
        self.assertEqual(self.secure.send(b"one"), 0)
        self.secure.unregisterProducer()
        self.assertIs(self.transport.doWrite(), main.CONNECTION_DONE)

    def test_it_is_direct_above_a_transport_that_is(self) -> None:
        self.assertIs(direct(self.secure), self.secure)
        self.assertIs(direct(self.transport), self.transport)
        other = SecureTransport(self.secure.factory, Protocol())
        other.makeConnection(StringTransport())
        self.assertIsNone(direct(other))
        self.assertIsNone(direct(StringTransport()))
