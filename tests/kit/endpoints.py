"""A server in memory for clients on Twisted: an endpoint whose connections the test plays, with a clock of its own."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.client.backoff import Backoff
from relay.client.retry import Retry
from relay.wire.answer import Answer
from relay.wire.control import frame as control
from relay.wire.counted import HEADER
from tests.kit.fakes import frame


class Wire(StringTransport):
    """A connection: the client's transport, and what the server does with it."""

    def __init__(self, protocol: IProtocol, clock: Clock) -> None:
        super().__init__()
        self.protocol = protocol
        self.half_closed = False
        """Whether the client has ended its half."""
        self.ended = False
        """Whether the connection is gone."""
        self._clock = clock

    # What the client calls

    def loseConnection(self) -> None:
        super().loseConnection()
        self._clock.callLater(0, self.end, ConnectionDone())

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self._clock.callLater(0, self.end, ConnectionLost())

    # What the server does

    def take(self) -> list[bytes]:
        """What came since the last time: messages, and the bodies of control frames."""
        data, found = self.value(), []
        self.clear()
        while data:
            end = HEADER.size + HEADER.unpack_from(data)[0] % 2**31
            found.append(data[HEADER.size : end])
            data = data[end:]
        return found

    def say(self, *parts: Answer | bytes) -> None:
        """Send control frames and messages, in one piece."""
        self.send(b"".join(frame(part) if isinstance(part, bytes) else control(part.write()) for part in parts))

    def send(self, data: bytes) -> None:
        """Send bytes, which the client must be reading."""
        assert self.producerState == "producing", "the client does not read"
        self.protocol.dataReceived(data)

    def end(self, error: Exception) -> None:
        """End the connection, if it has not ended."""
        if not self.ended:
            self.ended = True
            self.protocol.connectionLost(Failure(error))


@implementer(IStreamClientEndpoint)
class Server:
    """An endpoint: a client that connects to it gets a `Wire`."""

    def __init__(self, clock: Clock) -> None:
        self.wires: list[Wire] = []
        self.refuses = 0
        """How many connections to refuse from now on."""
        self._clock = clock

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        return self.wires[-1]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.refuses:
            self.refuses -= 1
            return fail(ConnectError())
        protocol = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]  # nobody looks at the address
        assert protocol is not None
        wire = Wire(protocol, self._clock)
        self.wires.append(wire)
        protocol.makeConnection(wire)
        return succeed(protocol)


def one_second(attempts: int | None = None) -> Retry:
    """Tries again each second, `attempts` times in a row; None for ever."""
    return Retry(attempts, backoff=Backoff(first=1, factor=1, chance=lambda: 0.0))
