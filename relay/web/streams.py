"""The web port's streams of messages, which are responses that do not end: server-sent events and WebSocket."""

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
    """An answer that is not a response, but a protocol that takes the connection over."""

    begin: Callable[[IAddress | None], Protocol]
    """Makes the protocol; takes the address that the connection comes from."""
    subscribes: bool = True
    """Whether the connection counts as a subscriber from then on, and no longer as one of the web port."""


def unstreamable(request: Request) -> Response | None:
    """The refusal of a request that cannot be answered by a stream; None for a request that can."""
    if request.version != "HTTP/1.1":
        return line(505, "a stream needs HTTP/1.1; a proxy must speak it too (nginx: proxy_http_version 1.1)")
    return None


class Streams:
    """Answers requests for streams of messages."""

    def __init__(
        self, feeds: Feeds, epoch: str, events: Registry, sockets: Registry, origins: Callable[[], tuple[str, ...]]
    ) -> None:
        """`epoch`: of the messages' positions. `events`, `sockets`: the registries for the subscribers of each kind.

        `origins`: returns the origins whose web pages may read messages, in addition to the relay's own.
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
        """The answer to a request for server-sent events."""
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
        """The answer to a request for a WebSocket."""
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
        """Sweep each subscriber."""
        for registry in (self._event_registry, self._socket_registry):
            for subscriber in tuple(registry.open):
                cast(Subscriber, subscriber).sweep()

    def _resume(self, last: str) -> int | None:
        """The position after the event with the id `last`; None if this run of the relay has sent no such event.

        To be called after a flush of the hub, so that all messages are in its log.
        """
        try:
            position = Position.parse(last)
        except ValueError:
            return None
        following = position.number + 1
        return following if position.epoch == self._epoch and following <= self._feeds.hub.log.next else None

    def _replay(self, request: Request) -> int | None:
        """The position from which the recent messages start that `request` asks for; None if it asks for none.

        Raises ValueError if it asks for something else than a number of messages.
        """
        hub = self._feeds.hub
        many = request.query.get("replay", [str(hub.replay)])[-1]
        if not re.fullmatch("[0-9]{1,18}", many):
            raise ValueError("replay: how many messages, a whole number")
        return hub.recent(int(many)) if int(many) else None

    def _foreign(self, request: Request) -> Response | None:
        """The refusal of a request by a web page of another site; None if it is not by one.

        Browsers name the site in the header `Origin`. Without the refusal, any web page that somebody visits could read
        the messages. Other programs may leave the header out, or send any: they are not kept out by this.
        """
        origin = request.header("Origin")
        own = origin.partition("://")[2]
        if not origin or (own and own == request.header("Host")) or origin in self._origins():
            return None
        return line(403, "pages of that origin may not read messages: --web-origin would allow it")
