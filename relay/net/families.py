"""IPv4 and IPv6 on the same port number.

On most systems an IPv6 port serves IPv4 as well, so that a port with the same number for IPv4 cannot be had beside it.
If both are asked for, the IPv6 port serves IPv6 alone, whatever the system's setting (`net.ipv6.bindv6only` on Linux).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort, IProtocolFactory


def ipv4_numbers(endpoints: Iterable[str]) -> frozenset[int]:
    """The numbers of the ports that `endpoints`, strings as for Twisted's `serverFromString`, ask for with IPv4."""
    return frozenset(number for endpoint in endpoints if (number := _number("tcp", endpoint)))


def needs_own_family(endpoint: str, taken: frozenset[int]) -> bool:
    """Whether `endpoint` is an IPv6 port whose number is among those `taken` with IPv4."""
    return _number("tcp6", endpoint) in taken


def _number(kind: str, endpoint: str) -> int | None:
    """The number of the port in an endpoint of that kind, also behind `haproxy:`; None in any other."""
    found = re.match(rf"(?:haproxy:)?{kind}:(?:port=)?([0-9]+)(?::|$)", endpoint)
    return int(found[1]) if found else None


class IPv6Port(tcp.Port):
    """A port that serves IPv6 alone."""

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


class Reactor:
    """A reactor, for others that differ from it in how they listen."""

    def __init__(self, reactor: Any) -> None:  # Any: a reactor
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:  # Any: what the reactor has
        return getattr(self._reactor, name)


class OwnFamily(Reactor):
    """A reactor whose ports are of the class `IPv6Port`."""

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        made = IPv6Port(port, factory, backlog, interface, self._reactor)
        made.startListening()
        return made
