"""What the connections of publishers and subscribers have in common: a name, a beginning, and one reason to end."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, ITransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.reasons import CloseReason

_LOOKS = {
    b"GET ": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"POST": "an HTTP request",
    b"PUT ": "an HTTP request",
    b"\x16\x03\x01": "a TLS handshake",
    b"\x16\x03\x03": "a TLS handshake",
    b"SSH-": "an SSH client",
}


def looks_like(start: bytes) -> str | None:
    """What a peer took this port for, by the first bytes that it sent; None if they tell nothing."""
    return next((what for first, what in _LOOKS.items() if start.startswith(first)), None)


def address_name(address: IAddress) -> str:
    """How an address is written in the log: `127.0.0.1:8001`, `[::1]:8001`, or what else it says of itself."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None or port is None:
        return repr(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Accepted:
    """The connections of one role."""

    def __init__(self) -> None:
        self.open: dict[Connection, None] = {}
        """Oldest first."""
        self.ended: Counter[CloseReason] = Counter()
        """How many have ended, by reason."""


class Connection(Protocol):
    """A peer's connection. Its end is logged and counted once, with the reason that was given first."""

    log = Logger()
    role: ClassVar[str]
    transport: ITransport

    def __init__(self, accepted: Accepted) -> None:
        """`accepted` is where the connection is kept from its beginning to its end."""
        self.peer = "?"
        self.reason: CloseReason | None = None
        self._accepted = accepted

    def connectionMade(self) -> None:
        self.peer = address_name(self.transport.getPeer())
        self._accepted.open[self] = None
        self.log.info("{role} {peer} connected", role=self.role, peer=self.peer)

    def abort(self, reason: CloseReason) -> None:
        """Cut the connection, in the next turn of the reactor, whether or not the peer reads."""
        if self._begin_end(reason):
            self.transport.abortConnection()  # type: ignore[attr-defined]  # all that we accept have it

    def close(self, reason: CloseReason) -> None:
        """End the connection in an orderly way, after what its transport has been given."""
        if self._begin_end(reason):
            self.transport.loseConnection()

    def _begin_end(self, reason: CloseReason) -> bool:
        """Take down the reason; returns whether it is the first."""
        first = self.reason is None
        if first:
            self.reason = reason
        return first

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        if self.reason is None:
            done = reason.check(ConnectionDone) is not None
            self.reason = CloseReason.PEER_CLOSED if done else CloseReason.CONNECTION_LOST
        self._accepted.ended[self.reason] += 1
        del self._accepted.open[self]
