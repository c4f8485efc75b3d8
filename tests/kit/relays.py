"""A relay without ports: its hub, who is connected to it, and its numbers, with turns and clocks of the test's own."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from relay.core.backbone import Backbone
from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.journal import Journal
from relay.core.log import Log
from relay.observe.stats import Stats
from relay.observe.turns import Turns as Measured
from relay.peers.admission import Admission
from relay.peers.intake import Intake
from relay.peers.publisher import Publisher, PublisherFactory
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.subscriber import Subscriber, SubscriberFactory
from relay.wire.counted import Int32
from tests.kit.connections import PEER, FakeTransport
from tests.kit.fakes import Turns, frame
from tests.kit.sessions import Timers, make_sessions

START = 1_000_000_000.0
"""When it is started, in seconds since 1970."""
HOST = (b"Host", b"localhost:8003")
"""A header that every request to the web port needs."""
FRAME = len(frame(b"x" * 96))
"""Bytes on the wire of each message that `publish` publishes."""


class RelayCase(SynchronousTestCase):
    """A relay that nobody knows, until the test connects somebody."""

    feeds: tuple[str, ...] = ("tcp",)
    """Those of its subscribers, each with a registry; all are given messages as they were published."""

    journal: Journal | None = None
    """What its numbers tell of one; nothing is written to it."""
    backbone: Backbone | None = None
    """What its numbers tell of one; nothing is proposed."""

    def setUp(self) -> None:
        self.begin()

    def begin(self, replay: int = 0) -> None:
        """Start it (anew). `replay`: how many messages a subscriber starts with."""
        self.now = 0.0
        self.time = START
        self.turns = Turns()
        self.limits = Admission(10_000)
        self.lines = RateLimitedLog(most=1)
        self.intake = Intake(lambda: self.now)
        self.hub = Hub(
            Log(Int32.ends),
            Budget(2**20),
            self.intake,
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            replay=replay,
        )
        accepted = partial(Registry, admission=self.limits, lines=self.lines, now=lambda: self.time)
        publishing, subscribing = accepted("publisher"), [accepted("subscriber", feed=feed) for feed in self.feeds]
        self.registries = [publishing, *subscribing]
        self.timers = Timers()
        self.sessions = make_sessions(self.hub, self.turns.call_soon, lambda: self.now, self.timers)
        self.publishers = PublisherFactory(publishing, self.hub, self.intake, partial(Int32, 2**17), self.sessions)
        self.subscribers = {one.feed: SubscriberFactory(one, self.hub, "", self.sessions) for one in subscribing}
        self.measured = Measured(self.turns.call_soon, lambda: self.now)
        self.stats = Stats(
            self.hub,
            self.intake,
            publishing,
            subscribing,
            self.lines,
            reloads={True: 3, False: 2},
            clock=lambda: self.now,
            turns=self.measured,
            sessions=self.sessions,
            journal=self.journal,
            backbone=self.backbone,
        )

    def publisher(self) -> Publisher:
        publisher = self.publishers.buildProtocol(PEER)
        publisher.makeConnection(FakeTransport())
        return publisher

    def subscriber(self, feed: str = "tcp", tls: bool = False) -> tuple[Subscriber, FakeTransport]:
        subscriber, transport = self.subscribers[feed].buildProtocol(PEER), FakeTransport(tls=tls)
        subscriber.makeConnection(transport)
        return subscriber, transport

    def publish(self, publisher: Publisher, messages: int) -> None:
        """One read, and all turns that follow from it."""
        publisher.dataReceived(frame(b"x" * 96) * messages)
        self.turns.run_all()
