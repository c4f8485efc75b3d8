"""The web port's streams of messages, which are responses that do not end: server-sent events and WebSocket."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol

from relay.core.chores import Lane, at_once
from relay.core.start import Start
from relay.core.timing import SWEEP, Every
from relay.feeds.feeds import Feeds
from relay.feeds.membership import Membership
from relay.peers.registry import Registry
from relay.peers.sessions import Sessions
from relay.peers.subscriber import Subscriber
from relay.peers.subscriber_session import SubscriberSession
from relay.web.event_dialogue import EventDialogue, stream_head
from relay.web.request import Request, Response, line
from relay.web.socket_dialogue import SocketDialogue
from relay.web.websocket import Refused, accept
from relay.wire.control import BadControl
from relay.wire.events import EventEncoding
from relay.wire.hello import SubscriberHello
from relay.wire.position import Position
from relay.wire.printable import escaped
from relay.wire.websocket import binary, text, text_frame


@dataclass(frozen=True, slots=True)
class Takeover:
    """An answer that is not a response, but a protocol that takes the connection over."""

    begin: Callable[[IAddress | None], Protocol]
    """Makes the protocol; takes the address that the connection comes from."""
    registry: Registry | None = None
    """Where the connection counts as a subscriber from then on; None if it goes on counting as one of the web port."""


def wish(query: Mapping[str, list[str]]) -> SubscriberHello:
    """What a request's query asks for, in the words of a hello: its keys and values, as texts. Raises BadControl."""
    values: dict[str, object] = {}
    for key in ("after", "replay", "since", "heartbeat", "name"):
        if key in query:
            text = query[key][-1]
            number = re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", text)
            whole = number and not number[1]
            values[key] = text if not number or key in ("after", "name") else int(text) if whole else float(text)
    return SubscriberHello.read(values)


def unstreamable(request: Request) -> Response | None:
    """The refusal of a request that cannot be answered by a stream; None for a request that can."""
    if request.version != "HTTP/1.1":
        return line(505, "a stream needs HTTP/1.1; a proxy must speak it too (nginx: proxy_http_version 1.1)")
    return None


class Streams:
    """Answers requests for streams of messages."""

    def __init__(
        self,
        feeds: Feeds,
        sessions: Sessions,
        events: Registry,
        sockets: Registry,
        origins: Callable[[], tuple[str, ...]],
        inputs: Lane = at_once,
    ) -> None:
        """`sessions`: what all sessions share. `events`, `sockets`: the registries for the subscribers of each kind.

        `origins`: returns the origins whose web pages may read messages, in addition to the relay's own. `inputs`:
        where looking at what subscribers by WebSocket send takes its turn.
        """
        self._inputs = inputs
        self._feeds = feeds
        self._sessions = sessions
        self._event_registry = events
        self._socket_registry = sockets
        self._origins = origins
        self._encoding = EventEncoding(sessions.starts.epoch)
        self._binary = binary()
        self._text = text()

    def events(self, request: Request) -> Response | Takeover:
        """The answer to a request for server-sent events."""
        refusal = unstreamable(request) or self._foreign(request)
        if refusal:
            return refusal
        try:
            start = self._resume(request.header("Last-Event-ID")) or self._start(wish(request.query))
        except BadControl as error:
            return line(400, str(error))
        origin = request.header("Origin")
        allowed = (("Access-Control-Allow-Origin", origin), ("Vary", "Origin")) if origin in self._origins() else ()
        dialogue = EventDialogue(stream_head(allowed), self._sessions.starts.epoch, start)
        source = Membership(self._feeds, self._events(), start)
        registry = self._event_registry
        return Takeover(lambda address: Subscriber(registry, address, source, dialogue), registry)

    def _events(self) -> EventEncoding:
        """The encoding of events in the epoch in force. It is one object as long as that lasts, so that feeds last."""
        epoch = self._sessions.starts.epoch
        if self._encoding.epoch != epoch:
            self._encoding = EventEncoding(epoch)
        return self._encoding

    def socket(self, request: Request) -> Response | Takeover:
        """The answer to a request for a WebSocket."""
        refusal = unstreamable(request) or self._foreign(request)
        if refusal:
            return refusal
        as_text = "text" in request.query
        session: SubscriberSession | None = None
        try:
            hello = wish(request.query)
            if "session" in request.query:
                if as_text:
                    raise BadControl("text: in a session messages are binary, and text is what the relay says")
                self._sessions.check()
                start = self._sessions.starts.find(hello)
                session = SubscriberSession(hello, start, self._sessions, text_frame)
            else:
                start = self._start(hello)
            head = accept(request.headers)
        except BadControl as error:
            return line(400, str(error))
        except Refused as refused:
            return line(refused.status, str(refused), (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")))
        source = Membership(self._feeds, self._text if as_text else self._binary, start, session is not None)
        dialogue = SocketDialogue(head, session, self._inputs)
        registry = self._socket_registry
        return Takeover(lambda address: Subscriber(registry, address, source, dialogue), registry)

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Sweep each subscriber."""
        for registry in (self._event_registry, self._socket_registry):
            for subscriber in tuple(registry.open):
                cast(Subscriber, subscriber).sweep()

    def _start(self, hello: SubscriberHello) -> Start:
        """Where one without a session begins; with what `--replay` says, if it does not say."""
        hub = self._feeds.hub
        if hub.replay and hello.after is None and hello.replay is None and hello.since is None:
            hello = SubscriberHello(replay=hub.replay)
        return self._sessions.starts.find(hello)

    def _resume(self, last: str) -> Start | None:
        """The start behind the event with the id `last`; None if that is empty."""
        if not last:
            return None
        try:
            position = Position.parse(last)
        except ValueError:
            position = Position("", 0)  # of no epoch
        return self._sessions.starts.find(SubscriberHello(after=position))

    def _foreign(self, request: Request) -> Response | None:
        """The refusal of a request by a web page of another site; None if it is not by one.

        Browsers name the site in the header `Origin`. Without the refusal, any web page that somebody visits could read
        the messages. Other programs may leave the header out, or send any: they are not kept out by this.
        """
        origin, host = request.header("Origin"), request.header("Host")
        own = (f"http://{host}", f"https://{host}") if host else ()
        if not origin or origin in own or origin in self._origins():
            return None
        return line(403, f"pages of {escaped(origin)[:200]!r} may not read messages: --web-origin would allow that")
