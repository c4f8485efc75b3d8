"""Connections of the Twisted front: what TLS that does not come about is told as, and clients that end meanwhile."""

from __future__ import annotations

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import INegotiated, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer

from relay.client.backoff import Backoff
from relay.client.connection import HANDSHAKES
from relay.client.errors import NoSessions, TLSFailed
from relay.client.retry import Retry
from relay.client.twisted import Publication
from relay.client.twisted_link import Link, LinkFactory
from relay.wire.answer import PublisherWelcome
from tests.kit.endpoints import Server, Wire

WELCOME = PublisherWelcome(0, False, "relayed", "ab", 100, "relay")


@implementer(IStreamClientEndpoint)
class Slow:
    """An endpoint that is still connecting."""

    def __init__(self) -> None:
        self.factory: IProtocolFactory | None = None
        self.cancelled = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.factory = protocolFactory
        return Deferred(self._cancel)

    def _cancel(self, connecting: object) -> None:
        self.cancelled = True


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)

    def begin(self, endpoint: IStreamClientEndpoint | None = None) -> Publication:
        retry = Retry(backoff=Backoff(first=1, factor=1, chance=lambda: 0.0))
        client = Publication(endpoint or self.server, reactor=self.clock, retry=retry)
        client.startService()
        return client

    def secure_wire(self) -> Wire:
        alsoProvides(self.server.wire, INegotiated)
        return self.server.wire

    def test_certificates_that_do_not_fit_end_it_at_once(self) -> None:
        for error in (TLSError([("SSL routines", "", "certificate verify failed")]), VerificationError(errors=[])):
            client = self.begin()
            self.secure_wire().end(error)
            self.failureResultOf(client.whenClosed(), TLSFailed)

    def test_a_server_that_ends_every_tls_connection_knows_no_tls(self) -> None:
        client = self.begin()
        closed = client.whenClosed()
        for _ in range(HANDSHAKES):
            self.assertNoResult(closed)
            self.secure_wire().end(ConnectionLost())
            self.clock.advance(1)
        self.failureResultOf(closed, TLSFailed)

    def test_connections_that_end_after_a_tls_handshake_are_made_again(self) -> None:
        """A publisher without a session hears nothing, ever."""
        client = Publication(
            self.server, session=False, reactor=self.clock, retry=Retry(backoff=Backoff(first=1, factor=1))
        )
        client.startService()
        for _ in range(HANDSHAKES + 1):
            wire = self.secure_wire()
            assert isinstance(wire.protocol, Link)
            wire.protocol.handshakeCompleted()
            wire.end(ConnectionLost())
            self.clock.advance(1)
        self.assertNoResult(client.whenClosed())

    def test_without_tls_the_same_means_no_sessions(self) -> None:
        client = self.begin()
        for _ in range(HANDSHAKES):
            self.server.wire.end(ConnectionLost())
            self.clock.advance(1)
        self.failureResultOf(client.whenClosed(), NoSessions)

    def test_what_breaks_in_tls_later_is_tried_again(self) -> None:
        client = self.begin()
        self.server.wire.say(WELCOME)
        self.secure_wire().end(TLSError([("SSL routines", "", "bad record mac")]))
        self.clock.advance(1)
        self.server.wire.say(WELCOME)
        self.assertNoResult(client.whenClosed())

    def test_stopped_while_it_connects_it_stops_that_too(self) -> None:
        endpoint = Slow()
        client = self.begin(endpoint)
        self.successResultOf(client.stopService())
        self.assertTrue(endpoint.cancelled)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_connection_that_comes_too_late_is_dropped(self) -> None:
        client = self.begin()
        client.stopService()
        self.clock.advance(0)
        link = LinkFactory(client).buildProtocol(None)
        wire = Wire(link, self.clock)
        link.makeConnection(wire)
        self.clock.advance(0)
        self.assertTrue(wire.ended)

    def test_an_orderly_end_that_takes_too_long_is_cut_short(self) -> None:
        class Stubborn(Wire):
            def loseConnection(self) -> None:
                """Do nothing, as a TLS server that does not answer."""

        client = self.begin()
        link = LinkFactory(client).buildProtocol(None)
        wire = Stubborn(link, self.clock)
        link.makeConnection(wire)
        stopped = client.stopService()
        self.clock.advance(0.9)
        self.assertNoResult(stopped)
        self.clock.advance(0.2)
        self.clock.advance(0)
        self.successResultOf(stopped)

    def test_started_again_it_stays_closed(self) -> None:
        client = self.begin()
        client.stopService()
        client.startService()
        self.assertEqual(len(self.server.wires), 1)
