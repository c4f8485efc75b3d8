"""Between the web port's pages and the network: connections, each for one request, and the limits of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from relay.core.timing import SWEEP, Every
from relay.net.addresses import address_name
from relay.peers.limits import WEB
from relay.peers.lines import Lines
from relay.web.asked import ALWAYS, Answer, Asked, line
from relay.web.pages import Pages
from relay.web.streams import Takeover

SECONDS = 30.0
"""How long a connection lasts at most: a page of 300 KB takes that over a line of 80 kbit/s."""


class Request(http.Request):
    """One request, answered as soon as its headers are there."""

    log = Logger()
    channel: Channel

    def process(self) -> None:
        site = self.channel.site
        answer: Answer | Takeover
        try:
            answer = site.pages.answer(self._asked())
        except Exception:
            self.log.failure("web request failed")
            answer = line(500, "failed: the relay's log says why")
        if isinstance(answer, Takeover):
            self.channel.hand_over(answer)
            return
        if answer.status == 401 and self.requestHeaders.hasHeader(b"Authorization"):
            site.lines.warn(self.log, "web request from {peer} with a wrong token", peer=self.channel.peer)
        self._send(answer)

    def _asked(self) -> Asked:
        return Asked(
            method=self.method.decode("latin-1"),
            path=self.path.decode("latin-1"),
            query=parse_qs(self.uri.partition(b"?")[2].decode("latin-1"), keep_blank_values=True),
            version=self.clientproto.decode("latin-1"),
            headers=tuple((name, value) for name, values in self.requestHeaders.getAllRawHeaders() for value in values),
        )

    def _send(self, answer: Answer) -> None:
        self.setResponseCode(answer.status)
        for name, value in (*ALWAYS, ("Content-Security-Policy", answer.loads), *answer.headers):
            self.responseHeaders.addRawHeader(name, value)
        self.setHeader("Content-Type", answer.kind)
        self.setHeader("Content-Length", str(len(answer.body)))
        self.setHeader("Date", http.datetimeToString())
        self.write(answer.body)
        self.finish()


class Channel(http.HTTPChannel):
    """A connection. What it inherits reads a request and writes an answer."""

    log = Logger()
    requestFactory = Request
    factory: Site
    transport: tcp.Connection
    peer = "?"
    address: IAddress | None = None
    """Its own, whatever a proxy says of whom it speaks for."""
    _end: IDelayedCall | None = None
    _taken: Protocol | None = None  # what has the connection now that the request was answered

    @property
    def site(self) -> Site:
        return self.factory

    def connectionMade(self) -> None:
        site = self.site
        self.peer = address_name(self.transport.getPeer())
        if len(site.open) >= site.most:
            site.lines.warn(
                self.log, "web connection from {peer} refused: there are {most:,}", peer=self.peer, most=site.most
            )
            self.transport.abortConnection()
            return
        site.open[self] = None
        self._end = site.reactor.callLater(site.seconds, self.cut)
        super().connectionMade()

    def hand_over(self, answer: Takeover) -> None:
        """Have the answer to the request, and all that follows, be made by something else."""
        transport = self.transport
        transport.unregisterProducer()
        self._forget(answer.subscribes)
        self._taken = answer.begin(self.address)
        self._taken.makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        (self._taken.dataReceived if self._taken else super().dataReceived)(data)

    def rawDataReceived(self, data: bytes) -> None:
        """What came together with the request, and behind it."""
        (self._taken.dataReceived if self._taken else super().rawDataReceived)(data)

    def _forget(self, leaves: bool) -> None:
        """It is not cut any more; and if it leaves us, it does not count any more."""
        if leaves:
            self.site.open.pop(self, None)
        if self._end is not None and self._end.active():
            self._end.cancel()

    def cut(self) -> None:
        """End it at once, whatever is on its way."""
        self.transport.abortConnection()

    def checkPersistence(self, request: Any, version: bytes) -> bool:  # Any: one that Twisted made
        """Whether another request may follow."""
        request.setHeader("Connection", "close")
        return False

    def allHeadersReceived(self) -> None:
        self.length = 0  # of the body: nothing of it is waited for
        super().allHeadersReceived()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._forget(leaves=True)
        (self._taken.connectionLost if self._taken else super().connectionLost)(reason)


class Site(http.HTTPFactory):
    """Accepts connections to the web port, on any number of endpoints."""

    noisy = False
    protocol = Channel  # type: ignore[assignment]  # Twisted's own can speak HTTP/2 too, and is declared as that

    def __init__(
        self,
        pages: Pages,
        sweeps: tuple[Callable[[float], None], ...],
        lines: Lines,
        reactor: IReactorTime,
        most: int = WEB,
        seconds: float = SECONDS,
    ) -> None:
        """At most `most` connections, of which none lasts longer than that many seconds, but for streams.

        `sweeps` are called once a second, with the seconds that have passed.
        """
        super().__init__(reactor=reactor)
        self.timeOut = None  # Twisted's; ours is above
        self.pages = pages
        self._sweeps = sweeps
        self.lines = lines
        self.most = most
        self.seconds = seconds
        self.open: dict[Channel, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:  # type: ignore[override]  # Twisted's own is narrower
        channel = super().buildProtocol(addr)
        if isinstance(channel, Channel):
            channel.address = addr
        return channel

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """See to the streams; to be called once a second."""
        for sweep in self._sweeps:
            sweep(passed)

    def startFactory(self) -> None:
        """There is no log of requests, and no clock for it."""

    def stopFactory(self) -> None:
        """As above."""

    def log(self, request: http.Request) -> None:
        """As above."""
