"""Between the web port's pages and the network: connections, each for one request, and the limits of both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qs

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from relay.core.chores import Lane, at_once
from relay.core.timing import Every
from relay.net.addresses import address_name
from relay.net.received import Received
from relay.net.transport import AcceptedTransport
from relay.observe.stats import NOT_LISTED, Listed
from relay.peers.admission import MAX_WEB_CONNECTIONS, counted_as
from relay.peers.rate_limited_log import RateLimitedLog
from relay.web.pages import COSTLY, RETRY_AFTER, Pages
from relay.web.request import ALWAYS, Request, Response, head
from relay.web.request import line as line_of
from relay.web.streams import Takeover
from relay.wire.close_reason import CloseReason
from relay.wire.signature import looks_like

SECONDS = 30.0
"""How long a connection lasts at most: as long as a page of 300 KB takes at 80 kbit/s."""

MAX_HEADERS = 500
"""Lines that the head of a request may have; Twisted takes no more."""
WHOLE = rb"https?://([^/?#]*)([^#]*)"
"""A request's target with the host in it, as a proxy gets it: every server has to understand it (RFC 9112, 3.2.2)."""

METHOD = re.compile(rb"[\r\n]*(?:[\w!#$%&'*+.^`|~-]+(?: |\Z)|\Z)", re.ASCII)
"""How a request begins, as far as it has come: with a token and a space (RFC 9112, 2.2 and 3; RFC 9110, 5.6.2)."""


def _whole(response: Response) -> bytes:
    """A response as bytes, where no request can be made of what was received."""
    size = str(len(response.body))
    every = (*ALWAYS, ("Content-Type", response.kind), ("Content-Length", size), ("Connection", "close"))
    return head(response.status, every) + response.body


class Exchange(http.Request):
    """One request, answered as soon as its headers have arrived."""

    logger = Logger()
    channel: Channel
    lost = False
    """Whether the connection is gone."""

    def connectionLost(self, reason: Failure) -> None:
        self.lost = True
        super().connectionLost(reason)

    def process(self) -> None:
        self.channel.asked = True
        if self.uri.partition(b"?")[0].decode("latin-1") in COSTLY:
            site = self.channel.site
            site.pages.gather(self._request(), lambda listed: site.costly(lambda: self._answer(listed)))
        else:
            self._answer()

    def _answer(self, listed: Listed = NOT_LISTED) -> None:
        if self.lost:
            return  # while it waited
        site = self.channel.site
        response: Response | Takeover
        try:
            response = site.pages.respond(self._request(listed))
        except Exception:
            self.logger.failure("web request failed")
            response = line_of(500, "failed: the relay's log says why")
        if isinstance(response, Takeover):
            refusal = self.channel.refusal(response)
            if refusal is None:
                self.channel.hand_over(response)
                return
            response = refusal
        elif response.status in (403, 421):  # a browser hides from its page what the answer says
            why = response.body.decode().rstrip()
            site.lines.warn(self.logger, "web request from {peer} refused: {why}", peer=self.channel.peer, why=why)
        if response.status == 401 and self.requestHeaders.hasHeader(b"Authorization"):
            site.lines.warn(self.logger, "web request from {peer} with a wrong token", peer=self.channel.peer)
        self._send(response)

    def _request(self, listed: Listed = NOT_LISTED) -> Request:
        target = self.uri
        if whole := re.fullmatch(WHOLE, target):  # the host in it counts, and what the header says does not
            self.requestHeaders.setRawHeaders(b"Host", [whole[1]])
            target = whole[2] if whole[2].startswith(b"/") else b"/" + whole[2]
        path, _, query = target.decode("latin-1").partition("?")
        return Request(
            method=self.method.decode("latin-1"),
            path=path,
            query=parse_qs(query, keep_blank_values=True),
            version=self.clientproto.decode("latin-1"),
            headers=tuple((name, value) for name, values in self.requestHeaders.getAllRawHeaders() for value in values),
            listed=listed,
        )

    def _send(self, response: Response) -> None:
        self.setResponseCode(response.status)
        for name, value in (*ALWAYS, ("Content-Security-Policy", response.loads), *response.headers):
            self.responseHeaders.addRawHeader(name, value)
        self.setHeader("Content-Type", response.kind)
        self.setHeader("Content-Length", str(len(response.body)))
        self.setHeader("Date", http.datetimeToString())
        self.write(response.body)
        self.finish()


class Channel(http.HTTPChannel):
    """A connection. The class that it inherits from reads the request and writes the response."""

    logger = Logger()
    requestFactory = Exchange
    factory: Site
    link: AcceptedTransport
    """The transport, with its type."""
    peer = "?"
    """The name of the peer's address, for the log."""
    address: IAddress | None = None
    """The address that the connection comes from, even if it is a proxy that names another one."""
    _end: IDelayedCall | None = None  # cuts the connection when its time is over
    asked = False
    """Whether the request is whole."""
    _received: Received | None = None  # what waits to be parsed; set when the connection is made
    _taken: Protocol | None = None  # what owns the connection after `hand_over`
    _head_size = 0  # bytes of the request's head so far
    _head_lines = 0
    _begun = False  # whether anything came
    _foreign = False  # whether what came first is no HTTP

    @property
    def site(self) -> Site:
        return self.factory

    def connectionMade(self) -> None:
        site = self.site
        self.link = cast(AcceptedTransport, self.transport)
        self.peer = address_name(self.link.getPeer())
        if len(site.open) >= site.most:
            site.make_room()
        site.open[self] = None
        self._end = site.reactor.callLater(site.seconds, self.cut)
        self._received = Received(site.requests, self.link, self._read)
        super().connectionMade()

    def refusal(self, takeover: Takeover) -> Response | None:
        """The response if there may not be one more subscriber, or not from that address; None if there may be."""
        registry = takeover.registry
        reason = None if registry is None else registry.refusal(getattr(self.address, "host", None))
        if registry is None or reason is None:
            return None
        registry.ended[reason] += 1
        self.site.lines.warn(
            self.logger, "{role} {peer} refused: {reason}", role=registry.role, peer=self.peer, reason=reason
        )
        if reason is CloseReason.ADDRESS_NOT_ALLOWED:
            return line_of(403, str(reason))
        return line_of(503, str(reason), (("Retry-After", str(RETRY_AFTER)),))

    def hand_over(self, takeover: Takeover) -> None:
        """Leave the connection to `takeover`, which makes the response and all that follows."""
        self.link.unregisterProducer()
        self._forget(takeover.registry is not None)
        self._taken = takeover.begin(self.address)
        self._taken.makeConnection(self.link)

    def dataReceived(self, data: bytes) -> None:
        if self._taken is not None:
            self._taken.dataReceived(data)
        elif self._received is not None:
            self._received.receive(data)

    def _read(self, data: bytes) -> None:
        """Look at what was received, now that it is this connection's turn."""
        if not self._begun:
            self._begun = True
            if not METHOD.match(data):
                self._refuse(data)
        if not self._foreign:
            super().dataReceived(data)

    def _refuse(self, data: bytes) -> None:
        """Answer what is no HTTP at once. Twisted would wait for the end of a line, and a publisher go on unaware."""
        self._foreign = True
        what = looks_like(data)
        self.site.lines.warn(
            self.logger,
            "web connection from {peer} refused: it sends no HTTP request{looks}",
            peer=self.peer,
            looks=f", it looks like {what}" if what else "",
        )
        self.link.write(_whole(line_of(400, "this port is for HTTP")))
        self.loseConnection()

    def rawDataReceived(self, data: bytes) -> None:
        """Called with what arrived together with the request, after its end."""
        (self._taken.dataReceived if self._taken else super().rawDataReceived)(data)

    def _forget(self, leaves: bool) -> None:
        """Do not cut the connection when its time is over. `leaves`: whether to stop counting it as well."""
        if leaves:
            self.site.open.pop(self, None)
        if self._end is not None and self._end.active():
            self._end.cancel()

    def cut(self) -> None:
        """End the connection at once, whatever is still being sent. It counts no more."""
        self._forget(leaves=True)
        self.link.abortConnection()

    @property
    def host(self) -> str:
        """What the connection's address counts as; empty for a Unix socket."""
        host = getattr(self.address, "host", None)
        return "" if host is None else counted_as(host)

    def lineReceived(self, line: bytes) -> None:
        """A line of the request's head. Twisted would answer a head that is too large with 400."""
        self._head_size += len(line)
        self._head_lines += 1
        if self._head_size > self.totalHeadersSize or self._head_lines > MAX_HEADERS:
            self.lineLengthExceeded(line)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is too long, or the head is. Twisted would end the connection without a word."""
        self.link.write(_whole(line_of(431, f"the head of a request may have {self.totalHeadersSize:,} bytes")))
        self.loseConnection()

    def checkPersistence(self, request: Any, version: bytes) -> bool:  # Any: Twisted declares no type
        """Whether another request may follow: never."""
        request.setHeader("Connection", "close")
        return False

    def allHeadersReceived(self) -> None:
        self.length = 0  # of the body, which the relay does not wait for
        super().allHeadersReceived()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008  # Twisted's own
        self._forget(leaves=True)
        if self._received is not None:
            self._received.drop()
        (self._taken.connectionLost if self._taken else super().connectionLost)(reason)


class Site(http.HTTPFactory):
    """Accepts connections to the web port, on any number of endpoints."""

    logger = Logger()
    noisy = False
    protocol = Channel  # type: ignore[assignment]  # Twisted declares a function whose channels speak HTTP/2, too

    def __init__(
        self,
        pages: Pages,
        registered: tuple[Callable[[Every], None], ...],
        lines: RateLimitedLog,
        reactor: IReactorTime,
        most: int = MAX_WEB_CONNECTIONS,
        seconds: float = SECONDS,
        *,
        requests: Lane = at_once,
        costly: Lane = at_once,
    ) -> None:
        """`pages`: answers requests. `registered`: the `register` methods of what serves streams.

        `lines`: limits the log lines that peers can cause. `most`: connections that may be open at once, not counting
        those that became subscribers. `seconds`: how long a connection that is not a stream lasts at most. `requests`,
        `costly`: where reading requests, and answering those that take long, take their turns.
        """
        super().__init__(reactor=reactor)
        self.timeOut = None  # Twisted's own timeout, which begins anew with every byte; `seconds` replaces it
        self.pages = pages
        self._registered = registered
        self.lines = lines
        self.most = most
        self.seconds = seconds
        self.requests = requests
        self.costly = costly
        self.open: dict[Channel, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:  # type: ignore[override]  # Twisted's own is narrower
        channel = super().buildProtocol(addr)
        if isinstance(channel, Channel):
            channel.address = addr
        return channel

    def make_room(self) -> None:
        """Cut the oldest connection of the address that has most of them, so that whoever comes is served.

        First go those whose request is not whole; if every one is, those that are being answered, or show the status
        page. So one address cannot keep others out by holding connections, nor by opening new ones.
        """
        waiting = [channel for channel in self.open if not channel.asked] or list(self.open)
        [(greediest, _)] = Counter(channel.host for channel in waiting).most_common(1)
        oldest = next(channel for channel in waiting if channel.host == greediest)
        self.lines.warn(
            self.logger,
            "web connection from {peer} cut: there are {most:,}, and it is the oldest of its address{what}",
            peer=oldest.peer,
            most=self.most,
            what="" if oldest.asked else " without a whole request",
        )
        oldest.cut()

    def register(self, every: Every) -> None:
        """Have the streams swept."""
        for register in self._registered:
            register(every)

    def startFactory(self) -> None:
        """Open no log of requests, and start no clock for it."""

    def stopFactory(self) -> None:
        """There is no log of requests to close."""

    def log(self, request: http.Request) -> None:
        """Requests are not logged."""
