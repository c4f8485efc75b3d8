"""All feeds: which subscriber gets which, when they encode, and what they may keep.

Encoding costs a microsecond or two per message, while passing a message on costs next to nothing. Encoding must not
slow down subscribers that need none. So it never happens while the hub delivers, and while the reactor has other work
it takes about a twentieth of the time.

A subscriber that comes back and wants to go on from some message joins a feed whose log has that message. If none has
it, a new feed is made from the hub's log, beginning there; its subscribers join another feed of the same encoding as
soon as both feeds have everything. There are at most `FEEDS` feeds per encoding; a subscriber that would need one more
is told what it lost. How far back the hub's log reaches is up to `relay.core.history`. With a journal a feed can begin
as far back as that reaches, there are at most `FEEDS_WITH_PAST`, and one that would need one more has to come back.

Whoever was given a place has the time to use it, whatever others do. So a feed with slow subscribers is parted: those
that have everything get a feed of their own, and the rest go on at their own pace. If there may be no more feeds, one
that has yet to catch up waits for its slowest subscriber, until it might overrun itself.

What the logs of feeds hold is borrowed from the hub's budget.
"""

from __future__ import annotations

from typing import cast

from relay.core.history import History
from relay.core.hub import Hub
from relay.core.slow import SlowPolicy
from relay.core.subscription import Subscription
from relay.core.timing import SWEEP, CallLater, CallSoon, Clock, Every
from relay.feeds.feed import Feed, Member
from relay.wire.encoding import Encoding
from relay.wire.framing import Framing

SHARE = 1 / 24
"""Share of the time spent encoding while the reactor is busy."""
PAUSE = 0.003
"""Least seconds between two slices of encoding while the reactor is busy. With shorter pauses, and so shorter slices,
starting and ending a slice would cost more than the encoding in it."""
IDLE = 0.00005
"""Seconds: if the reactor returns within this time it was idle, and encoding may continue."""
TIME_SLICE = 0.0005
"""Most seconds of encoding in one turn, even when nobody else needs the time."""
LOOK = 0.01
"""Seconds until feeds that wait for their subscribers are looked at again."""
KINDS = 3
"""Encodings that there are: events, and WebSocket messages with and without a session."""
FEEDS = 3
"""Most feeds per encoding: the one of most subscribers, and two for those that are behind its log, fast and slow."""
FEEDS_WITH_PAST = 8
"""The same with a journal, where subscribers may begin at many places that are far from each other."""
LENT = 4
"""What all of these may hold together is the size of the buffer divided by this."""
PART = LENT * KINDS * FEEDS
"""The log of one feed may hold the size of the buffer divided by this."""
SMALL_PART = 64
"""The same for a feed beyond `FEEDS`: its subscribers are behind, and few."""
OLD = 1.0
"""Seconds that a feed may be behind and still be given to a subscriber that wants only new messages."""


class Feeds:
    """Makes feeds, gives them time to encode, and ends those that nobody needs."""

    def __init__(
        self,
        hub: Hub,
        framing: type[Framing],
        history: History,
        *,
        call_soon: CallSoon,
        call_later: CallLater,
        clock: Clock,
    ) -> None:
        """Start without feeds.

        `hub`: where the messages come from. `framing`: how they are framed there. `history`: of that hub. `call_soon`,
        `clock`: the hub's. `call_later`: the reactor's.
        """
        self.hub = hub
        self.framing = framing
        self.history = history
        self.call_soon = call_soon
        self.clock = clock
        self._open: list[Feed] = []
        self.call_later = call_later
        self._scheduled = False
        self._looks_again = False
        self._last_encoded = clock()  # when a slice of encoding last ended
        self._last_worked = self._last_encoded  # when `_work` last returned to the reactor
        self._loan = hub.budget.loan()
        self._loan.reserve(hub.budget.size // LENT)
        history.keep_little()

    def provide(self, encoding: Encoding, wanted: int | None) -> tuple[Feed, int] | None:
        """A feed for a new subscriber, made if need be, and the position of the message to begin with.

        `wanted`: position of the first message wanted; None for the next one that is published. If `wanted` cannot be
        had, the position returned is the oldest after it that can. Returns None if no more feeds may be made and all
        that there are have yet to reach `wanted`, or no longer have what only the journal has.
        """
        self.history.use()
        self.hub.flush()
        log, oldest = self.hub.log, min(self.hub.log.first, self.history.first)
        feeds = [feed for feed in self._open if feed.encoding is encoding]
        if wanted is None:
            newest = max(feeds, key=lambda feed: feed.next, default=None)
            if newest is None or (newest.lag().seconds > OLD and len(feeds) < FEEDS):
                newest = self._make(encoding, log.next)
            return newest, newest.next
        wanted = max(wanted, oldest)
        fitting = [feed for feed in feeds if wanted <= feed.next]
        for feed in fitting:
            if feed.first <= wanted:
                return feed, wanted
        if self._may_make(encoding):
            first = max(wanted, self.history.first)
            return self._make(encoding, first), first
        if self.hub.past is not None:
            return None
        furthest = min(fitting, key=lambda feed: feed.first, default=None)
        return (furthest, furthest.first) if furthest else None

    def _may_make(self, encoding: Encoding) -> bool:
        """Whether there may be one more feed of that encoding."""
        most = FEEDS if self.hub.past is None else FEEDS_WITH_PAST
        return sum(feed.encoding is encoding for feed in self._open) < most

    def _make(self, encoding: Encoding, first: int) -> Feed:
        part = PART if sum(feed.encoding is encoding for feed in self._open) < FEEDS else SMALL_PART
        feed = Feed(self, encoding, first, self.hub.budget.size // part)
        self._open.append(feed)
        return feed

    def _drop(self, feed: Feed) -> None:
        """End a feed that nobody needs."""
        feed.leave()
        self.remove(feed)

    def remove(self, feed: Feed) -> None:
        """Forget a feed that has ended."""
        self._open.remove(feed)

    # When they encode

    def work_soon(self) -> None:
        """Give feeds time in the next turn: there is something to encode."""
        if not self._scheduled:
            self._scheduled = True
            self.call_soon(self._work)

    def _look_later(self) -> None:
        if not self._looks_again:
            self._looks_again = True
            self.call_later(LOOK, self._look_again)

    def _look_again(self) -> None:
        self._looks_again = False
        self.work_soon()

    def _work(self) -> None:
        """Encode for a while, unless others need the time, and deliver the result."""
        now = self.clock()
        idle = now - self._last_worked < IDLE
        since = now - self._last_encoded
        if not idle and since < PAUSE:
            self._last_worked = now
            self.call_soon(self._work)
            return
        time = TIME_SLICE if idle else min(since * SHARE, TIME_SLICE)
        self._scheduled = False
        behind = [feed for feed in self._open if not feed.live]
        waiting = [feed for feed in behind if feed.paused or feed.waits or (feed.apart and self._spares(feed))]
        working = [feed for feed in behind if feed not in waiting]
        for feed in waiting:
            feed.rest()
        if any(not feed.paused for feed in waiting):
            self._look_later()
        for feed in working:
            feed.encode_until(self.clock() + time / len(working))
        self._last_encoded = self.clock()
        for feed in tuple(self._open):
            feed.hub.flush()
        self._part()
        self._unite()
        self._settle()
        self._last_worked = self.clock()

    def _spares(self, feed: Feed) -> bool:
        """Whether `feed` waits for its slowest subscriber: until it is parted, or until it might overrun itself."""
        if self._may_make(feed.encoding):
            return True
        if self.hub.past is not None or feed.caught_up:
            return False
        log = self.hub.log
        return log.behind(feed.subscription.cursor.needs(log)) < self.history.reach + self.hub.budget.size // 16

    def _part(self) -> None:
        """Give those a feed of their own that have everything in a feed in which others are far behind."""
        for feed in tuple(self._open):
            if feed.hub.live and feed.apart and self._may_make(feed.encoding):
                other = self._make(feed.encoding, feed.next)
                for subscription in feed.hub.subscriptions:
                    if subscription.cursor.live:
                        _move(subscription, feed, other)

    def _unite(self) -> None:
        """Merge feeds of one encoding that have everything and whose subscribers do."""
        done: dict[Encoding, Feed] = {}
        for feed in tuple(self._open):
            if feed.live and not feed.hub.lagging:
                other = done.setdefault(feed.encoding, feed)
                if other is not feed:
                    for subscription in feed.hub.subscriptions:
                        _move(subscription, feed, other)
                    self._drop(feed)

    # What they keep

    def _settle(self) -> None:
        """Borrow as much as the logs of all feeds hold."""
        self._loan.hold(sum(feed.hub.log.held for feed in self._open))

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """End stalled subscribers, and feeds that nobody needs. `passed`: as in `Hub.sweep`."""
        for feed in tuple(self._open):
            feed.hub.sweep(passed)
            if not feed.hub.subscriptions and feed in self._open:
                self._drop(feed)
        self._settle()

    def change(self, slow: SlowPolicy, stall_timeout: float) -> None:
        """Change the slow policy, and the stall timeout in seconds."""
        for feed in self._open:
            feed.hub.change(slow, stall_timeout)


def _move(subscription: Subscription, feed: Feed, other: Feed) -> None:
    """Have a subscriber that has everything in `feed` go on in `other`, which is as far."""
    feed.hub.detach(subscription)
    other.attach(cast(Member, subscription.consumer), other.next)
