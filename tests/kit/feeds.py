"""Feeds for tests, with turns and a clock of the test's own, and subscribers whose kernel has the room that it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from twisted.trial.unittest import SynchronousTestCase

from relay.core.budget import Budget
from relay.core.cursor import Lag, Tally
from relay.core.history import History
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.core.state import Lifecycle, State
from relay.core.subscription import Subscription
from relay.feeds.feed import Feed
from relay.feeds.feeds import Feeds
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from relay.wire.events import EventEncoding
from relay.wire.framing import Buffer
from tests.kit.events import events
from tests.kit.fakes import FakeIntake, Turns, frames

MIB = 2**20


class Timed(Protocol):
    """A test with a clock."""

    now: float


class Slowly:
    """Server-sent events, whose encoding takes time; it counts the messages that it was given."""

    name = "events"

    def __init__(self, test: Timed) -> None:
        self.seconds = 0.0
        """For each message."""
        self.encoded: list[int] = []
        """The positions of all, in the order in which they came."""
        self.error: Exception | None = None
        self._test = test
        self._events = EventEncoding("e")
        self.ends = self._events.ends

    def encode(self, messages: Iterable[bytes], position: int) -> bytes:
        if self.error:
            raise self.error
        given = list(messages)
        self.encoded += range(position, position + len(given))
        self._test.now += self.seconds * len(given)
        return self._events.encode(given, position)


class Member:
    """A subscriber of a feed, whose kernel has room for so many bytes, and whose peer reads when the test says so."""

    def __init__(self, feeds: Feeds, encoding: Slowly, wanted: int | None = None, room: float = float("inf")) -> None:
        self.lifecycle = Lifecycle()
        self.room = room
        self.received = bytearray()
        self.reason: CloseReason | None = None
        self.tally = Tally(0, 0, 0)
        """What it was given by the feeds that it has left."""
        self._short = False
        found = feeds.provide(encoding, wanted)
        assert found
        self.feed, self.first = found
        self.subscription: Subscription | None = None
        self.feed.attach(self, self.first)

    def joined(self, feed: Feed, subscription: Subscription) -> None:
        if self.subscription:
            assert self.subscription.tally is not None, "it is a subscriber of two feeds"
            self.tally += self.subscription.tally
        self.feed, self.subscription = feed, subscription

    def deliver_one(self, piece: Buffer) -> int:
        return self.deliver([piece])

    def deliver(self, pieces: Sequence[Buffer]) -> int:
        assert self.reason is None, "delivered to after the end"
        data = b"".join(pieces)
        taken = int(min(self.room, len(data)))
        self.received += data[:taken]
        self.room -= taken
        self._short = taken < len(data)
        return taken

    reads = False
    stalls = True

    def await_room(self, error: OSError | None) -> None:
        assert self._short and error is None

    def read(self, size: float = float("inf")) -> None:
        self.room += size
        if self._short and self.reason is None and self.subscription:
            self._short = False
            self.feed.hub.resume(self.subscription)

    def unsent(self) -> int:
        return 0

    counts = False

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        raise AssertionError(gap)

    def end(self, reason: CloseReason, lag: Lag) -> None:
        assert self.reason is None, "ended twice"
        self.reason = reason
        self.lifecycle.become(State.CUT)

    def fail(self, error: Exception) -> None:
        raise AssertionError(error)

    def leave(self) -> Tally:
        assert self.subscription
        return self.tally + self.feed.hub.detach(self.subscription)

    @property
    def got(self) -> list[int]:
        """The positions of the messages that came, each of which was published with its position in it."""
        found = events(bytes(self.received))
        assert all(event.message.startswith(b"%d." % event.position) for event in found), "that is another message"
        return [event.position for event in found]


class Looks(Turns):
    """Turns, and looks that are only taken when there is nothing else to do: as many as change something."""

    def __init__(self) -> None:
        super().__init__()
        self._later: list[Callable[[], None]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self._later.append(call)

    def run(self) -> bool:
        if super().run():
            return True
        calls, self._later = self._later, []
        for call in calls:
            call()
        return False

    def run_all(self, most: int = 10_000) -> None:
        super().run_all(most)  # ends with a look
        super().run_all(most)


class FeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.set_up()

    def set_up(self, limit: int = 64 * MIB, slow: SlowPolicy = SLOW_POLICIES["disconnect"], replay: int = 0) -> None:
        self.now = 0.0
        self.turns = Looks()
        self.intake = FakeIntake()
        self.hub = Hub(
            Log(Int32.ends),
            Budget(limit),
            self.intake,
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            slow=slow,
            stall_timeout=3.0,
            replay=replay,
        )
        self.history = History(self.hub)
        self.feeds = Feeds(
            self.hub,
            Int32,
            self.history,
            call_soon=self.turns.call_soon,
            call_later=self.turns.call_later,
            clock=lambda: self.now,
        )
        self.encoding = Slowly(self)
        self.published = 0

    def join(self, wanted: int | None = None, room: float = float("inf")) -> Member:
        return Member(self.feeds, self.encoding, wanted, room)

    def publish(self, count: int, size: int = 20) -> None:
        """So many messages at once, each with its position in it, and so much besides."""
        first = self.published + 1
        self.published += count
        self.hub.publish(frames(*(b"%d.%b" % (at, bytes(size)) for at in range(first, self.published + 1))))

    def publish_batches(self, count: int, size: int = 20) -> None:
        """So many messages, each in a turn of its own; they are encoded before this is over."""
        for _ in range(count):
            self.publish(1, size)
            self.turns.run()
        self.turns.run_all()

    def all_from(self, first: int) -> list[int]:
        return list(range(first, self.published + 1))


class TrimmedFeedTests(FeedTests):
    """A feed whose log no longer has the first messages, which the hub's log still has; `here` is its subscriber."""

    def setUp(self) -> None:
        self.set_up(limit=MIB)
        self.here = self.join()
        self.feeds.sweep(1.0)
        self.publish_batches(1000, size=100)
        self.assertLess(self.hub.log.first, 10)
        self.assertGreater(self.here.feed.first, 100)
