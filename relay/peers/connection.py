"""What the connections of publishers and subscribers have in common: a name, a beginning, and one reason to end."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.config.values import Network
from relay.core.cursor import Lag, Tally
from relay.core.timing import SWEEP, Every
from relay.net.addresses import address_name, is_ip_address, within
from relay.net.credentials import explain, subject
from relay.net.transport import AcceptedTransport
from relay.peers.ended import REMEMBERED, Ended
from relay.peers.limits import Limits
from relay.peers.lines import Lines
from relay.wire.close_reason import CloseReason

_LOOKS = {
    b"GET ": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"POST": "an HTTP request",
    b"PUT ": "an HTTP request",
    b"\x16\x03\x01": "a TLS handshake",
    b"\x16\x03\x03": "a TLS handshake",
    b"SSH-": "an SSH client",
}


TCP = "tcp"
"""The feed of those who get messages as publishers send them, whatever the transport."""


def looks_like(start: bytes) -> str | None:
    """What a peer took this port for, by the first bytes that it sent; None if they tell nothing."""
    return next((what for first, what in _LOOKS.items() if start.startswith(first)), None)


class Accepted:
    """The connections of one role, from the moment when they are accepted."""

    def __init__(
        self, role: str, limits: Limits, lines: Lines, now: Callable[[], float] = time.time, feed: str = TCP
    ) -> None:
        """`role` is a word for the log; `feed` another, for how messages are written. All share `limits` and `lines`.

        `now` is the time for people.
        """
        self.role = role
        self.feed = feed
        self.limits = limits
        self.lines = lines
        self.allowed: tuple[Network, ...] = ()
        """Where they may connect from; empty: from everywhere. A Unix socket is no address, and has permissions."""
        self.handshake_timeout = 5.0
        """Seconds that a TLS handshake may take, 0 for any."""
        self.open: dict[Connection, None] = {}
        """Oldest first."""
        self.ended: Counter[CloseReason] = Counter()
        """How many have ended, by reason."""
        self.handshakes: dict[Connection, float] = {}
        """Those whose TLS handshake is not complete, and the seconds that it has taken."""
        self.shaken = 0
        """How many have completed one."""
        self.exchanged = Tally(0, 0, 0)
        """What those that have ended sent, or were given."""
        self.latest: deque[Ended] = deque(maxlen=REMEMBERED)
        """The last that ended, oldest first."""
        self.now = now

    def refusal(self, host: str | None) -> CloseReason | None:
        """Why a connection from there is not admitted. If it is, it counts."""
        if host is not None and self.allowed and not within(host, self.allowed):
            return CloseReason.ADDRESS_NOT_ALLOWED
        return self.limits.admit(host)

    def remember(self, connection: Connection) -> None:
        """Take down what there was of a connection that is gone."""
        assert connection.reason is not None
        tally = connection.tally
        self.exchanged += tally
        self.latest.append(
            Ended(
                connection.number,
                self.role,
                self.feed,
                connection.peer,
                connection.since,
                self.now(),
                connection.reason,
                tally,
                connection.subject,
            )
        )

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Cut those that do not complete their handshake; `passed` is the time since the last sweep, in seconds."""
        for connection, waited in tuple(self.handshakes.items()):
            self.handshakes[connection] = waited + passed
            if 0 < self.handshake_timeout <= waited:
                connection.abort(CloseReason.HANDSHAKE_TIMEOUT, f"it took more than {self.handshake_timeout:g} s")


@implementer(IHandshakeListener)
class Connection(Protocol):
    """A peer's connection. Its end is logged and counted once, with the reason that was given first."""

    log = Logger()
    transport: AcceptedTransport

    def __init__(self, accepted: Accepted, address: IAddress | None) -> None:
        """`accepted` is where it is kept from its beginning to its end.

        `address` is the other end's own, whatever a proxy says of it; no matter what it is, a Unix socket has no limit.
        """
        self._name = "?"
        self.number = 0
        """It comes after all smaller ones, of both roles."""
        self.since = 0.0
        """When it began, in seconds since 1970, UTC."""
        self.subject = ""
        """Of the certificate that it showed."""
        self.reason: CloseReason | None = None
        self._accepted = accepted
        self._lines = accepted.lines
        self._host: str | None = getattr(address, "host", None)
        self._admitted = False
        self._why = ""

    def connectionMade(self) -> None:
        accepted = self._accepted
        accepted.open[self] = None
        self.number = next(accepted.limits.numbers)
        self.since = accepted.now()
        self._name = address_name(self.transport.getPeer())
        refusal = accepted.refusal(self._host)
        if refusal is None:
            self._admitted = True
            if ISSLTransport.providedBy(self.transport):
                accepted.handshakes[self] = 0.0
            else:
                self._connected()
        else:
            self._lines.warn(
                self.log, "{role} {peer} refused: {reason}", role=accepted.role, peer=self.peer, reason=refusal
            )
            self.abort(refusal)

    def handshakeCompleted(self) -> None:
        """TLS knows who is there."""
        del self._accepted.handshakes[self]
        self._accepted.shaken += 1
        self.subject = subject(self.transport)
        if self.reason is None:
            self._connected()

    def _connected(self) -> None:
        self._lines.info(self.log, "{role} {peer} connected{by}", role=self._accepted.role, peer=self.peer, by=self._by)
        self._begin()

    def _begin(self) -> None:
        """The connection was admitted, and its handshake is complete."""
        raise NotImplementedError

    @property
    def _by(self) -> str:
        return "" if self.feed == TCP else f" by {self.feed}"

    @property
    def tally(self) -> Tally:
        """What it has sent, or was given, so far: cheap, and at most a batch less than it really is."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """What it is doing, in a word, once it was admitted and its handshake is complete."""
        raise NotImplementedError

    def lag(self, clock: Callable[[], float]) -> Lag | None:
        """How far it is behind, at most a batch more than it really is; None if it is not."""
        return None

    @property
    def role(self) -> str:
        return self._accepted.role

    @property
    def feed(self) -> str:
        return self._accepted.feed

    @property
    def shaking(self) -> bool:
        """Whether its TLS handshake is not complete."""
        return self in self._accepted.handshakes

    @property
    def peer(self) -> str:
        """Who it is, for the log: its own address, and whom it says that it speaks for, if it is a proxy."""
        carried = self.transport.getPeer() if self.transport else None
        host = getattr(carried, "host", None)
        if host is None or self._host is None or host == self._host or not is_ip_address(host):
            return self._name
        return f"{self._name} for {address_name(carried)}"

    def abort(self, reason: CloseReason, why: str = "") -> None:
        """Cut the connection, in the next turn of the reactor, whether or not the peer reads.

        `why` is for an operator: it is said in the log with the end of the connection, as a warning.
        """
        if self._begin_end(reason):
            self._why = why
            self.transport.abortConnection()

    def drain(self) -> bool:
        """The relay stops: end in an orderly way. Returns whether that has begun; to be repeated until it has."""
        if self._begin_end(CloseReason.SHUTDOWN):
            self.transport.loseConnection()
        return True

    def cut(self) -> None:
        """There is no time left to end in an orderly way."""
        self._begin_end(CloseReason.SHUTDOWN)
        self.transport.abortConnection()

    def _begin_end(self, reason: CloseReason) -> bool:
        """Take down the reason; returns whether it is the first."""
        first = self.reason is None
        if first:
            self.reason = reason
        return first

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        unknown = self._accepted.handshakes.pop(self, None) is not None
        if self.reason is None and unknown:
            self.reason, self._why = CloseReason.HANDSHAKE_FAILED, explain(reason)
        elif self.reason is None:
            done = reason.check(ConnectionDone) is not None
            self.reason = CloseReason.PEER_CLOSED if done else CloseReason.CONNECTION_LOST
        del self._accepted.open[self]
        self._accepted.ended[self.reason] += 1
        if self._admitted:
            self._accepted.limits.release(self._host)
            self._end()
        self._accepted.remember(self)

    def _end(self) -> None:
        """A connection that was admitted is gone, for `reason`: let go of it, and log its end."""
        raise NotImplementedError

    def _log_end(self, line: str, **fields: object) -> None:
        """One line for the end, with what was exchanged until then."""
        (self._lines.warn if self._why else self._lines.info)(
            self.log,
            "{role} {peer} disconnected: {reason}, " + line + "{why}",
            role=self._accepted.role,
            peer=self.peer,
            reason=self.reason,
            why=f"; {self._why}" if self._why else "",
            **fields,
        )
