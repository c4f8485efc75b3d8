"""Streams of the web port without the port: their feeds, and transports that take what subscribers are sent."""

from __future__ import annotations

from collections.abc import Callable

from relay.peers.registry import Registry
from relay.peers.subscriber import Subscriber
from relay.web.request import Request, Response
from relay.web.streams import Streams, Takeover
from tests.kit.connections import PEER, FakeTransport
from tests.kit.fakes import accepted, frames
from tests.kit.feeds import FeedTests
from tests.kit.sessions import Timers, make_sessions

HANDSHAKE = (
    (b"Host", b"relay.example"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"Sec-WebSocket-Version", b"13"),
)


class StreamCase(FeedTests):
    """A hub with feeds, and nobody who subscribes yet."""

    def setUp(self) -> None:
        super().setUp()
        self.origins: tuple[str, ...] = ()
        self.registries: dict[str, Registry] = {}
        for feed in ("events", "ws"):
            self.registries[feed] = accepted("subscriber")
            self.registries[feed].feed = feed
        self.timers = Timers()
        self.sessions = make_sessions(self.hub, self.turns.call_soon, lambda: self.now, self.timers, self.history)
        self.streams = Streams(
            self.feeds, self.sessions, self.registries["events"], self.registries["ws"], lambda: self.origins
        )

    def connect(
        self, stream: Callable[[Request], Response | Takeover], request: Request
    ) -> tuple[Subscriber, FakeTransport]:
        """Have a request granted, and a subscriber made of its connection."""
        takeover = stream(request)
        assert isinstance(takeover, Takeover), takeover
        subscriber, transport = takeover.begin(PEER), FakeTransport()
        assert isinstance(subscriber, Subscriber)
        subscriber.makeConnection(transport)
        self.turns.run_all()
        return subscriber, transport

    def say(self, *messages: bytes) -> None:
        """Publish these, and have them encoded and handed out."""
        self.hub.publish(frames(*messages))
        self.turns.run_all()
