"""Feeds: the log in other encodings, for subscribers that are no TCP clients.

A feed is a subscriber of the hub, which encodes what it is given, and a hub of its own, with a log of its own, for all
who want that encoding. So a message is encoded once for all of them, and the same bytes go to each; and whoever is slow
among them is lagging, overrun, or stalled by the same rules as everywhere.

To encode costs a microsecond or two for each message, where to pass it on costs next to nothing. That must not slow the
others down: it never happens while the hub hands out, and where the reactor has something else to do it takes a
twentieth of the time or so. A feed that cannot keep up lags behind the hub as any subscriber does, and overruns in the
end. One whose subscribers all lag waits for the first of them: so what they lack is in the hub's log, which is larger.

Who comes back and wants to go on from some message joins a feed whose log has it. If none has, a feed that begins there
is made of the hub's log, and its subscribers join the others as soon as both have everything. Of each encoding there
are as many feeds as that at most; who would need one more is told what it lost.

What the logs of feeds hold is taken off the limit of the hub's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol, cast

from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.core.cursor import Lag
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.slow import Slow
from relay.core.subscription import Subscriber, Subscription
from relay.core.timing import SWEEP, Every
from relay.wire.close_reason import CloseReason
from relay.wire.encoding import Encoding
from relay.wire.framing import Buffer, Frames, Framing

SHARE = 1 / 24
"""Of the time, for encoding, while the reactor is busy."""
PAUSE = 0.003
"""Seconds between two slices of encoding then: shorter ones cost more for their beginning and end than for encoding."""
IDLE = 0.00005
"""Seconds in which the reactor comes back if there is nothing else to do: then it need not be left in peace."""
SLICE = 0.0005
"""Seconds that one slice may take, whatever the others do."""
STEP = 16
"""Messages encoded between two looks at the clock."""
PIECE = 64 * 1024
"""Bytes of these, about."""
LOOK = 0.01
"""Seconds until it is looked again whether somebody takes what was encoded, where nobody did."""
FEEDS = 2
"""Feeds of one encoding at once: that of most subscribers, and one for those who are behind its log."""
PART = 8
"""Such a part of the buffer is the most that the log of a feed may hold."""
KEPT = 5
"""Eighths of the buffer that are kept for those who come back: one who begins with the oldest message, and whose feed
takes its part of the buffer, must not be overrun by the next that is published."""
OLD = 1.0
"""Seconds that messages may be old which somebody is given who only wants new ones, because they wait to be encoded."""
LITTLE = 1024 * 1024
"""Bytes of history that the hub's log keeps when nobody may come back for more: they stay in the processor's cache."""
ENOUGH = 2.0
"""Seconds that a full buffer must reach back to be kept for those who come back: in a flood it would be too short for
that, and memory that is not used again at once costs a tenth of the rate (64-byte messages to 10 subscribers)."""


class Member(Subscriber, Protocol):
    """What a feed needs of its subscribers besides what a hub does."""

    def joined(self, feed: Feed, subscription: Subscription) -> None:
        """It is a subscriber of that feed from now on."""
        ...


class Feed:
    """The messages from some position on, in one encoding."""

    log = Logger()

    def __init__(self, feeds: Feeds, encoding: Encoding, first: int) -> None:
        self.encoding = encoding
        self.next = first
        """Position of the message that is encoded next."""
        self.lost = 0
        """Messages that it was not given, and so none of its subscribers (--slow skip)."""
        self.until = 0.0
        """When the time for encoding is over, in seconds of the feeds' clock; 0 while there is none."""
        self.paused = False
        """Whether it waits for its subscribers (--slow block)."""
        self._feeds = feeds
        self._main = feeds.hub
        self._shift = first - 1  # what a message's position in the hub's log is more than that in ours
        self._whole = 1  # from which position of ours on that is so
        self._final: Lag | None = None
        limit = feeds.limit // PART
        self.hub = Hub(
            Log(limit, encoding.ends),
            self,
            call_soon=feeds.call_soon,
            clock=feeds.clock,
            slow=self._main.slow,
            stall_timeout=self._main.stall_timeout,
            history=limit,
        )
        self.subscription = self._main.attach(self, first)

    @property
    def first(self) -> int:
        """Position of the oldest message with which a subscriber may begin."""
        return max(self.hub.log.first, self._whole) + self._shift

    @property
    def live(self) -> bool:
        """Whether it has encoded everything."""
        return self.subscription.cursor.live

    def attach(self, subscriber: Member, position: int, greeting: bytes = b"") -> None:
        """Give a subscriber all messages from that position on, which must be one from `first` to `next`."""
        subscriber.joined(self, self.hub.attach(subscriber, position - self._shift, greeting))

    @property
    def waits(self) -> bool:
        """Whether there is enough of what it encoded that none of its subscribers has taken."""
        hub = self.hub
        if hub.live or not hub.lagging:
            return False
        first = max(subscription.cursor.batch for subscription in hub.subscriptions)
        return hub.log.behind(first) > hub.log.limit // 4

    def lag(self) -> Lag:
        """How far it is behind the hub itself."""
        return self._final or self.subscription.cursor.lag(self._feeds.clock, exact=False)

    # What the hub calls

    def deliver(self, pieces: object) -> int:
        """Encode what the hub has for us, as far as there is time; in the middle of its handing out there is none."""
        cursor = self.subscription.cursor
        if cursor.live or not self.until:
            return 0
        log, number, offset = self._main.log, cursor.batch, cursor.offset
        taken, room = 0, self.hub.log.limit // 4
        while number < log.end and room > 0 and self._feeds.clock() < self.until:
            ends = log.ends(number)
            index = bisect_right(ends, offset)
            stop = min(index + STEP, len(ends))
            while stop > index + 1 and ends[stop - 1] - offset > PIECE:
                stop -= (stop - index) // 2
            data = log.batch(number).data
            room -= self._publish(data, [offset, *ends[index:stop]])
            taken += ends[stop - 1] - offset
            offset = ends[stop - 1]
            if offset == len(data):
                number, offset = number + 1, 0
        return taken

    def _publish(self, data: Buffer, bounds: list[int]) -> int:
        """Encode the messages whose frames begin and end there; returns how many bytes they are then."""
        before, after = self._feeds.framing.before, self._feeds.framing.after
        messages = [bytes(data[start + before : stop - after]) for start, stop in pairwise(bounds)]
        encoded = self.encoding.encode(messages, self.next)
        self.next += len(messages)
        self.hub.publish([Frames(encoded, len(messages), len(encoded))])
        return len(encoded)

    deliver_one = deliver

    def await_room(self, error: OSError | None) -> None:
        """Not everything was taken."""
        self._feeds.work_soon()

    def unsent(self) -> int:
        """There is no kernel in between."""
        return 0

    def skipped(self, gap: Lag) -> None:
        """The hub went on without us: nobody can begin with what is missing, or before it."""
        self.hub.flush()
        self.next += gap.messages
        self.lost += gap.messages
        self._shift += gap.messages
        self._whole = self.hub.log.next
        self.log.warn(
            "feed {feed} skipped {messages:,} messages: it was {seconds:.1f} s behind",
            feed=self.encoding.name,
            messages=gap.messages,
            seconds=gap.seconds,
        )

    def end(self, reason: CloseReason, lag: Lag) -> None:
        """The hub let go of us: nobody here can be given what is missing."""
        self._final = lag
        self._feeds.remove(self)
        for subscription in self.hub.subscriptions:
            self.hub.end(subscription, reason)

    def fail(self, error: Exception) -> None:
        """To encode failed."""
        self.log.failure("feed {feed} failed", failure=Failure(error), feed=self.encoding.name)
        self.end(CloseReason.ERROR, Lag(0, 0, 0.0))

    # What our own hub calls

    alone = False  # nothing of a transport reads us

    def pause(self, lag: Lag) -> None:
        """Encode no more until its slowest subscriber has caught up; the hub then blocks the publishers in time."""
        self.paused = True
        self.until = 0.0

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self._feeds.work_soon()


class Feeds:
    """All feeds, and when they encode."""

    def __init__(
        self,
        hub: Hub,
        framing: type[Framing],
        *,
        call_soon: Callable[[Callable[[], None]], object],
        call_later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float],
    ) -> None:
        """`call_soon` and `clock` are the hub's; `call_later` is told seconds."""
        self.hub = hub
        self.framing = framing
        self.call_soon = call_soon
        self.clock = clock
        self.limit = hub.log.limit
        """Bytes of the buffer: what the hub's log may hold, and these hold of it."""
        self._open: list[Feed] = []
        self._call_later = call_later
        self._scheduled = False
        self._looks_again = False
        self._encoded = self._looked = clock()  # when encoding was last over, and when we last had nothing more to do
        self._used = False  # somebody may come back
        self._size = 0  # bytes published, at the last sweep
        self._kept = self.limit * KEPT // 8
        hub.history = min(max(hub.history, LITTLE), self._kept)

    @property
    def held(self) -> int:
        """Memory that the logs of all feeds take, in bytes."""
        return sum(feed.hub.log.held for feed in self._open)

    def find(self, encoding: Encoding, wanted: int | None) -> tuple[Feed, int] | None:
        """A feed, and the position there to begin with: the one that is wanted if it can be had, else the next after.

        None for the newest. If all feeds are behind what is wanted, and no other may be made, there is none.
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
            return self._make(encoding, wanted), wanted
        oldest = min(fitting, key=lambda feed: feed.first, default=None)
        return (oldest, oldest.first) if oldest else None

    def _make(self, encoding: Encoding, first: int) -> Feed:
        feed = Feed(self, encoding, first)
        self._open.append(feed)
        return feed

    def _drop(self, feed: Feed) -> None:
        """Nobody needs it."""
        self.hub.detach(feed.subscription)
        self.remove(feed)

    def remove(self, feed: Feed) -> None:
        """It is over."""
        self._open.remove(feed)

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
        time = SLICE if idle else min(since * SHARE, SLICE)
        self._scheduled = False
        behind = [feed for feed in self._open if not feed.live and not feed.paused]
        working = [feed for feed in behind if not feed.waits]
        if len(working) < len(behind):
            self._look_later()
        for feed in working:
            feed.until = self.clock() + time / len(working)
            self.hub.resume(feed.subscription)
            feed.until = 0.0
        self._encoded = self.clock()
        for feed in tuple(self._open):
            feed.hub.flush()
        self._unite()
        self.hub.log.limit = self.limit - self.held
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
                        other.attach(cast(Member, subscription.subscriber), other.next)
                    self._drop(feed)

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """End whoever is stalled, and feeds that nobody needs; `passed` is as for the hub's own sweep."""
        for feed in tuple(self._open):
            feed.hub.sweep(passed)
            if not feed.hub.subscriptions and feed in self._open:
                self._drop(feed)
        self.hub.log.limit = self.limit - self.held
        grown, self._size = self.hub.log.size - self._size, self.hub.log.size
        if not self.hub.replay:
            worth = self._used and grown * ENOUGH < self.limit * passed
            self.hub.history = self._kept if worth else min(LITTLE, self._kept)

    def change(self, slow: Slow, stall_timeout: float) -> None:
        """Go on with another policy."""
        for feed in self._open:
            feed.hub.change(slow, stall_timeout)
