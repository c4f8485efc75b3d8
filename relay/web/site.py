"""Between the web port's pages and the network: connections, each for one request, and the limits of both."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from relay.connection import address_name
from relay.limits import WEB
from relay.lines import Lines
from relay.web.pages import ALWAYS, Answer, Asked, Pages, text

SECONDS = 30.0
"""How long a connection lasts at most: a page of 300 KB takes that over a line of 80 kbit/s."""


class Request(http.Request):
    """One request, answered as soon as its headers are there."""

    log = Logger()
    channel: Channel

    def process(self) -> None:
        site = self.channel.site
        try:
            answer = site.pages.answer(self._asked())
        except Exception:
            self.log.failure("web request failed")
            answer = text(500, "failed: the relay's log says why")
        if answer.status == 401 and self._header("Authorization"):
            site.lines.warn(self.log, "web request from {peer} with a wrong token", peer=self.channel.peer)
        self._send(answer)

    def _asked(self) -> Asked:
        return Asked(
            method=self.method.decode("latin-1"),
            path=self.path.decode("latin-1"),
            query=parse_qs(self.uri.partition(b"?")[2].decode("latin-1"), keep_blank_values=True),
            accept=self._header("Accept").decode("latin-1"),
            authorization=self._header("Authorization"),
        )

    def _header(self, name: str) -> bytes:
        """The only or the last one of that name; empty if there is none."""
        values = self.requestHeaders.getRawHeaders(name.encode())
        return values[-1] if values else b""

    def _send(self, answer: Answer) -> None:
        self.setResponseCode(answer.status)
        for name, value in (*ALWAYS, *answer.headers):
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
    _end: IDelayedCall | None = None

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
        self.site.open.pop(self, None)
        if self._end is not None and self._end.active():
            self._end.cancel()
        super().connectionLost(reason)


class Site(http.HTTPFactory):
    """Accepts connections to the web port, on any number of endpoints."""

    noisy = False
    protocol = Channel  # type: ignore[assignment]  # Twisted's own can speak HTTP/2 too, and is declared as that

    def __init__(
        self, pages: Pages, lines: Lines, reactor: IReactorTime, most: int = WEB, seconds: float = SECONDS
    ) -> None:
        """At most `most` connections, of which none lasts longer than that many seconds."""
        super().__init__(reactor=reactor)
        self.timeOut = None  # Twisted's; ours is above
        self.pages = pages
        self.lines = lines
        self.most = most
        self.seconds = seconds
        self.open: dict[Channel, None] = {}

    def startFactory(self) -> None:
        """There is no log of requests, and no clock for it."""

    def stopFactory(self) -> None:
        """As above."""

    def log(self, request: http.Request) -> None:
        """As above."""
