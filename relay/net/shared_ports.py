"""Ports that several processes share: each has a listening socket of its own, and the kernel spreads connections.

One process makes all the sockets and keeps them (`Reserving`), another accepts on the one that it inherits
(`Inheriting`). So when the second one dies, connections wait in the socket's queue until it is replaced, and none is
refused. That is `SO_REUSEPORT` (socket(7)).

Both are reactors as Twisted's endpoints see them, so that what an endpoint says besides, such as an interface or a
PROXY header, means what it always means.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from relay.net.families import IPv6Port, Reactor
from relay.net.listening import BACKLOG


class _First(socket.socket):
    """Is bound alone, so that a number that somebody has is taken, and lets others share it from then on.

    The system lets all sockets of one user share a number if each asked for that before it was bound. So two relays
    would each get some of the subscribers.
    """

    def bind(self, address: Any) -> None:  # Any: each family has its own
        super().bind(address)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


class ReservedPort(tcp.Port):
    """A port that shares its number with others, and accepts nothing."""

    first = False
    """Whether it is the first that has its number."""
    others: tuple[ReservedPort, ...] = ()
    """Those that end with it: the kernel must not give connections to any when nobody is to come."""

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()
        if self.first:
            made = _First(fileno=made.detach())
            made.setblocking(False)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return made

    def startReading(self) -> None:
        """Whoever inherits the socket accepts."""

    def loseConnection(self, connDone: Failure = Failure(ConnectionDone())) -> Any:  # noqa: B008  # Any: Twisted's own
        for other in self.others:
            other.loseConnection(connDone)
        return super().loseConnection(connDone)

    stopListening = loseConnection


class ReservedIPv6Port(ReservedPort, IPv6Port):
    """One that serves IPv6 alone."""


class Reserved(Factory):
    """The factory of ports on which nothing is accepted."""

    noisy = False

    def logPrefix(self) -> str:
        """Whose ports they are, as Twisted says where it listens."""
        return "Workers"


class Reserving(Reactor):
    """A reactor that makes `count` sockets for each TCP port, on which nothing is accepted."""

    def __init__(self, reactor: Any, count: int, only_ipv6: bool = False) -> None:  # Any: a reactor
        """`only_ipv6`: whether ports for IPv6 serve that alone."""
        super().__init__(reactor)
        self.made: list[ReservedPort] = []
        """The ports that were made."""
        self._count = count
        self._kind = ReservedIPv6Port if only_ipv6 else ReservedPort

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        for _ in range(self._count):
            made = self._kind(port, factory, BACKLOG, interface, self._reactor)
            made.first = not self.made
            made.startListening()
            self.made.append(made)
            port = made.getHost().port  # if it was 0, the system has chosen one
        first, *others = self.made
        first.others = tuple(others)
        return first


class Inheriting(Reactor):
    """A reactor whose TCP ports are sockets that another process has made."""

    def __init__(self, reactor: Any, descriptors: Iterable[int]) -> None:  # Any: a reactor
        """`descriptors`: of the sockets, in the order in which ports are listened on. They are taken over."""
        super().__init__(reactor)
        self._descriptors = iter(descriptors)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        descriptor = next(self._descriptors)
        with socket.socket(fileno=socket.dup(descriptor)) as inherited:
            family = inherited.family
        made: IListeningPort = self._reactor.adoptStreamPort(descriptor, family, factory)
        os.close(descriptor)  # the port has one of its own, and must be the last to have it when it ends
        return made
