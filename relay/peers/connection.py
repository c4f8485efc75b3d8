"""What connections of publishers and subscribers have in common: a name, a beginning, and one reason to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHandshakeListener, ISSLTransport, ITransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.cursor import Lag, Tally
from relay.core.state import Lifecycle, State
from relay.net.addresses import address_name, is_ip_address
from relay.net.certificates import explain, subject
from relay.net.outlet import finish
from relay.net.transport import AcceptedTransport
from relay.peers.registry import TCP, Registry
from relay.wire.close_reason import CloseReason

PATIENCE = 5
"""Sweeps, one a second, after which a peer that `leave` has told of its end is cut."""

BRIEF = 5.0
"""Seconds that a health check lasts at most. Who stays for longer was there, though nothing was published meanwhile."""

LEFT = (CloseReason.PEER_CLOSED, CloseReason.CONNECTION_LOST)
"""Reasons of connections that we did not end."""
NOTHING = Tally(0, 0, 0)


@implementer(IHandshakeListener)
class Connection(Protocol):
    """A peer's connection. Its end is logged and counted once, with the first reason given."""

    logger = Logger()
    link: AcceptedTransport
    """The transport, as every accepted connection has it; set once the connection is made."""

    def __init__(self, registry: Registry, address: IAddress | None) -> None:
        """`registry`: where the connection is kept from beginning to end.

        `address`: the other end's own address, whatever a PROXY header says. Limits on addresses do not apply if it is
        not an IP address, as for a Unix socket.
        """
        self.lifecycle = Lifecycle()
        self.number = 0
        """Unique among all roles; a connection that began later has a larger number."""
        self.since = 0.0
        """When the connection began, in seconds since 1970, UTC."""
        self.subject = ""
        """Subject of the certificate that the peer showed (RFC 4514); empty without one."""
        self.name = ""
        """What the peer called itself in its hello; empty if it did not."""
        self.in_session = False
        """Whether the peer has a session."""
        self.reason: CloseReason | None = None
        """Why the connection ends, once its end has begun; None until then."""
        self._registry = registry
        self._lines = registry.lines
        self._name = "?"
        self._host: str | None = getattr(address, "host", None)
        self._admitted = False
        self._peer_finished = False  # whether the peer has closed its sending half, if we were told
        self._sweeps_since_leave = 0  # counted from 1; 0 until `leave` is called
        self._why = ""
        self._announced = True  # whether its beginning is in the log

    # Its beginning

    def connectionMade(self) -> None:
        registry = self._registry
        self.link = cast(AcceptedTransport, self.transport)
        registry.open[self] = None
        self.number = next(registry.admission.numbers)
        self.since = registry.now()
        self._name = address_name(self.link.getPeer())
        refusal = registry.refusal(self._host)
        if refusal is not None:
            self._lines.warn(
                self.logger, "{role} {peer} refused: {reason}", role=registry.role, peer=self.peer, reason=refusal
            )
            self.abort(refusal)
            return
        registry.admission.admit(self._host)
        self._admitted = True
        if ISSLTransport.providedBy(self.transport):
            self.lifecycle.become(State.HANDSHAKE)
            registry.handshakes[self] = 0.0
        else:
            self._connected()

    def handshakeCompleted(self) -> None:
        """The TLS handshake is complete, so the peer's certificate is known."""
        del self._registry.handshakes[self]
        self._registry.handshakes_completed += 1
        self.subject = subject(cast(ITransport, self.transport))
        if self.state is State.HANDSHAKE:
            self._connected()

    def _connected(self) -> None:
        self._announced = False
        if not self._doubtful():
            self.announce()
        self._begin()

    def _doubtful(self) -> bool:
        """Whether the beginning is not worth a line before the connection has lasted, or said something."""
        return self._registry.probes.suspect(self, self._host)

    def announce(self) -> None:
        """Log that the peer has connected, once, and at the latest before its end is logged."""
        if self._announced:
            return
        self._announced = True
        by = "" if self.feed == TCP else f" by {self.feed}"
        self._lines.info(self.logger, "{role} {peer} connected{by}", role=self.role, peer=self.who, by=by)

    def info(self, line: str, **fields: object) -> None:
        """Log a line about this peer, behind the one about its beginning."""
        self._tell(self._lines.info, line, fields)

    def warn(self, line: str, **fields: object) -> None:
        """The same, as a warning."""
        self._tell(self._lines.warn, line, fields)

    def _tell(self, write: Callable[..., None], line: str, fields: dict[str, object]) -> None:
        self.announce()
        write(self.logger, line, peer=self.who, **fields)

    def _begin(self) -> None:
        """Start work: the connection is admitted, and its TLS handshake, if any, is complete.

        Change to the state that its role begins with.
        """
        raise NotImplementedError

    @property
    def waits_for_us(self) -> bool:
        """Whether the peer has sent something for its TLS handshake that we have not come to yet."""
        return getattr(self.link, "waits", False)

    # What it is, for whoever asks

    @property
    def state(self) -> State:
        """What the connection is doing."""
        return self.lifecycle.state

    @property
    def tally(self) -> Tally:
        """What a publisher sent or a subscriber was given so far. Cheap to ask; short by at most a batch."""
        raise NotImplementedError

    def lag(self, clock: Callable[[], float]) -> Lag | None:
        """How far the peer is behind, too much by at most a batch; None if it is not behind."""
        return None

    @property
    def next(self) -> int | None:
        """Position of the message that a subscriber is given next, too early by at most a batch; None for others."""
        return None

    @property
    def unacknowledged(self) -> int | None:
        """Messages that a publisher with a session has sent and was not told of; None for others."""
        return None

    @property
    def role(self) -> str:
        """The peer's role, as the log says it."""
        return self._registry.role

    @property
    def feed(self) -> str:
        """How messages are written for the peer: `tcp`, `ws` or `events`."""
        return self._registry.feed

    @property
    def peer(self) -> str:
        """Who the peer is, for the log: its own address, and if it is a proxy, the address that it speaks for."""
        carried = self.transport.getPeer() if self.transport else None
        host = getattr(carried, "host", None)
        if host is None or self._host is None or host == self._host or not is_ip_address(host):
            return self._name
        return f"{self._name} for {address_name(carried)}"

    @property
    def host(self) -> str | None:
        """Where the connection comes from, even if it is a proxy that names another address; None for a Unix socket."""
        return self._host

    @property
    def who(self) -> str:
        """Who the peer is, and what it calls itself."""
        return f"{self.peer} {self.name!r}" if self.name else self.peer

    # Its end

    def abort(self, reason: CloseReason, why: str = "") -> None:
        """Cut the connection soon, whether or not the peer reads. From now on nothing is read, and nothing sent.

        `why`: an explanation for an operator. With one, the end of the connection is logged as a warning.
        """
        if self._begin_end(reason, State.CUT):
            self._why = why
            if not self._admitted:
                self.link.abortConnection()  # its descriptor is one too many
            elif not self._registry.cuts(self._abort_link):  # a thousand may be due at once
                self.link.pauseProducing()

    def _abort_link(self) -> None:
        if self.state is State.CUT:
            self.link.abortConnection()

    def leave(self, reason: CloseReason, farewell: bytes, why: str = "") -> None:
        """End the connection in an orderly way, after `farewell`. `why`: as for `abort`.

        What the peer sends until it closes its side too is read, because closing a socket with unread bytes in it
        destroys what is on its way to the peer.
        """
        if self._begin_end(reason, State.FINISHING):
            self._why = why
            self._sweeps_since_leave = 1
            self._finish(farewell)

    def _finish(self, last: bytes) -> None:
        """Send `last`, and end our half only, unless the peer has ended its own."""
        if last:
            self.link.write(last)
        self.link.resumeProducing()
        if self._peer_finished:
            self.link.loseConnection()
        else:
            finish(self.link)

    def sweep_leave(self) -> None:
        """Cut a peer that `leave` has told of its end, and that does not take it in time."""
        self._sweeps_since_leave += bool(self._sweeps_since_leave)
        if self._sweeps_since_leave > PATIENCE and self.state is State.FINISHING:
            self.lifecycle.become(State.CUT)
            self.link.abortConnection()

    def drain(self) -> None:
        """End in an orderly way, because the relay stops. To be repeated until the connection is gone."""
        if self._begin_end(CloseReason.SHUTDOWN, State.FINISHING):
            self.link.loseConnection()

    def cut(self) -> None:
        """End at once: there is no time left to end in an orderly way."""
        if not self._begin_end(CloseReason.SHUTDOWN, State.CUT) and self.state is State.FINISHING:
            self.lifecycle.become(State.CUT)
        self.link.abortConnection()

    def _begin_end(self, reason: CloseReason, state: State) -> bool:
        """Record `reason` and change to `state`. Returns False, and does nothing, if the end had begun already."""
        if self.lifecycle.ending:
            return False
        self.reason = reason
        self.lifecycle.become(state)
        return True

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._registry.handshakes.pop(self, None)
        if self.reason is None:
            self.reason = self._reason_of_loss(reason)
        self.lifecycle.become(State.ENDED)
        self._registry.remove(self, self.reason)
        if self._admitted:
            self._registry.admission.release(self._host)
            self._end()
        self._registry.remember(self, self.reason)

    def _reason_of_loss(self, failure: Failure) -> CloseReason:
        """Why a connection ended that we did not end."""
        if self.state is State.HANDSHAKE:
            self._why = explain(failure)
            return CloseReason.HANDSHAKE_FAILED
        return CloseReason.PEER_CLOSED if failure.check(ConnectionDone) else CloseReason.CONNECTION_LOST

    def _end(self) -> None:
        """Release what an admitted connection held, and log its end. `self.reason` is set."""
        raise NotImplementedError

    @property
    def _silent(self) -> bool:
        """Whether the peer came and soon went without a word, as the health checks of a load balancer do."""
        if self._registry.now() - self.since > BRIEF:
            return False
        if self.reason is CloseReason.HANDSHAKE_FAILED:
            return not getattr(self.link, "greeted", True)
        return self.reason in LEFT and not self._why and not self.in_session and self.tally == NOTHING

    def _everyday(self) -> bool:
        """Note the end. Returns whether it is not worth a line."""
        return self._registry.probes.ended(self, self._host, self._silent)

    def _log_end(self, line: str, **fields: object) -> None:
        """Log the end in one line. `line`: the format of what was exchanged. `fields`: its values."""
        everyday = self._everyday()
        if not everyday:
            self.announce()
        (self._lines.debug if everyday else self._lines.warn if self._why else self._lines.info)(
            self.logger,
            "{role} {peer} disconnected: {reason}, " + line + "{why}",
            role=self.role,
            peer=self.who,
            reason=self.reason,
            why=f"; {self._why}" if self._why else "",
            **fields,
        )
