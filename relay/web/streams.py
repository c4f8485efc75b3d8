"""The web port's answers that do not end: feeds of all messages, by server-sent events and by WebSocket."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import cast

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol

from relay.feeds.feed import Feeds
from relay.peers.connection import Accepted
from relay.web.asked import ALWAYS, Answer, Asked, line
from relay.web.subscribers import EventSubscriber, SocketSubscriber, WebSubscriber
from relay.web.websocket import Refused, accept
from relay.wire.encoding import Events, binary, text


@dataclass(frozen=True, slots=True)
class Takeover:
    """The answer is whatever that protocol makes of the connection."""

    begin: Callable[[IAddress | None], Protocol]
    subscribes: bool = True
    """Whether it counts as a subscriber from then on, and no longer as a connection to the web port."""


def stream_head(headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The head of an answer that is a stream of events, in chunks."""
    every = (
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X-Accel-Buffering", "no"),  # nginx would keep events until it has a few kilobytes of them
        *ALWAYS,
        *headers,
    )
    return b"".join([b"HTTP/1.1 200 OK\r\n", *(f"{name}: {value}\r\n".encode() for name, value in every), b"\r\n"])


def unstreamable(asked: Asked) -> Answer | None:
    """Why a stream cannot be the answer, if so."""
    if asked.version != "HTTP/1.1":
        return line(505, "a stream needs HTTP/1.1; a proxy must speak it too (nginx: proxy_http_version 1.1)")
    return None


class Streams:
    """Begins the streams, for whoever may have them."""

    def __init__(
        self, feeds: Feeds, events: Accepted, sockets: Accepted, origins: Callable[[], tuple[str, ...]]
    ) -> None:
        """`events` and `sockets` is where their subscribers are kept.

        `origins` are those of web pages that may have the feeds, besides pages of the relay's own.
        """
        self.run = token_hex(6)
        """The name of this run of the relay."""
        self._feeds = feeds
        self._accepted_events = events
        self._accepted_sockets = sockets
        self._origins = origins
        self._events = Events(self.run)
        self._binary = binary()
        self._text = text()

    def events(self, asked: Asked) -> Answer | Takeover:
        """Server-sent events."""
        refusal = unstreamable(asked) or self._foreign(asked)
        if refusal:
            return refusal
        try:
            wanted = self._replay(asked)
        except ValueError as error:
            return line(400, str(error))
        missed: bool | None = False
        last = asked.header("Last-Event-ID")
        if last:
            wanted, missed = self._resume(last, wanted)
        origin = asked.header("Origin")
        allowed = (("Access-Control-Allow-Origin", origin), ("Vary", "Origin")) if origin in self._origins() else ()
        head = stream_head(allowed)

        def begin(address: IAddress | None) -> Protocol:
            return EventSubscriber(self._accepted_events, address, self._feeds, self._events, wanted, head, lost=missed)

        return Takeover(begin)

    def sweep(self, passed: float) -> None:
        """See to all subscribers; to be called once a second."""
        for accepted in (self._accepted_events, self._accepted_sockets):
            for subscriber in tuple(accepted.open):
                cast(WebSubscriber, subscriber).sweep()

    def _resume(self, last: str, wanted: int | None) -> tuple[int | None, bool | None]:
        """Where to go on after that event, and whether what is missing before it can be told."""
        run, _, position = last.rpartition("-")
        following = int(position) + 1 if re.fullmatch("[0-9]{1,18}", position) else 0
        if run == self.run and 0 < following <= self._feeds.hub.start(0):
            return following, True
        return wanted, None

    def socket(self, asked: Asked) -> Answer | Takeover:
        """WebSocket."""
        refusal = unstreamable(asked) or self._foreign(asked)
        if refusal:
            return refusal
        try:
            wanted = self._replay(asked)
            head = accept(asked.headers)
        except ValueError as error:
            return line(400, str(error))
        except Refused as refused:
            return line(refused.status, str(refused), (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")))
        encoding = self._text if "text" in asked.query else self._binary

        def begin(address: IAddress | None) -> Protocol:
            return SocketSubscriber(self._accepted_sockets, address, self._feeds, encoding, wanted, head)

        return Takeover(begin)

    def _replay(self, asked: Asked) -> int | None:
        """The position to begin with so that so many messages come again; raises ValueError."""
        many = asked.query.get("replay", [str(self._feeds.hub.replay)])[-1]
        if not re.fullmatch("[0-9]{1,18}", many):
            raise ValueError("replay: how many messages, a whole number")
        return self._feeds.hub.start(int(many)) if int(many) else None

    def _foreign(self, asked: Asked) -> Answer | None:
        """The refusal of a page of another site, whose browser tells which: without it, any page that somebody looks
        at could read the messages. What is no browser does not tell, and may say what it likes."""
        origin = asked.header("Origin")
        own = origin.partition("://")[2]
        if not origin or (own and own == asked.header("Host")) or origin in self._origins():
            return None
        return line(403, "pages of that origin may not: --web-origin would allow it")
