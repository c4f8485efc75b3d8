"""What the connections of publishers and subscribers have in common: a name, a beginning, and one reason to end."""

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
from relay.net.credentials import explain, subject
from relay.net.transport import AcceptedTransport
from relay.peers.registry import TCP, Registry
from relay.wire.close_reason import CloseReason


@implementer(IHandshakeListener)
class Connection(Protocol):
    """A peer's connection. Its end is logged and counted once, with the reason that was given first."""

    logger = Logger()
    link: AcceptedTransport
    """The transport, as all that the relay accepts have it."""

    def __init__(self, registry: Registry, address: IAddress | None) -> None:
        """`registry`: where it is kept from its beginning to its end.

        `address`: the other end's own, whatever a proxy says of it. If it is no IP address, as for a Unix socket, no
        limit for addresses holds.
        """
        self.lifecycle = Lifecycle()
        self.number = 0
        """It comes after all smaller ones, of both roles."""
        self.since = 0.0
        """When it began, in seconds since 1970, UTC."""
        self.subject = ""
        """Of the certificate that it showed."""
        self.reason: CloseReason | None = None
        """Why it ends, once that has begun."""
        self._registry = registry
        self._lines = registry.lines
        self._name = "?"
        self._host: str | None = getattr(address, "host", None)
        self._admitted = False
        self._why = ""

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
        """TLS knows who is there."""
        del self._registry.handshakes[self]
        self._registry.handshakes_completed += 1
        self.subject = subject(cast(ITransport, self.transport))
        if self.state is State.HANDSHAKE:
            self._connected()

    def _connected(self) -> None:
        by = "" if self.feed == TCP else f" by {self.feed}"
        self._lines.info(self.logger, "{role} {peer} connected{by}", role=self.role, peer=self.peer, by=by)
        self._begin()

    def _begin(self) -> None:
        """The connection was admitted, and its handshake is complete: change to the state that its role begins with."""
        raise NotImplementedError

    # What it is, for whoever asks

    @property
    def state(self) -> State:
        """What it is doing."""
        return self.lifecycle.state

    @property
    def tally(self) -> Tally:
        """What it has sent, or was given, so far: cheap, and at most a batch less than it really is."""
        raise NotImplementedError

    def lag(self, clock: Callable[[], float]) -> Lag | None:
        """How far it is behind, at most a batch more than it really is; None if it is not."""
        return None

    @property
    def role(self) -> str:
        """A word for the log."""
        return self._registry.role

    @property
    def feed(self) -> str:
        """How messages are written for it."""
        return self._registry.feed

    @property
    def peer(self) -> str:
        """Who it is, for the log: its own address, and whom it says that it speaks for, if it is a proxy."""
        carried = self.transport.getPeer() if self.transport else None
        host = getattr(carried, "host", None)
        if host is None or self._host is None or host == self._host or not is_ip_address(host):
            return self._name
        return f"{self._name} for {address_name(carried)}"

    # Its end

    def abort(self, reason: CloseReason, why: str = "") -> None:
        """Cut the connection, in the next turn of the reactor, whether or not the peer reads.

        `why`: for an operator. It is said in the log with the end of the connection, as a warning.
        """
        if self._begin_end(reason, State.CUT):
            self._why = why
            self.link.abortConnection()

    def drain(self) -> None:
        """The relay stops: end in an orderly way, as soon as possible. To be repeated until the connection is gone."""
        if self._begin_end(CloseReason.SHUTDOWN, State.FINISHING):
            self.link.loseConnection()

    def cut(self) -> None:
        """There is no time left to end in an orderly way."""
        if not self._begin_end(CloseReason.SHUTDOWN, State.CUT) and self.state is State.FINISHING:
            self.lifecycle.become(State.CUT)
        self.link.abortConnection()

    def _begin_end(self, reason: CloseReason, state: State) -> bool:
        """Take down the reason, and change to that state; returns False, and does nothing, if the end had begun."""
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
        """Why the connection ended, if that was not our doing."""
        if self.state is State.HANDSHAKE:
            self._why = explain(failure)
            return CloseReason.HANDSHAKE_FAILED
        return CloseReason.PEER_CLOSED if failure.check(ConnectionDone) else CloseReason.CONNECTION_LOST

    def _end(self) -> None:
        """A connection that was admitted is gone, for `reason`: let go of it, and log its end."""
        raise NotImplementedError

    def _log_end(self, line: str, **fields: object) -> None:
        """Log one line for the end. `line` is the format of what was exchanged until then, with its `fields`."""
        (self._lines.warn if self._why else self._lines.info)(
            self.logger,
            "{role} {peer} disconnected: {reason}, " + line + "{why}",
            role=self.role,
            peer=self.peer,
            reason=self.reason,
            why=f"; {self._why}" if self._why else "",
            **fields,
        )
