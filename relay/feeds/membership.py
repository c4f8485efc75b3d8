"""One subscriber's membership in a feed that has the messages it wants. The subscriber may be moved to another feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from relay.core.cursor import NO_LAG, NOTHING, Lag, Tally
from relay.core.hub import Hub
from relay.core.start import Start, locate, wait
from relay.core.state import Lifecycle
from relay.core.subscription import Consumer, Subscription
from relay.feeds.feed import Feed
from relay.feeds.feeds import Feeds
from relay.wire.close_reason import CloseReason
from relay.wire.encoding import Encoding
from relay.wire.framing import Buffer


class Membership:
    """A subscriber's source of messages in one encoding (see `relay.peers.source`).

    It is also the consumer that the feed's hub knows, and passes that hub's calls on to the subscriber.
    """

    __slots__ = (
        "_before",
        "_consumer",
        "_encoding",
        "_era",
        "_feed",
        "_feeds",
        "_lost",
        "_start",
        "counts",
        "subscription",
    )

    def __init__(self, feeds: Feeds, encoding: Encoding, start: Start, counts: bool = False) -> None:
        """`start`: what the subscriber wants first.

        `counts`: whether the subscriber counts messages, so that it must not stay in a feed that has lost some.
        """
        self.subscription: Subscription | None = None
        self.counts = counts
        self._feeds = feeds
        self._encoding = encoding
        self._era = feeds.hub.log.era  # in which `start` was found
        self._start = start
        self._feed: Feed | None = None
        self._consumer: Consumer
        self._before = NOTHING  # what earlier feeds gave to the subscriber
        self._lost = 0  # messages that the feed had lost when the subscriber joined it

    # What the subscriber asks

    @property
    def hub(self) -> Hub:
        """The feed's hub; the main hub until there is a feed."""
        return self._feeds.hub if self._feed is None else self._feed.hub

    @property
    def live(self) -> bool:
        """Whether the subscriber has a feed, and that has encoded everything."""
        return self._feed is not None and self._feed.live

    def attach(self, consumer: Consumer, greeting: Callable[[int], bytes]) -> bool:
        """Join a feed, as `relay.peers.source.Source.attach` promises."""
        self._consumer = consumer
        start, hub = self._start, self._feeds.hub
        join = partial(self._join_later, greeting)
        if start.early(hub.log.next) or self._passed:
            wait(hub, start, self._feeds.call_later, join)
        elif start.since is not None:
            locate(hub, start, join)
        else:
            return self._join(greeting, start)
        return True

    def _join(self, greeting: Callable[[int], bytes], start: Start) -> bool:
        """Join a feed that has what is wanted first. Returns False if there is none and no more may be made."""
        found = self._feeds.provide(self._encoding, start.wanted)
        if found is None:
            return False
        feed, first = found
        feed.attach(self, first, greeting(first))
        return True

    def _join_later(self, greeting: Callable[[int], bytes], start: Start) -> None:
        """Join a feed as soon as it is known where to begin, unless the subscriber has left meanwhile."""
        if self._consumer.lifecycle.ending:
            return
        if start.early(self._feeds.hub.log.next) or self._passed:
            self._consumer.end(CloseReason.NOT_READY, NO_LAG)
        elif not self._join(greeting, start):
            self._consumer.end(CloseReason.OVERRUN, NO_LAG)

    @property
    def _passed(self) -> bool:
        """Whether the position that was found means something else by now."""
        return self._era != self._feeds.hub.log.era

    def next(self, *, exact: bool = True) -> int:
        """Position, in the main hub's log, of the first message of which the subscriber was given nothing."""
        if self._feed is None or self.subscription is None:
            return self._feeds.hub.log.next
        return self._feed.in_main(self.subscription.cursor.next(exact=exact))

    def tally(self) -> Tally:
        """What the subscriber was given so far, by this feed and earlier ones."""
        if self._feed is None or self.subscription is None:
            return NOTHING
        return self._before + self.subscription.given() + Tally(0, 0, self._feed.lost - self._lost)

    def behind(self) -> Lag:
        """How far the feed is behind the newest message."""
        return NO_LAG if self._feed is None or self._feed.live else self._feed.lag()

    # What the feed and its hub call

    def joined(self, feed: Feed, subscription: Subscription) -> None:
        """The subscriber is now given the messages of `feed`."""
        self._before = self.tally()
        self._feed, self.subscription, self._lost = feed, subscription, feed.lost

    @property
    def lifecycle(self) -> Lifecycle:
        return self._consumer.lifecycle

    @property
    def deliver(self) -> Callable[[Sequence[Buffer]], int]:
        return self._consumer.deliver

    @property
    def deliver_one(self) -> Callable[[Buffer], int]:
        return self._consumer.deliver_one

    reads = False
    stalls = True

    def await_room(self, error: OSError | None) -> None:
        self._consumer.await_room(error)

    def unsent(self) -> int:
        return self._consumer.unsent()

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        assert self._feed is not None
        return self._consumer.skipped(gap, self._feed.in_main(first), again)

    def end(self, reason: CloseReason, lag: Lag) -> None:
        self._consumer.end(reason, lag + self.behind())

    def fail(self, error: Exception) -> None:
        self._consumer.fail(error)
