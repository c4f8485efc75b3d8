"""What the kernel knows about a connection and Twisted does not ask for."""

from __future__ import annotations

import select
import socket
from typing import Protocol, cast

from relay.client.kernel import on_its_way
from relay.net.listening import TCP_KEEPIDLE
from relay.net.transport import AcceptedTransport

PROBE = 10
"""Seconds of silence after which a peer that has closed its half is probed. There may be thousands of them."""


class _OnSocket(Protocol):
    """A transport that has its socket. TLS and PROXY wrappers pass on the socket of the transport below."""

    socket: socket.socket


def failed(transport: AcceptedTransport) -> bool:
    """Whether the kernel has given up the connection, which the reactor notices only on sockets that it watches.

    The kernel does so when the peer has reset the connection, or no longer answers TCP's keep-alive.
    """
    return bool(cast(_OnSocket, transport).socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def probe_soon(transport: AcceptedTransport) -> None:
    """Have TCP ask a peer that has closed its sending half every `PROBE` seconds whether it is still there.

    One that has only closed its half answers, and goes on being given messages. The kernel of one that has closed its
    socket, or whose process is gone, answers for as long as it remembers the connection, on Linux for a minute
    (`tcp_fin_timeout`), and then with a reset, so that `failed` becomes true.
    """
    connected = cast(_OnSocket, transport).socket
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
        connected.setsockopt(socket.IPPROTO_TCP, TCP_KEEPIDLE, PROBE)


def hung_up(transport: AcceptedTransport) -> bool:
    """Whether the peer has closed a Unix socket, where nothing fails before something is sent."""
    descriptor = transport.fileno()
    if descriptor < 0:
        return False  # the transport is closed
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def unsent(transport: AcceptedTransport) -> int:
    """Bytes in the kernel that the peer has not acknowledged; 0 where that cannot be known."""
    return _send_queue(transport) or 0


def acknowledged(transport: AcceptedTransport) -> bool:
    """Whether the peer's kernel has all that was sent, and the end of our half if that was sent.

    False where that cannot be known. A Unix socket has no such kernel: there it says that the peer has read everything.
    """
    return _send_queue(transport) == 0


def _send_queue(transport: AcceptedTransport) -> int | None:
    """Bytes in the socket's send queue, below TLS and PROXY too (with TLS: encrypted); None where unknown."""
    try:
        return on_its_way(transport.fileno())
    except AttributeError:  # without a socket
        return None
