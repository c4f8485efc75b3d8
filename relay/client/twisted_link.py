"""The connections of the Twisted front: how they are made, one after the other, until there is a reason to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from relay.client.connection import GOODBYE, HANDSHAKES, Core
from relay.client.errors import ClientError, Closed, ConnectionFault, TLSFailed
from relay.client.kernel import on_its_way
from relay.client.retry import Retry


def tell_of_halves(transport: Any) -> None:  # Any: whatever transport there is
    """Have the protocol of a connection that was made over TCP or a Unix socket be told when a half of it ends.

    Twisted's endpoints put a protocol of their own before ours, which says of itself only the last of the interfaces
    that ours provides (`_WrappingProtocol` in twisted/internet/endpoints.py), and that is the one for TLS handshakes.
    """
    if IHalfCloseableDescriptor.providedBy(transport):
        alsoProvides(cast(Any, transport).protocol, IHalfCloseableProtocol)


@implementer(IPushProducer, IHandshakeListener, IHalfCloseableProtocol)
class Link(Protocol):
    """One connection of a client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard = False
        """Whether anything came."""
        self.shaken = False
        """Whether a TLS handshake is complete."""
        self.gone: Deferred[None] = Deferred()
        """Fires when the connection has ended."""
        self.arrived = True
        """Whether the server's kernel has all that was sent, at the end; taken for granted where nobody knows."""
        self._released = self._all_taken = False

    def connectionMade(self) -> None:
        tell_of_halves(self.wire)
        self.wire.registerProducer(self, True)
        self.client._made(self)

    def handshakeCompleted(self) -> None:
        self.shaken = True

    @property
    def wire(self) -> Any:  # Any: no interface has all that TCP, Unix and TLS transports have
        """The transport."""
        return self.transport

    @property
    def secure(self) -> bool:
        """Whether this is TLS."""
        return INegotiated.providedBy(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self.heard = True
        self.client._came(self, data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self.client._lost(self, reason)
        self.gone.callback(None)

    def writeConnectionLost(self) -> None:
        """Our kernel has all that was sent, and our end."""
        self._all_taken = True

    def readConnectionLost(self) -> None:
        """The server has ended the connection. If that answers our end, it has acknowledged all before it."""
        self.arrived = self._all_taken and not on_its_way(self.wire.fileno())
        self.client._lost(self, Failure(ConnectionDone()))
        self.drop()

    def drop(self) -> None:
        """End the connection at once."""
        self._release()
        self.wire.abortConnection()

    def end(self) -> None:
        """End the connection when everything was sent."""
        self._release()
        self.wire.loseConnection()

    def end_half(self) -> None:
        """End our half when everything was sent. There is no such thing with TLS."""
        self._release()
        self.wire.loseWriteConnection()

    def _release(self) -> None:
        """The transport need not tell any more when it is full: with a producer it would never end."""
        if not self._released:
            self._released = True
            self.wire.unregisterProducer()

    # What the transport calls

    def pauseProducing(self) -> None:
        self.client._room = False

    def resumeProducing(self) -> None:
        self.client._room = True
        self.client._speak()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""


class LinkFactory(Factory):
    """Makes the connections of one client."""

    noisy = False

    def __init__(self, client: Client) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> Link:
        return Link(self._client)


class Client(Service):
    """What the services do with their connections: make one after the other, until there is a reason to end.

    A client is started once. After its end it stays closed.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, core: Core, retry: Retry, reactor: IReactorTime | None = None
    ) -> None:
        """`reactor`: its clock; None for that of the reactor that is installed."""
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = cast(IReactorTime, installed)
        self.last_fault: Exception | None = None
        """Why the last connection ended, or could not be made; None if that never happened."""
        self.retrying: Callable[[Exception], object] = lambda fault: None
        """Called with each fault that is followed by another try: a connection ended, or could not be made."""
        self._endpoint = endpoint
        self._core = core
        self._retry = retry
        self._reactor = reactor
        self._link: Link | None = None
        self._room = True  # whether the transport takes more
        self._connecting: Deferred[Any] | None = None  # Any: nobody looks at the protocol
        self._timer: IDelayedCall | None = None  # the next attempt, or the next look at the core's deadline
        self._orderly = False  # whether the last connection ended in an orderly way
        self._arrived = True  # whether all that was sent over it had arrived then
        self._mute = 0  # TLS connections that ended within the handshake, in a row
        self._closed: Exception | None = None
        self._closing: list[Deferred[None]] = []  # who waits for the end

    def whenClosed(self) -> Deferred[None]:
        """Fires when the service has been stopped. Fails with the exception for which it ended by itself."""
        if self._closed is None:
            waiting: Deferred[None] = Deferred()
            self._closing.append(waiting)
            return waiting
        return succeed(None) if isinstance(self._closed, Closed) else fail(self._closed)

    def startService(self) -> None:
        super().startService()
        if self._closed is None:
            self._try()

    def stopService(self) -> Deferred[None]:
        """End, without waiting for anything that is not acknowledged. Fires when the connection is gone."""
        super().stopService()
        link = self._link
        self._end(Closed("the service was stopped"))
        return succeed(None) if link is None else self._gone(link)

    def _gone(self, link: Link) -> Deferred[None]:
        late = self._reactor.callLater(GOODBYE, link.drop)

        def in_time(result: None) -> None:
            if late.active():
                late.cancel()

        gone: Deferred[None] = Deferred()
        link.gone.addCallback(in_time).chainDeferred(gone)
        return gone

    # Connections

    def _try(self) -> None:
        self._timer = None
        self._connecting = self._endpoint.connect(LinkFactory(self))
        self._connecting.addErrback(lambda failure: self._again(ConnectionFault(failure.getErrorMessage())))

    def _made(self, link: Link) -> None:
        self._connecting = None
        if self._closed is not None:
            link.drop()
            return
        self._link, self._room = link, True
        link.wire.write(self._core.connected(self._reactor.seconds()))
        if self._core.welcomed:
            self._retry.succeeded()
        self._look_later()
        self._begun()
        self._speak()

    def _came(self, link: Link, data: bytes) -> None:
        if self._link is not link:
            return
        self._receive(data)
        if self._core.welcomed:
            self._retry.succeeded()
        if self._core.fault is not None:
            self._hang_up()
        else:
            self._look_later()
            self._speak()

    def _lost(self, link: Link, reason: Failure) -> None:
        if self._link is not link:
            return
        self._orderly = reason.check(ConnectionDone) is not None
        self._arrived = link.arrived
        if not (self._core.ever_welcomed or link.heard) and (failed := self._tls_failed(link, reason)):
            self._core.fail(failed)
        self._core.closed("the relay closed the connection" if self._orderly else reason.getErrorMessage())
        self._link = None
        self._hang_up()

    def _tls_failed(self, link: Link, reason: Failure) -> TLSFailed | None:
        """What is the matter with TLS, if a connection ended for that."""
        self._mute = self._mute + 1 if link.secure and not link.shaken else 0
        if reason.check(TLSError, VerificationError):
            words = f"{type(reason.value).__name__}: {reason.getErrorMessage()}"
            return TLSFailed.because(words)
        if self._mute >= HANDSHAKES:
            return TLSFailed("the server ends every TLS connection: check the port, which may be one without TLS")
        return None

    def _hang_up(self) -> None:
        """Drop the connection, and see what follows from the core's fault."""
        link, self._link = self._link, None
        if link is not None:
            link.drop()
        self._stop_timer()
        assert self._core.fault is not None
        self._again(self._core.fault)

    def _again(self, error: Exception) -> None:
        if self._closed is not None:
            return
        self.last_fault = error
        try:
            wait = self._retry.failed(error, self._reactor.seconds())
        except ClientError as final:
            self._end(final)
        else:
            self._timer = self._reactor.callLater(wait, self._try)
            self.retrying(error)

    # The clock

    def _look_later(self) -> None:
        """Have `_look` called when the core wants it."""
        deadline = self._core.deadline
        if deadline is None or self._link is None or not self._reads():
            return
        if self._timer is not None:
            if self._timer.getTime() <= deadline:
                return  # then is early enough to see how long there is still to wait
            self._timer.cancel()
        self._timer = self._reactor.callLater(max(0, deadline - self._reactor.seconds()), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._reads():
            return
        self._core.check(self._reactor.seconds())
        if self._core.fault is not None:
            self._hang_up()
        else:
            self._look_later()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The end

    def _end(self, error: Exception) -> None:
        if self._closed is not None:
            return
        self._closed = error
        self._stop_timer()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        link, self._link = self._link, None
        if link is not None and isinstance(error, Closed) and self._idle():
            link.end()
        elif link is not None:
            link.drop()
        self._finish()
        closing, self._closing = self._closing, []
        for one in closing:
            self.whenClosed().chainDeferred(one)

    # What a role does

    def _begun(self) -> None:
        """There is a new connection."""

    def _receive(self, data: bytes) -> None:
        """Take what came."""
        raise NotImplementedError

    def _speak(self) -> None:
        """Send what there is to send."""

    def _reads(self) -> bool:
        """Whether what comes is read, so that it can be missed."""
        return True

    def _idle(self) -> bool:
        """Whether nothing waits to be sent or acknowledged."""
        return True

    def _finish(self) -> None:
        """The service ends, for `_closed`. It may be replaced, if something is the matter with the end."""
