"""The publishing side of a connection to a relay, in the framings without sessions, with its transport's backpressure.

A program sends through an `Outlet`, which outlives connections:

    if not outlet.room:
        await outlet.ready()  # there is no relay, or it takes no more
    outlet.send(payload)

So this process holds at most one message more than a transport's buffer. Messages sent before a connection broke are
not sent again, because there is no acknowledgement that would tell how many arrived. At the end, `Outlet.finish` closes
the sending half and waits until the relay closes the other. TCP delivers in order, so a relay that answers our end with
its own has read everything before it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.client.connection import speaker
from relay.client.kernel import on_its_way
from tester.connection import Say, explain


@implementer(IPushProducer)
class Outlet:
    """Sends messages over the current connection, while its transport takes more."""

    def __init__(self) -> None:
        self.connection: Publisher | None = None
        self.certain = 0
        """Messages that the relay has read."""
        self.doubts = ""
        """What is strange so far; each connection says it itself."""
        self.stop: Callable[[], Awaitable[None]]
        """Ends the service that makes the connections."""
        self._sent = 0  # messages on this connection
        self._paused = False
        self._change: Deferred[None] = Deferred()  # fires at the next change, for the one caller that waits

    async def begin(self) -> int:
        """Wait for the connection. Returns how many messages the relay has already: nobody knows, so 0."""
        await self.ready()
        return 0

    @property
    def room(self) -> bool:
        """Whether a message can be sent at once."""
        return self.connection is not None and not self._paused

    async def ready(self) -> None:
        """Wait until a message can be sent."""
        while not self.room:
            await self._changed()

    def send(self, payload: bytes) -> None:
        """Send one message, if there is `room`."""
        assert self.connection is not None
        self._sent += 1
        self.connection.send(payload)

    async def finish(self) -> None:
        """End the connection, if there is one, and wait until the relay has read everything or the connection broke."""
        if self.connection is not None:
            self.connection.end()
        while self.connection is not None:
            await self._changed()

    def abort(self, why: str) -> None:
        """Drop the connection, if there is one, and what is queued; `why`: for a person."""
        if self.connection is not None:
            self.connection.abort(why)

    def _changed(self) -> Deferred[None]:
        self._change = Deferred()
        return self._change

    def _tell(self) -> None:
        change, self._change = self._change, Deferred()
        change.callback(None)

    def connected(self, connection: Publisher) -> None:
        """Called by a new connection."""
        self.connection = connection
        self.resumeProducing()

    def disconnected(self, lossless: bool) -> None:
        """Called by a connection that has ended; `lossless`: whether the relay has read everything that it sent."""
        self.connection = None
        self.certain += self._sent if lossless else 0
        self._sent = 0
        self._tell()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._tell()

    def stopProducing(self) -> None:
        """The transport is gone; `disconnected` follows."""


@implementer(IHalfCloseableProtocol)
class Publisher(Protocol):
    """One connection that sends. `frame`: adds to a message what frames it, or raises ValueError."""

    transport: Any  # ITCPTransport and IConsumer in one: zope interfaces cannot say that

    def __init__(self, outlet: Outlet, frame: Callable[[bytes], bytes], say: Say) -> None:
        self._outlet = outlet
        self._frame = frame
        self._say = say
        self._all_taken = False  # whether the kernel has taken everything, including our end
        self._reproached = False  # whether a person was told that the peer sends something

    def send(self, payload: bytes) -> None:
        """Send one message. Ends the program if the framing has no such message."""
        try:
            data = self._frame(payload)
        except ValueError as error:
            raise SystemExit(f"a message cannot be sent: {error}") from None
        self.transport.write(data)

    def end(self) -> None:
        """Send what is queued, then our end. The relay answers by closing its side, or drops the connection."""
        self.transport.unregisterProducer()
        if ISSLTransport.providedBy(self.transport):  # with TLS, Twisted cannot close one half
            self._all_taken = True
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    def abort(self, why: str) -> None:
        """Drop what is queued, and the connection, and say why."""
        self._say(why)
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self._outlet, True)
        self._outlet.connected(self)

    def dataReceived(self, data: bytes) -> None:
        """Say once that this peer is not a relay's port for publishers: a relay never sends anything to them."""
        if not self._reproached:
            self._reproached = True
            looks = speaker(data)
            said = f"this is {looks}" if looks else "this peer sends something, which a relay never does to a publisher"
            self._say(f"{said}: is it the right port?")

    def writeConnectionLost(self) -> None:
        """Called when the kernel has taken everything, including our end."""
        self._all_taken = True

    def readConnectionLost(self) -> None:
        """Called when the relay has closed its side: it reads no more, so what is still queued cannot arrive."""
        if self._all_taken and not on_its_way(self.transport.fileno()):
            self.transport.loseConnection()
        else:
            self.abort("the relay closed the connection")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        clean = self._all_taken and reason.check(ConnectionDone) is not None
        if not clean and not reason.check(ConnectionAborted):  # `abort` has said why
            self._say(explain(reason))
        self._outlet.disconnected(lossless=clean and not self._reproached)
