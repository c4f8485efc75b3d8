"""The web port's responses that do not end: feeds of all messages, by server-sent events and by WebSocket."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol

from relay.core.timing import SWEEP, Every
from relay.feeds.feeds import Feeds
from relay.feeds.membership import Membership
from relay.peers.registry import Registry
from relay.peers.subscriber import Subscriber
from relay.web.event_dialogue import EventDialogue, stream_head
from relay.web.request import Request, Response, line
from relay.web.socket_dialogue import SocketDialogue
from relay.web.websocket import Refused, accept
from relay.wire.events import EventEncoding
from relay.wire.position import Position
from relay.wire.websocket import binary, text


@dataclass(frozen=True, slots=True)
class Takeover:
    """The response is whatever a protocol makes of the connection from now on."""

    begin: Callable[[IAddress | None], Protocol]
    """Makes the protocol, for a connection from that address."""
    subscribes: bool = True
    """Whether it counts as a subscriber from then on, and no longer as a connection to the web port."""


def unstreamable(request: Request) -> Response | None:
    """The refusal of a request that cannot be answered by a stream; None if it can."""
    if request.version != "HTTP/1.1":
        return line(505, "a stream needs HTTP/1.1; a proxy must speak it too (nginx: proxy_http_version 1.1)")
    return None


class Streams:
    """Begins the streams, for whoever may have them."""

    def __init__(
        self, feeds: Feeds, epoch: str, events: Registry, sockets: Registry, origins: Callable[[], tuple[str, ...]]
    ) -> None:
        """`epoch`: that of the messages' positions. `events`, `sockets`: where the subscribers of each kind are kept.

        `origins`: those of web pages that may have the messages, besides pages of the relay's own.
        """
        self._feeds = feeds
        self._epoch = epoch
        self._event_registry = events
        self._socket_registry = sockets
        self._origins = origins
        self._events = EventEncoding(epoch)
        self._binary = binary()
        self._text = text()

    def events(self, request: Request) -> Response | Takeover:
        """Server-sent events."""
        refusal = unstreamable(request) or self._foreign(request)
        if refusal:
            return refusal
        self._feeds.hub.flush()
        try:
            wanted = self._replay(request)
        except ValueError as error:
            return line(400, str(error))
        missed: bool | None = False
        last = request.header("Last-Event-ID")
        if last:
            resumed = self._resume(last)
            wanted, missed = (wanted, None) if resumed is None else (resumed, True)
        origin = request.header("Origin")
        allowed = (("Access-Control-Allow-Origin", origin), ("Vary", "Origin")) if origin in self._origins() else ()
        dialogue = EventDialogue(stream_head(allowed), self._epoch, wanted, missed)
        source = Membership(self._feeds, self._events, wanted)
        return Takeover(lambda address: Subscriber(self._event_registry, address, source, dialogue))

    def socket(self, request: Request) -> Response | Takeover:
        """WebSocket."""
        refusal = unstreamable(request) or self._foreign(request)
        if refusal:
            return refusal
        self._feeds.hub.flush()
        try:
            wanted = self._replay(request)
            head = accept(request.headers)
        except ValueError as error:
            return line(400, str(error))
        except Refused as refused:
            return line(refused.status, str(refused), (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")))
        source = Membership(self._feeds, self._text if "text" in request.query else self._binary, wanted)
        return Takeover(lambda address: Subscriber(self._socket_registry, address, source, SocketDialogue(head)))

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Look at each subscriber."""
        for registry in (self._event_registry, self._socket_registry):
            for subscriber in tuple(registry.open):
                cast(Subscriber, subscriber).sweep()

    def _resume(self, last: str) -> int | None:
        """The position behind the event of that id; None if it is not one of ours. What is pending is in the log."""
        try:
            position = Position.parse(last)
        except ValueError:
            return None
        following = position.number + 1
        return following if position.epoch == self._epoch and following <= self._feeds.hub.log.next else None

    def _replay(self, request: Request) -> int | None:
        """The position from which the recent messages start that are asked for; None if none are. Raises ValueError."""
        hub = self._feeds.hub
        many = request.query.get("replay", [str(hub.replay)])[-1]
        if not re.fullmatch("[0-9]{1,18}", many):
            raise ValueError("replay: how many messages, a whole number")
        return hub.recent(int(many)) if int(many) else None

    def _foreign(self, request: Request) -> Response | None:
        """The refusal of a page of another site; None if it is none.

        Its browser tells which site that is. Without the refusal, any page that somebody looks at could read the
        messages. What is no browser does not tell, and may say what it likes.
        """
        origin = request.header("Origin")
        own = origin.partition("://")[2]
        if not origin or (own and own == request.header("Host")) or origin in self._origins():
            return None
        return line(403, "pages of that origin may not: --web-origin would allow it")
