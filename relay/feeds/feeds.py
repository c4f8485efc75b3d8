"""All feeds: who gets which, when they encode, and what they may keep.

To encode costs a microsecond or two for each message, where to pass it on costs next to nothing. That must not slow the
others down: it never happens while the hub hands out, and where the reactor has something else to do it takes a
twentieth of the time or so.

Who comes back and wants to go on from some message joins a feed whose log has it. If none has, a feed that begins there
is made of the hub's log, and its subscribers join the others as soon as both have everything. Of each encoding there
are at most as many feeds as `FEEDS`; who would need one more is told what it lost.

What the logs of feeds hold is borrowed from the hub's budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from relay.core.hub import Hub
from relay.core.slow import SlowPolicy
from relay.core.timing import SWEEP, CallSoon, Clock, Every
from relay.feeds.feed import Feed, Member
from relay.wire.encoding import Encoding
from relay.wire.framing import Framing

SHARE = 1 / 24
"""Of the time, for encoding, while the reactor is busy."""
PAUSE = 0.003
"""Seconds between two slices of encoding then: shorter ones cost more for their beginning and end than for encoding."""
IDLE = 0.00005
"""Seconds: if the reactor returns within this time it was idle, and encoding may continue."""
TIME_SLICE = 0.0005
"""Seconds of encoding in one turn, at most, also when nobody else needs the time."""
LOOK = 0.01
"""Seconds until the next look whether somebody takes what was encoded, when nobody did."""
FEEDS = 2
"""Feeds of one encoding at once: that of most subscribers, and one for those who are behind its log."""
PART = 8
"""The log of one feed may hold the buffer's size divided by this."""
KEPT = 5
"""Eighths of the buffer that the hub's log keeps for those who come back."""
LEFT = 2
"""Eighths of the buffer that must be left of what the hub's log may hold behind whoever begins with an old message: one
for the feed that is made for it, and one in which to catch up while messages go on coming."""
OLD = 1.0
"""Seconds that messages which wait to be encoded may be old, and still be given to somebody who wants only new ones."""
LITTLE = 1024 * 1024
"""Bytes of history that the hub's log keeps when nobody may come back for more: they stay in the processor's cache."""
ENOUGH = 2.0
"""Seconds that a full buffer must reach back to be kept for those who come back: in a flood it would be too short for
that, and memory that is not used again at once costs a tenth of the rate (64-byte messages to 10 subscribers)."""


class Feeds:
    """Makes feeds, gives them time, and ends those that nobody needs."""

    def __init__(
        self,
        hub: Hub,
        framing: type[Framing],
        *,
        call_soon: CallSoon,
        call_later: Callable[[float, Callable[[], None]], object],
        clock: Clock,
    ) -> None:
        """`hub`: where the messages come from, framed as `framing` says. `call_soon` and `clock`: the hub's.

        `call_later`: runs a function after so many seconds.
        """
        self.hub = hub
        self.framing = framing
        self.call_soon = call_soon
        self.clock = clock
        self._open: list[Feed] = []
        self._call_later = call_later
        self._scheduled = False
        self._looks_again = False
        self._encoded = self._looked = clock()  # when encoding was last over, and when we last had nothing more to do
        self._used = False  # somebody may come back
        self._size = 0  # bytes published, at the last sweep
        self._loan = hub.budget.loan()
        self._loan.reserve(hub.budget.size - self._kept)
        self._loan.keep(min(LITTLE, self._kept))

    @property
    def _kept(self) -> int:
        return self.hub.budget.size * KEPT // 8

    @property
    def reach(self) -> int:
        """Bytes of the hub's log, back to which somebody may begin, however much more it holds at that moment."""
        budget = self.hub.budget
        return max(0, min(self._kept, budget.limit - budget.size * LEFT // 8))

    def provide(self, encoding: Encoding, wanted: int | None) -> tuple[Feed, int] | None:
        """A feed, made if need be, and the position of the message there to begin with.

        `wanted`: position of the message that is wanted first; None for the next one that is published. If it cannot be
        had, the answer is the oldest after it that can. None if all feeds are behind it and no other may be made.
        """
        self._used = True
        self.hub.flush()
        log = self.hub.log
        feeds = [feed for feed in self._open if feed.encoding is encoding]
        if wanted is None:
            newest = max(feeds, key=lambda feed: feed.next, default=None)
            if newest is None or (newest.lag().seconds > OLD and len(feeds) < FEEDS):
                newest = self._make(encoding, log.next)
            return newest, newest.next
        wanted = max(wanted, log.first)
        fitting = [feed for feed in feeds if wanted <= feed.next]
        for feed in fitting:
            if feed.first <= wanted:
                return feed, wanted
        if len(feeds) < FEEDS:
            first = max(wanted, self.hub.reach(self.reach))
            return self._make(encoding, first), first
        oldest = min(fitting, key=lambda feed: feed.first, default=None)
        return (oldest, oldest.first) if oldest else None

    def _make(self, encoding: Encoding, first: int) -> Feed:
        feed = Feed(self, encoding, first, self.hub.budget.size // PART)
        self._open.append(feed)
        return feed

    def _drop(self, feed: Feed) -> None:
        """Nobody needs it."""
        feed.leave()
        self.remove(feed)

    def remove(self, feed: Feed) -> None:
        """It is over."""
        self._open.remove(feed)

    # When they encode

    def work_soon(self) -> None:
        """There is something to encode."""
        if not self._scheduled:
            self._scheduled = True
            self.call_soon(self._work)

    def _look_later(self) -> None:
        if not self._looks_again:
            self._looks_again = True
            self._call_later(LOOK, self._look_again)

    def _look_again(self) -> None:
        self._looks_again = False
        self.work_soon()

    def _work(self) -> None:
        """Encode for a while, unless others need the time, and hand it out."""
        now = self.clock()
        idle = now - self._looked < IDLE
        since = now - self._encoded
        if not idle and since < PAUSE:
            self._looked = now
            self.call_soon(self._work)
            return
        time = TIME_SLICE if idle else min(since * SHARE, TIME_SLICE)
        self._scheduled = False
        behind = [feed for feed in self._open if not feed.live and not feed.paused]
        working = [feed for feed in behind if not feed.waits]
        if len(working) < len(behind):
            self._look_later()
        for feed in working:
            feed.encode_until(self.clock() + time / len(working))
        self._encoded = self.clock()
        for feed in tuple(self._open):
            feed.hub.flush()
        self._unite()
        self._settle()
        self._looked = self.clock()

    def _unite(self) -> None:
        """Have those who caught up join the others."""
        done: dict[Encoding, Feed] = {}
        for feed in tuple(self._open):
            if feed.live and not feed.hub.lagging:
                other = done.setdefault(feed.encoding, feed)
                if other is not feed:
                    for subscription in feed.hub.subscriptions:
                        feed.hub.detach(subscription)
                        other.attach(cast(Member, subscription.consumer), other.next)
                    self._drop(feed)

    # What they keep

    def _settle(self) -> None:
        """Borrow what their logs hold."""
        self._loan.hold(sum(feed.hub.log.held for feed in self._open))

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """End whoever is stalled, and feeds that nobody needs; `passed` is as for the hub's own sweep."""
        for feed in tuple(self._open):
            feed.hub.sweep(passed)
            if not feed.hub.subscriptions and feed in self._open:
                self._drop(feed)
        self._settle()
        log, size = self.hub.log, self.hub.budget.size
        grown, self._size = log.size - self._size, log.size
        worth = self._used and grown * ENOUGH < size * passed
        self._loan.keep(self._kept if worth else min(LITTLE, self._kept))

    def change(self, slow: SlowPolicy, stall_timeout: float) -> None:
        """Go on with another policy, and another stall timeout in seconds."""
        for feed in self._open:
            feed.hub.change(slow, stall_timeout)
