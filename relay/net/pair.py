"""The two ends of a connection between processes of one relay: a pair of Unix sockets, with the transports of TCP.

So one end sends at once, from the log's memory, and the other reads large pieces, as subscribers and publishers do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from relay.core.chores import at_once
from relay.net.tcp import PublisherTransport, SubscriberTransport

BUFFER = 1024 * 1024
"""Bytes that the kernel may hold on the way; the system may allow less (net.core.wmem_max on Linux)."""


@implementer(IAddress)
class PairAddress:
    """The address of either end: what the other process is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


class _Ends:
    """What the ends of a pair have in common: an address, and nothing that only TCP has."""

    name: str

    def getPeer(self) -> PairAddress:
        return PairAddress(self.name)

    getHost = getPeer

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing waits in a pair anyway."""


class PairSender(_Ends, SubscriberTransport):
    """The end of the subscriber's role: bytes leave at once."""

    def __init__(self, sock: socket.socket, protocol: IProtocol, name: str, reactor: Any) -> None:  # Any: a reactor
        """`name`: of the other process, for people."""
        self.name = name
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        super(SubscriberTransport, self).__init__(at_once, sock, protocol, (name, 0), None, 0, reactor)


class PairReader(_Ends, PublisherTransport):
    """The end of the publisher's role: it reads as many bytes at once as `begin_read` allows."""

    def __init__(
        self,
        begin_read: Callable[[], int],
        end_read: Callable[[], None],
        sock: socket.socket,
        protocol: IProtocol,
        name: str,
        reactor: Any,  # Any: a reactor
    ) -> None:
        """`begin_read`, `end_read`: as in `PublisherTransport`. `name`: of the other process, for people."""
        self.name = name
        super().__init__(begin_read, end_read, at_once, sock, protocol, (name, 0), None, 0, reactor)


class _Once(Factory):
    """Has the one connection that there is."""

    noisy = False

    def __init__(self, protocol: IProtocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:  # Any: Twisted wants one of its own classes
        return self._protocol


def adopt(sock: socket.socket, protocol: IProtocol, reactor: Any) -> None:  # Any: a reactor
    """Have `protocol` speak over a connected socket, which is taken over."""
    factory = _Once(protocol)
    reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, factory)  # it has a descriptor of its own
    sock.close()


@implementer(IStreamClientEndpoint)
class PairEndpoint:
    """Connects by whatever socket comes next."""

    def __init__(self, begin_read: Callable[[], int], end_read: Callable[[], None], name: str, reactor: Any) -> None:
        """`begin_read`, `end_read`, `name`: as in `PairReader`. `reactor`: Any, a reactor."""
        self._begin_read = begin_read
        self._end_read = end_read
        self._name = name
        self._reactor = reactor
        self._sockets: list[socket.socket] = []
        self._waiting: tuple[IProtocolFactory, Deferred[IProtocol]] | None = None

    def give(self, sock: socket.socket) -> None:
        """Here is a connected socket."""
        self._sockets.append(sock)
        self._go_on()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        done: Deferred[IProtocol] = Deferred()
        self._waiting = protocolFactory, done
        self._go_on()
        return done

    def _go_on(self) -> None:
        if self._waiting is None or not self._sockets:
            return
        (factory, done), self._waiting = self._waiting, None
        protocol = factory.buildProtocol(PairAddress(self._name))
        assert protocol is not None
        sock = self._sockets.pop(0)
        protocol.makeConnection(PairReader(self._begin_read, self._end_read, sock, protocol, self._name, self._reactor))
        done.callback(protocol)


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that do not block."""
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    return one, other
