"""A TLS connection that counts as made once the handshake is complete and the peer is known to be the right one.

Twisted's own endpoints count as connected as soon as TCP is. A relay with a wrong certificate would then look like one
that accepts each connection and breaks it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tester.tls import ERRORS, Tls, TlsError, connection, explain, is_about_us, verify

PATIENCE = 10.0  # seconds for a handshake: a peer that speaks another protocol may wait for us without end


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """Connects with TLS. An attempt fails with `TlsError` if the next would fail as well; `refused` is told why."""

    def __init__(self, reactor: Any, host: str, port: int, tls: Tls, refused: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._host = host
        self._refused = refused
        self._endpoint = wrapClientTLS(Connections(tls.context(), host), HostnameEndpoint(reactor, host, port), reactor)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        factory = Factory.forProtocol(lambda: Handshake(protocolFactory, self._host, self._reactor, self._refused))
        connecting = self._endpoint.connect(factory)
        return connecting.addCallback(lambda handshake: cast(Handshake, handshake).done)


@implementer(IHandshakeListener)
class Handshake(Protocol):
    """The protocol during the handshake. Afterwards it passes everything on to a protocol that `factory` builds."""

    transport: Any  # Twisted's TLSMemoryBIOProtocol, of which zope interfaces say little

    def __init__(self, factory: IProtocolFactory, host: str, clock: Any, refused: Callable[[str], None]) -> None:
        self.done: Deferred[IProtocol] = Deferred(lambda _: self.transport.abortConnection())
        self._factory = factory
        self._host = host
        self._clock = clock
        self._refused = refused
        self._protocol: IProtocol | None = None
        self._late = False

    def connectionMade(self) -> None:
        self._timeout = self._clock.callLater(PATIENCE, self._is_late)

    def _is_late(self) -> None:
        self._late = True
        self.transport.abortConnection()

    def handshakeCompleted(self) -> None:
        self._timeout.cancel()
        try:
            verify(self.transport.getHandle(), self._host)
        except ERRORS as error:
            self._refuse(error)
            self.transport.abortConnection()
        else:
            self._go_on()

    def _go_on(self) -> None:
        protocol = self._factory.buildProtocol(self.transport.getPeer())
        assert protocol is not None  # a tester refuses nobody
        self._protocol = protocol
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]  # saves a call for each read
        protocol.makeConnection(self.transport)
        if IHandshakeListener.providedBy(protocol):
            cast(IHandshakeListener, protocol).handshakeCompleted()
        self.done.callback(protocol)

    def _refuse(self, error: Exception) -> None:
        self._refused(explain(error, self._host, self.transport.getHandle()))
        if not self.done.called:
            self.done.errback(Failure(TlsError()))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self._timeout.active():
            self._timeout.cancel()
        error = reason.value
        if self._protocol is not None:
            self._lost(self._protocol, reason)
        elif self.done.called:
            pass  # the program knows why, or has stopped waiting
        elif isinstance(error, ERRORS):
            self._refuse(error)
        else:
            why = f"no answer to the TLS handshake in {PATIENCE:g} s" if self._late else "it ended the TLS handshake"
            self.done.errback(Failure(ConnectionError(f"{why}; does it speak TLS there?")))

    def _lost(self, protocol: IProtocol, reason: Failure) -> None:
        """In TLS 1.3, a relay that rejects our certificate says so after our side has completed the handshake."""
        error = reason.value
        if isinstance(error, ERRORS) and is_about_us(error):
            self._refuse(error)
            reason = Failure(ConnectionAborted())
        protocol.connectionLost(reason)


@implementer(IOpenSSLClientConnectionCreator)
class Connections:
    """Makes the OpenSSL connections that Twisted needs for TLS."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return connection(self._context, self._host)
