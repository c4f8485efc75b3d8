"""Other relays and servers, for tests of what a relay does there: no sockets, and the test plays the other side."""

from __future__ import annotations

from functools import partial
from typing import cast

from twisted.internet.task import Clock

from relay.config.values import Remote
from relay.core.journal import Contributor, Key
from relay.peers.admission import Admission
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.reach.link import Surroundings
from relay.reach.mirror import Mirror
from relay.reach.places import Places
from relay.reach.pull import Pull
from relay.reach.push import Push, PushLink
from relay.wire.answer import SubscriberWelcome
from relay.wire.counted import Int32
from relay.wire.position import Position
from tests.kit.connections import PublisherCase
from tests.kit.endpoints import Server, Wire
from tests.kit.fakes import FakeSubscriber, accepted
from tests.kit.sessions import make_sessions, parts

FAR = "5289cfdd2847"
"""The epoch of the other relay."""
SESSION = Remote("tcp:far:8002", True)
SILENT = Remote("tcp:far:8002", False)


def welcome(following: int, lost: int | None = 0, epoch: str = FAR, max_message: int = 40) -> SubscriberWelcome:
    """What another relay says whose next message is `following`."""
    return SubscriberWelcome(Position(epoch, following), 1, lost, max_message, "relay")


class RemoteCase(PublisherCase):
    """A relay, with a subscriber, and another one at which the test sits. Messages have 40 bytes at most."""

    def setUp(self) -> None:
        self.clock = Clock()
        super().setUp()
        self.server = Server(self.clock)
        self.sessions = make_sessions(self.hub, self.turns.call_soon, self.clock.seconds)
        self.noted: list[tuple[Key, int]] = []
        """The places that were written, in order."""
        self.registry = Registry("pull", Admission(), RateLimitedLog(100))
        self.pushes = Registry("push", Admission(), RateLimitedLog(100))
        self.subscribers = accepted("subscriber")
        self.reader = FakeSubscriber(self.hub)
        self.around = Surroundings(
            hub=self.hub,
            framing=partial(Int32, 40),
            max_message=40,
            intake=self.intake,
            history=self.sessions.starts.history,
            places=Places(self.sessions.names, self.note),
            starts=self.sessions.starts,
            origins=self.sessions.origins,
            sources=self.registry,
            pushes=self.pushes,
            publishers=self.factory.registry,
            subscribers=self.subscribers,
            endpoint=lambda remote: self.server,
            call_later=self.clock.callLater,
            clock=self.clock.seconds,
            keepalive=60,
        )

    def note(self, key: Key, place: Contributor) -> None:
        self.noted.append((key, place.accepted))

    def pull(self, remote: Remote = SESSION) -> Pull:
        """One that has been started."""
        pull = Pull(remote, self.around)
        pull.start()
        return pull

    def mirror(self) -> Mirror:
        """One that has been started."""
        self.sessions.starts.shared = True
        mirror = Mirror(SESSION, self.around)
        mirror.start()
        return mirror

    def push(self, remote: Remote = SESSION) -> Push:
        """One that has been started."""
        push = Push(remote, self.around)
        push.start()
        return push

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        return self.server.wire

    def published(self) -> list[object]:
        """All messages that were delivered, after the turns that it takes."""
        self.turns.run_all()
        return list(parts(bytes(self.reader.received)))

    def later(self, seconds: float) -> None:
        """Let time pass, a second at a time, as the sweeps have it."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.intake.sweep(1)
            for one in tuple(self.pushes.open):
                cast(PushLink, one).sweep()
