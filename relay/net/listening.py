"""How a listening port accepts connections: their class, how many at once, and what happens when there is no room.

Twisted's ports are equipped once they listen, because only then is there a socket. That works for ports that speak TLS
or expect PROXY headers too.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from errno import EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort, IReactorTime

BACKLOG = 4096
"""Connections that the kernel may hold until they are accepted. Twisted asks for 50: too few if all peers reconnect."""
MAX_ACCEPTS = 32
"""Most connections accepted in one turn, at all ports together. Twisted goes by how many came the last time, and would
accept a whole storm at once. Those that are refused keep their descriptors until the next turn, and these must fit into
what is reserved (`relay.peers.admission.RESERVE`), or the system has no room before we can answer."""
ACCEPTING = 0.004
"""Seconds of a turn in which connections are accepted, so that the turn ends soon: with TLS, each costs some tenths of
a millisecond."""
STEP = 8
"""Connections accepted between two looks at the clock."""
BACK_OFF = 1.0
"""Seconds until accepting is tried again after the system had no room."""
KEEPALIVE_INTERVAL = 10
"""Seconds between TCP's keep-alive probes to a silent peer."""
KEEPALIVE_PROBES = 6
"""Unanswered keep-alive probes after which a peer is given up: two minutes with the default `--keepalive`. A minute
without the network is survived."""
TCP_KEEPIDLE: int = socket.TCP_KEEPIDLE if sys.platform == "linux" else 0x10
"""Linux: tcp(7). macOS calls this option TCP_KEEPALIVE (netinet/tcp.h)."""

Transport = Callable[..., tcp.Server]
"""Makes the transport of a connection, from the arguments that Twisted passes to `tcp.Server`."""
Exhausted = Callable[[OSError], None]
"""Called with the error of `accept` when the system has no room for more connections."""


class ListeningSocket(socket.socket):
    """Accepts connections, and reports when the system has no room for more, where Twisted would try again at once."""

    exhausted: Exhausted

    def accept(self) -> tuple[socket.socket, Any]:  # Any: an address, as socket declares it
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                raise
            self.exhausted(error)
            raise BlockingIOError(EAGAIN, "nothing to accept for now") from error


def equip(
    port: IListeningPort, *, transport: Transport, keepalive: int, exhausted: Exhausted, accepts: int = MAX_ACCEPTS
) -> None:
    """Make a port that already listens accept connections our way. A port that is no `tcp.Port` is left alone.

    `transport`: makes the transports of connections; a Unix socket's port, which is a `tcp.Port` too, keeps its own.
    `keepalive`: seconds of silence after which the kernel probes whether a peer is still there; 0 for never.
    `exhausted`: called when the system has no room; accepting is tried again `BACK_OFF` seconds later. `accepts`: most
    connections accepted in one turn.
    """
    if not isinstance(port, tcp.Port):
        return
    listening = _replace_socket(port)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    keep_alive(listening, keepalive)

    def back_off(error: OSError) -> None:
        port.stopReading()
        cast(IReactorTime, port.reactor).callLater(BACK_OFF, lambda: port.connected and port.startReading())
        exhausted(error)

    listening.exhausted = back_off
    _limit_accepts(port, accepts)
    if port.transport is tcp.Server:
        port.transport = cast("type[tcp.Server]", transport)  # Twisted only calls it


def _replace_socket(port: tcp.Port) -> ListeningSocket:
    """Make the port listen with a socket of our class, on the same descriptor."""
    listening = port.socket = ListeningSocket(fileno=port.socket.detach())
    cast(Any, port).fileno = listening.fileno  # Any: a method, which Twisted's startListening replaces in the same way
    return listening


def _limit_accepts(port: tcp.Port, most: int) -> None:
    """Make the port accept at most `most` connections in a turn of the reactor, and for `ACCEPTING` seconds."""
    accept = port.doRead

    def accept_some() -> None:
        end = time.monotonic() + ACCEPTING
        for done in range(0, most, STEP):
            port.numberAccepts = asked = min(STEP, most - done)
            accept()
            if port.numberAccepts < asked or time.monotonic() >= end:  # Twisted lowers it if there were fewer
                break

    cast(Any, port).doRead = accept_some  # Any: a method, which the reactor looks up for each call


def keep_alive(listening: socket.socket, seconds: int) -> None:
    """Set TCP's keep-alive, which connections inherit; off for 0, as a socket from systemd may still have it on."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(seconds))
    if seconds:
        listening.setsockopt(socket.IPPROTO_TCP, TCP_KEEPIDLE, seconds)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
