"""TCP transports over real sockets, with the reactor's part played by the test."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
from collections.abc import Callable
from functools import partial

from twisted.internet import main

from relay.core import chores
from relay.net.tcp import SMALL_READ, PublisherTransport, SubscriberTransport
from tests.kit.transports import ROOM, UNSENT, TransportTests, at_once


class Producer:
    """A producer that does what the test says when its transport says resume."""

    def __init__(self, resume: Callable[[], object]) -> None:
        self.resumed = 0
        self._resume = resume

    def resumeProducing(self) -> None:
        self.resumed += 1
        self._resume()

    def stopProducing(self) -> None:
        pass


class SubscriberTransportTests(TransportTests):
    transport: SubscriberTransport

    def setUp(self) -> None:
        self.set_up(at_once)

    @property
    def waits(self) -> bool:
        """Whether it asked the reactor to say when it can write."""
        return self.transport in self.reactor.getWriters()

    def fill(self) -> int:
        """Send until the kernel takes no more, and wait for room; returns how much it took."""
        total = 0
        try:
            while True:
                total += self.transport.send(b"x" * 2**20)
        except BlockingIOError as error:
            self.transport.await_room(error)
        return total

    def test_it_sends_at_once_and_says_that_it_took_everything(self) -> None:
        self.assertEqual(self.transport.send(b"one"), 3)
        self.assertEqual(self.received(3), b"one")
        self.assertFalse(self.waits)

    def test_several_pieces_go_out_in_order(self) -> None:
        self.assertEqual(self.transport.sendmsg([b"one", memoryview(b"-two-")[1:-1], b"three"]), 11)
        self.assertEqual(self.received(11), b"onetwothree")

    def test_what_the_kernel_does_not_take_stays_with_the_caller(self) -> None:
        taken = self.fill()
        self.assertGreater(taken, 0)
        self.assertRaises(BlockingIOError, self.transport.send, b"more")
        self.assertEqual(self.received(taken), b"x" * taken)
        self.peer.setblocking(False)
        self.assertRaises(BlockingIOError, self.peer.recv, 1)

    def test_a_peer_that_never_reads_holds_little_of_the_kernels_memory(self) -> None:
        if sys.platform != "linux":
            raise self.skipTest("other systems limit it themselves")
        self.set_up(at_once, room=None)
        self.assertLess(self.fill(), 4 * UNSENT)

    def test_the_producer_hears_when_there_is_room_again(self) -> None:
        producer = Producer(lambda: None)
        self.transport.registerProducer(producer, True)
        self.received(self.fill())
        self.assertEqual(producer.resumed, 0)
        self.assertIsNone(self.transport.doWrite())
        self.assertEqual(producer.resumed, 1)
        self.assertFalse(self.waits)

    def test_it_goes_on_waiting_if_the_producer_filled_it_again(self) -> None:
        producer = Producer(self.fill)
        self.transport.registerProducer(producer, True)
        self.fill()
        self.reactor.removeWriter(self.transport)
        self.transport.doWrite()
        self.assertTrue(self.waits)

    def test_a_producer_may_abort_when_it_is_resumed(self) -> None:
        producer = Producer(self.transport_abort)
        self.transport.registerProducer(producer, True)
        self.fill()
        self.assertIsNone(self.transport.doWrite())
        self.reactor.advance(0)
        self.assertIsNotNone(self.protocol.lost)

    def transport_abort(self) -> None:
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def test_a_connection_that_broke_ends_in_the_reactors_turn_and_not_in_send(self) -> None:
        self.fill()
        self.reset()
        self.transport.await_room(self.assertRaises(OSError, self.transport.send, b"more"))
        self.assertIsNone(self.protocol.lost)
        self.assertTrue(self.waits)
        self.assertIs(self.transport.doWrite(), main.CONNECTION_LOST)

    def test_losing_the_connection_without_a_producer_works_as_in_twisted(self) -> None:
        self.fill()
        self.transport.loseConnection()
        self.assertIs(self.transport.doWrite(), main.CONNECTION_DONE)

    def test_write_works_as_in_twisted(self) -> None:
        self.transport.write(b"one")
        self.assertTrue(self.waits)
        self.transport.doWrite()
        self.assertEqual(self.received(3), b"one")
        self.assertFalse(self.waits)


class PublisherTransportTests(TransportTests):
    def setUp(self) -> None:
        self.size = 2**20
        self.ended = 0
        self.set_up(lambda *args: PublisherTransport(lambda: self.size, self.end, chores.at_once, *args))

    def end(self) -> None:
        self.ended += 1

    def feed(self, data: bytes) -> None:
        """Send, and let the relay's side read until all has come."""
        self.peer.setblocking(True)
        read = sum(map(len, self.protocol.reads))
        while data or sum(map(len, self.protocol.reads)) < read:
            sent = self.peer.send(data[:ROOM])
            data, read = data[sent:], read + sent
            self.transport.doRead()

    def test_it_reads_what_is_there_and_no_more_than_it_may(self) -> None:
        self.size = 5
        self.feed(b"onetwothree")
        while sum(map(len, self.protocol.reads)) < 11:
            self.transport.doRead()
        self.assertEqual(self.protocol.reads, [b"onetw", b"othre", b"e"])

    def test_a_small_read_takes_no_more_memory_than_it_brought(self) -> None:
        self.feed(b"one")
        [data] = self.protocol.reads
        self.assertEqual(sys.getsizeof(data), sys.getsizeof(b"one"))

    def test_a_full_small_read_makes_the_next_ones_large_until_one_is_small_again(self) -> None:
        left, right = socket.socketpair()
        self.addCleanup(right.close)
        self.addCleanup(left.close)
        left.setblocking(False)
        self.transport.socket = left
        for size in (SMALL_READ, 2 * SMALL_READ, 10, 2 * SMALL_READ):
            right.sendall(b"x" * size)
            self.transport.doRead()
        self.transport.doRead()
        self.assertEqual(
            [len(data) for data in self.protocol.reads], [SMALL_READ, 2 * SMALL_READ, 10, SMALL_READ, SMALL_READ]
        )

    def test_nothing_there_is_no_error(self) -> None:
        self.assertIsNone(self.transport.doRead())
        self.assertEqual(self.protocol.reads, [])

    def test_it_says_when_a_read_is_over_whatever_it_brought(self) -> None:
        self.feed(b"one")
        reads = self.ended
        self.protocol.dataReceived = lambda data: 1 // 0  # type: ignore[assignment,method-assign]
        self.peer.sendall(b"two")
        with self.assertRaises(ZeroDivisionError):
            while True:
                self.transport.doRead()
                reads += 1
        self.assertEqual(self.ended, reads + 1)
        self.transport.doRead()
        self.assertEqual(self.ended, reads + 2)
        self.reset()
        self.transport.doRead()
        self.assertEqual(self.ended, reads + 3)


class AnswerTests(TransportTests):
    """What a publisher is told."""

    def setUp(self) -> None:
        self.set_up(partial(PublisherTransport, lambda: SMALL_READ, lambda: None, chores.at_once))

    @property
    def waits(self) -> bool:
        return self.transport in self.reactor.getWriters()

    def test_it_is_sent_at_once(self) -> None:
        self.transport.write(b"one")
        self.assertFalse(self.waits)
        self.assertEqual(self.received(3), b"one")

    def test_what_the_kernel_does_not_take_follows_in_order(self) -> None:
        sent = b""
        while not self.waits:
            sent += bytes([len(sent) % 251]) * 30_000
            self.transport.write(sent[-30_000:])
        self.transport.write(b"last")
        received = b""
        while len(received) < len(sent) + 4:
            received += self.peer.recv(2**16)
            if self.waits:
                self.transport.doWrite()
        self.assertEqual(received, sent + b"last")

    def test_a_connection_that_broke_is_the_reactor_s_to_end(self) -> None:
        self.reset()
        self.transport.write(b"one")
        self.assertTrue(self.waits)
        self.assertIs(self.transport.doWrite(), main.CONNECTION_LOST)

    def test_after_our_half_has_ended_nothing_is_sent(self) -> None:
        self.transport.loseWriteConnection()
        self.transport.doWrite()
        self.transport.write(b"one")
        self.assertEqual(self.peer.recv(10), b"")


class PutTests(TransportTests):
    """What a layer above, such as TLS, makes of a message, and cannot take back."""

    transport: SubscriberTransport

    @property
    def waits(self) -> bool:
        return self.transport in self.reactor.getWriters()

    def test_it_is_sent_at_once(self) -> None:
        self.set_up(at_once)
        self.assertTrue(self.transport.put(b"one"))
        self.assertFalse(self.waits)
        self.assertEqual(self.peer.recv(100), b"one")

    def test_what_the_kernel_does_not_take_follows(self) -> None:
        self.set_up(at_once)
        sent = b""
        full = False
        while not full:
            piece = bytes([len(sent) % 251]) * 30_000
            full = not self.transport.put(piece)
            sent += piece
        self.assertTrue(self.waits)
        self.assertTrue(0 < self.transport.rest <= 30_000)
        received = b""
        while len(received) < len(sent):
            received += self.peer.recv(2**16)
            if self.waits:
                self.transport.doWrite()
        self.assertEqual(received, sent)
        self.assertEqual((self.waits, self.transport.rest), (False, 0))

    def test_whoever_puts_is_told_and_needs_no_pause(self) -> None:
        self.set_up(at_once)
        self.transport.registerProducer(Producer(lambda: None), True)  # one that cannot be paused
        while self.transport.put(b"x" * 100_000):
            pass
        self.assertFalse(self.transport.producerPaused)

    def test_a_connection_that_broke_is_the_reactor_s_to_end(self) -> None:
        self.set_up(at_once)
        self.reset()
        self.assertFalse(self.transport.put(b"one"))
        self.assertTrue(self.waits)
        self.assertIs(self.transport.doWrite(), main.CONNECTION_LOST)


class EndTests(TransportTests):
    transport: SubscriberTransport

    def fill(self) -> int:
        """Give the kernel more than half of what it takes, so that the socket is not writable; returns how much."""
        self.set_up(partial(SubscriberTransport, 2**18, chores.at_once), room=None)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        given = 0
        with contextlib.suppress(BlockingIOError):
            while given < 2**23:
                given += self.transport.send(b"x" * 2**16)
        self.assertEqual(select.select([], [self.transport], [], 0)[1], [])
        return given

    def drained(self) -> bytes:
        received = b""
        while more := self.peer.recv(2**20):
            received += more
        return received

    def test_a_stream_ends_after_what_was_given_though_nothing_more_can_be_written(self) -> None:
        given = self.fill()
        self.transport.finish()
        self.assertEqual(len(self.drained()), given)
        self.assertIsNone(self.protocol.lost)

    def test_what_twisted_holds_goes_out_before_the_end(self) -> None:
        self.set_up(at_once)
        self.transport.write(b"before the end")
        self.transport.finish()
        self.transport.doWrite()
        self.assertEqual(self.drained(), b"before the end")

    def test_closed_at_once_it_still_delivers_what_the_kernel_has(self) -> None:
        given = self.fill()
        self.transport.close()
        self.assertIsNotNone(self.protocol.lost)
        self.transport.close()
        self.assertEqual(len(self.drained()), given)
