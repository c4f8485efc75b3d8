"""The outlet of any transport that copies: little at a time, and the producer knows when it is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from relay.net.outlet import SLICE, CopyingOutlet, outlet
from relay.net.tcp import SubscriberTransport
from relay.net.tls import SecureTransport

FULL = 64 * 1024  # bytes above which Twisted's transports say pause (`bufferSize` in twisted.internet.abstract)


class Transport(StringTransport):
    """Copies, and says pause inside `write` once it holds more than Twisted's own transports do."""

    half_closed = False
    held = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.held += len(data)
        if self.held > FULL and self.producer is not None:
            self.producer.pauseProducing()

    def fileno(self) -> int:
        return -1

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def send_all(self) -> None:
        self.held = 0
        assert self.producer is not None
        self.producer.resumeProducing()


@implementer(IPushProducer)
class Producer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        raise AssertionError("nobody stops a producer but the end of its transport")


class CopyingOutletTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.start(Transport())

    def start(self, transport: Transport) -> None:
        self.transport = transport
        self.outlet = CopyingOutlet(transport)
        self.producer = Producer()
        self.outlet.begin(self.producer)

    @given(st.lists(st.integers(1, 3 * SLICE), max_size=6))
    def test_what_it_took_is_what_the_transport_was_given_in_order(self, sizes: list[int]) -> None:
        self.start(Transport())
        pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
        taken = self.outlet.sendmsg([memoryview(piece) for piece in pieces])
        self.assertEqual(self.transport.value(), b"".join(pieces)[:taken])
        self.assertLessEqual(taken, FULL + SLICE)
        self.assertEqual(self.producer.told, ["pause"] if taken > FULL else [])
        self.assertTrue(taken == sum(sizes) or taken > FULL)

    def test_its_producer_is_told_once_that_it_is_full_and_when_it_no_longer_is(self) -> None:
        self.assertEqual(self.outlet.send(bytes(10 * SLICE)), FULL + SLICE)
        self.assertEqual(self.producer.told, ["pause"])
        self.transport.send_all()
        self.assertEqual(self.producer.told, ["pause", "resume"])

    def test_what_is_full_and_has_room_again_within_one_call_is_no_pause(self) -> None:
        class Hasty(Transport):
            def write(self, data: bytes) -> None:
                super().write(data)
                if self.held > FULL:
                    self.send_all()

        self.start(Hasty())
        self.assertEqual(self.outlet.send(bytes(10 * SLICE)), 10 * SLICE)
        self.assertEqual(self.producer.told, [])

    def test_a_failure_of_the_transport_is_its_producers_business(self) -> None:
        self.assertTrue(self.outlet.await_room(None))
        self.assertFalse(self.outlet.await_room(ConnectionResetError()))

    def test_it_ends_one_half_where_there_are_two_and_the_whole_where_there_are_none(self) -> None:
        self.outlet.finish()
        self.assertEqual((self.transport.half_closed, self.transport.disconnecting), (True, False))
        secure = Transport()
        alsoProvides(secure, ISSLTransport)
        self.start(secure)
        self.outlet.finish()
        self.assertEqual((secure.half_closed, secure.disconnecting), (False, True))

    def test_it_closes_in_peace_and_drops_at_once(self) -> None:
        self.outlet.close()
        self.assertEqual((self.transport.disconnecting, self.transport.disconnected), (True, False))
        self.outlet.drop()
        self.assertTrue(self.transport.disconnected)


class OutletTests(SynchronousTestCase):
    def test_any_transport_has_one(self) -> None:
        self.assertIsInstance(outlet(Transport()), CopyingOutlet)

    def test_those_that_send_at_once_have_all_that_an_outlet_has(self) -> None:
        for kind in (SubscriberTransport, SecureTransport, CopyingOutlet):
            for name in ("sendmsg", "send", "begin", "await_room", "finish", "close", "drop"):
                self.assertTrue(hasattr(kind, name), f"{kind.__name__}.{name}")
