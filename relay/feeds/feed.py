"""A feed: the log from some position on, in another encoding, for all subscribers that want that encoding.

A feed is a consumer of the main hub, which encodes what it is given. It also has a hub of its own, whose log holds the
encoded messages. So a message is encoded once for all subscribers of the feed, and each is sent the same bytes. A slow
subscriber of a feed is lagging, overrun or stalled by the same rules as any other.

A feed encodes only during the time that `Feeds` gives it. A feed that cannot keep up lags behind the main hub like any
subscriber, and overruns in the end. A feed whose subscribers all lag waits for the one furthest ahead, so that what
they lack stays in the main hub's log, which is larger. One whose subscribers are far apart is parted by `Feeds`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.core.budget import Budget
from relay.core.cursor import Lag
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.place import Messages
from relay.core.state import Lifecycle, State
from relay.core.subscription import Consumer, Subscription
from relay.core.timing import CallSoon, Clock
from relay.wire.close_reason import CloseReason
from relay.wire.encoding import Encoding
from relay.wire.framing import Frames, Framing

STEP = 16
"""Most messages encoded between two looks at the clock."""
STEP_SIZE = 64 * 1024
"""Most bytes of messages encoded between two looks at the clock, unless one message alone is larger. In a small log it
is an eighth of that, so that nobody overruns between two looks."""


class Member(Consumer, Protocol):
    """What a feed needs of its subscribers, besides what a hub needs."""

    def joined(self, feed: Feed, subscription: Subscription) -> None:
        """The member is now a subscriber of `feed`, which knows it as `subscription`."""
        ...


class Owner(Protocol):
    """What a feed needs of the object that made it."""

    @property
    def hub(self) -> Hub:
        """The main hub, from which the messages come."""
        ...

    @property
    def framing(self) -> type[Framing]:
        """How messages are framed in the main hub's log."""
        ...

    @property
    def call_soon(self) -> CallSoon:
        """What the main hub uses to defer calls."""
        ...

    @property
    def clock(self) -> Clock:
        """The main hub's clock."""
        ...

    def work_soon(self) -> None:
        """Give feeds time soon: there is something to encode."""
        ...

    def remove(self, feed: Feed) -> None:
        """Forget the feed: it has ended."""
        ...


class Feed:
    """The messages from some position on, in one encoding."""

    logger = Logger()

    def __init__(self, owner: Owner, encoding: Encoding, first: int, memory: int) -> None:
        """Begin with the message at position `first`, which the main hub's log must still have.

        `memory`: bytes that the log of encoded messages may hold.
        """
        self.encoding = encoding
        self.lifecycle = Lifecycle()
        self.next = first
        """Position of the message that is encoded next."""
        self.lost = 0
        """Messages that the feed, and so each of its subscribers, had to skip (`--slow skip`)."""
        self.paused = False
        """Whether the feed waits for its slowest subscriber (`--slow block`)."""
        self.caught_up = False
        """Whether the feed has ever had everything. Since then messages come at the pace of publishers."""
        self._until = 0.0  # when to stop encoding, in seconds of the owner's clock
        self._owner = owner
        self._main = owner.hub
        self._shift = first - 1  # a message's position in the main hub's log, minus that in ours
        self._shift_from = 1  # the position in our log from which `_shift` holds
        self._final: Lag | None = None  # how far we were behind when the main hub ended us
        budget = Budget(memory)
        budget.loan().keep(memory)
        self.hub = Hub(
            Log(encoding.ends),
            budget,
            self,
            call_soon=owner.call_soon,
            clock=owner.clock,
            slow=self._main.slow,
            stall_timeout=self._main.stall_timeout,
        )
        self.subscription = self._main.attach(self, first)
        self.caught_up = self.live

    @property
    def first(self) -> int:
        """Position, in the main hub's log, of the oldest message with which a subscriber may begin.

        A quarter of what our log may hold is left to it, to catch up in while messages keep coming.
        """
        return max(self.hub.reach(self.hub.budget.limit * 3 // 4), self._shift_from) + self._shift

    def in_main(self, position: int) -> int:
        """The position in the main hub's log of the message at `position` in ours, if we have lost none since."""
        return position + self._shift

    @property
    def live(self) -> bool:
        """Whether the feed has encoded everything."""
        return self.lifecycle.state is State.LIVE

    @property
    def waits(self) -> bool:
        """Whether all its subscribers lag, and even the first of them by over a quarter of what its log may hold."""
        hub = self.hub
        if hub.live or not hub.lagging:
            return False
        first = max(subscription.cursor.place.batch for subscription in hub.subscriptions)
        return hub.log.behind(first) > hub.budget.limit // 4

    @property
    def apart(self) -> bool:
        """Whether a subscriber lags by over half of what the log may hold, so that it might overrun soon."""
        return self.hub.laggards.beyond(self.hub.budget.limit // 2)

    def attach(self, subscriber: Member, position: int, greeting: bytes = b"") -> None:
        """Give a subscriber `greeting`, then all messages from `position` on, which must be from `first` to `next`."""
        subscriber.joined(self, self.hub.attach(subscriber, position - self._shift, greeting))

    def lag(self) -> Lag:
        """How far the feed is behind the newest message."""
        return self._final or self.subscription.lag(self._owner.clock, exact=False)

    def encode_until(self, time: float) -> None:
        """Encode what the main hub has, until all is done or the owner's clock says `time`; a step at least."""
        self._until = time
        try:
            taken = self._encode()
        except Exception as error:
            self._main.detach(self.subscription)
            self.fail(error)
            return
        self._main.took(self.subscription, taken)
        if self.subscription.cursor.at_end:
            self.caught_up = True
            self._main.resume(self.subscription)
        else:
            self._owner.work_soon()

    def _encode(self) -> int:
        """Encode messages while there is time and room. Returns how many bytes of the main hub's log they are."""
        taken, limit = 0, self.hub.budget.limit
        room = limit // 4
        for messages in self.subscription.cursor.messages(STEP, min(STEP_SIZE, limit // 8)):
            room -= self._publish(messages)
            taken += messages.size
            if room <= 0 or self._owner.clock() >= self._until:
                break
        return taken

    def rest(self) -> None:
        """Encode nothing for a while."""
        self.subscription.rest()

    def leave(self) -> None:
        """End the feed: nobody needs it."""
        self._main.detach(self.subscription)
        self.lifecycle.become(State.ENDED)

    # What the hub that has the messages calls

    reads = True
    stalls = False
    counts = True

    def deliver(self, pieces: object) -> int:
        """Take nothing while the main hub delivers to everybody: the feed reads that hub's log when it has time."""
        return 0

    deliver_one = deliver

    def _publish(self, messages: Messages) -> int:
        """Encode messages and publish them in our own hub. Returns the size of the encoded bytes."""
        message, data = self._owner.framing.message, messages.data
        plain = [message(bytes(data[start:stop])) for start, stop in pairwise(messages.bounds)]
        encoded = self.encoding.encode(plain, self.next)
        self.next += len(plain)
        self.hub.publish([Frames(encoded, len(plain), len(encoded))])
        return len(encoded)

    def await_room(self, error: OSError | None) -> None:
        """Ask for time: not everything was encoded."""
        self._owner.work_soon()

    def unsent(self) -> int:
        """Always 0: there is no kernel in between."""
        return 0

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        """Count messages that we lost. No subscriber can begin before the gap, or with a message in it.

        Those that count messages are ended, and learn what they have lost when they come back.
        """
        self.hub.flush()
        for subscription in self.hub.subscriptions:
            if subscription.consumer.counts:
                self.hub.end(subscription, CloseReason.OVERRUN)
        self.next += gap.messages
        self.lost += gap.messages
        self._shift += gap.messages
        self._shift_from = self.hub.log.next
        self.logger.warn(
            "feed {feed} skipped {messages:,} messages: it was {seconds:.1f} s behind",
            feed=self.encoding.name,
            messages=gap.messages,
            seconds=gap.seconds,
        )
        return b""

    def end(self, reason: CloseReason, lag: Lag) -> None:
        """End all our subscribers for `reason`: they can no longer be given what the feed lacks."""
        self._final = lag
        self.lifecycle.become(State.ENDED)
        self._owner.remove(self)
        for subscription in self.hub.subscriptions:
            self.hub.end(subscription, reason)

    def fail(self, error: Exception) -> None:
        """Log that encoding failed, and end all our subscribers."""
        self.logger.failure("feed {feed} failed", failure=Failure(error), feed=self.encoding.name)
        self.end(CloseReason.ERROR, Lag(0, 0, 0.0))

    # What our own hub calls

    alone = False  # asked only at the end of a read, and our hub reads no transport

    def pause(self, lag: Lag) -> None:
        """Stop encoding until the slowest subscriber has caught up. As we then lag, the main hub pauses publishers."""
        self.paused = True
        self._until = 0.0

    def resume(self) -> None:
        """Encode again."""
        self.paused = False
        self._owner.work_soon()
