"""A feed: the log from some position on, in another encoding, for all subscribers who want that.

A feed is a consumer of the hub, which encodes what it is given, and a hub of its own, with a log of its own, of the
encoded messages. So a message is encoded once for all its subscribers, and the same bytes go to each; and whoever is
slow among them is lagging, overrun, or stalled by the same rules as everywhere.

It encodes only while it was given time for it, which `Feeds` does. A feed that cannot keep up lags behind the hub as
any subscriber does, and overruns in the end. One whose subscribers all lag waits for the first of them: so what they
lack is in the hub's log, which is larger.
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
"""Messages encoded between two looks at the clock."""
STEP_SIZE = 64 * 1024
"""Bytes of these, about."""


class Member(Consumer, Protocol):
    """What a feed needs of its subscribers besides what a hub does."""

    def joined(self, feed: Feed, subscription: Subscription) -> None:
        """It is a subscriber of that feed from now on."""
        ...


class Owner(Protocol):
    """What a feed needs of whoever made it."""

    @property
    def hub(self) -> Hub:
        """Where the messages come from."""
        ...

    @property
    def framing(self) -> type[Framing]:
        """How the messages are framed there."""
        ...

    @property
    def call_soon(self) -> CallSoon:
        """As the hub's."""
        ...

    @property
    def clock(self) -> Clock:
        """As the hub's."""
        ...

    def work_soon(self) -> None:
        """There is something to encode: give the feed time for it."""
        ...

    def remove(self, feed: Feed) -> None:
        """The feed is over."""
        ...


class Feed:
    """The messages from some position on, in one encoding."""

    logger = Logger()

    def __init__(self, owner: Owner, encoding: Encoding, first: int, memory: int) -> None:
        """Begin with the message at position `first`, which the hub's log must still have.

        `memory`: bytes that the encoded messages may take.
        """
        self.encoding = encoding
        self.lifecycle = Lifecycle()
        self.next = first
        """Position of the message that is encoded next."""
        self.lost = 0
        """Messages that it was not given, and so none of its subscribers (--slow skip)."""
        self.paused = False
        """Whether it waits for its subscribers (--slow block)."""
        self._until = 0.0  # when the time for encoding is over, in seconds of the owner's clock; 0 while there is none
        self._owner = owner
        self._main = owner.hub
        self._shift = first - 1  # what a message's position in the hub's log is more than that in ours
        self._whole = 1  # from which position of ours on that is so
        self._final: Lag | None = None
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

    @property
    def first(self) -> int:
        """Position of the oldest message with which a subscriber may begin."""
        return max(self.hub.log.first, self._whole) + self._shift

    @property
    def live(self) -> bool:
        """Whether it has encoded everything."""
        return self.lifecycle.state is State.LIVE

    @property
    def waits(self) -> bool:
        """Whether there is enough of what it encoded that none of its subscribers has taken."""
        hub = self.hub
        if hub.live or not hub.lagging:
            return False
        first = max(subscription.cursor.place.batch for subscription in hub.subscriptions)
        return hub.log.behind(first) > hub.budget.limit // 4

    def attach(self, subscriber: Member, position: int, greeting: bytes = b"") -> None:
        """Give a subscriber all messages from that position on, which must be one from `first` to `next`."""
        subscriber.joined(self, self.hub.attach(subscriber, position - self._shift, greeting))

    def lag(self) -> Lag:
        """How far it is behind the hub itself."""
        return self._final or self.subscription.cursor.lag(self._owner.clock, exact=False)

    def encode_until(self, time: float) -> None:
        """Encode what the hub has for it, until all is done or it is that time, in seconds of the owner's clock."""
        self._until = time
        self._main.resume(self.subscription)
        self._until = 0.0

    def leave(self) -> None:
        """Nobody needs it any more."""
        self._main.detach(self.subscription)
        self.lifecycle.become(State.ENDED)

    # What the hub that has the messages calls

    def deliver(self, pieces: object) -> int:
        """Encode what the hub has for us, as far as there is time; in the middle of its handing out there is none.

        The messages come from the log itself, because `pieces` may be cut anywhere.
        """
        if not self._until:
            return 0
        taken, room = 0, self.hub.budget.limit // 4
        following = self._main.log.messages(self.subscription.cursor.place, STEP, STEP_SIZE)
        while room > 0 and self._owner.clock() < self._until and (messages := next(following, None)):
            room -= self._publish(messages)
            taken += messages.size
        return taken

    deliver_one = deliver

    def _publish(self, messages: Messages) -> int:
        """Encode messages, and publish them in our own hub; returns how many bytes they are then."""
        framing = self._owner.framing
        header, trailer = framing.header_size, framing.trailer_size
        data = messages.data
        plain = [bytes(data[start + header : stop - trailer]) for start, stop in pairwise(messages.bounds)]
        encoded = self.encoding.encode(plain, self.next)
        self.next += len(plain)
        self.hub.publish([Frames(encoded, len(plain), len(encoded))])
        return len(encoded)

    def await_room(self, error: OSError | None) -> None:
        """Not everything was encoded."""
        self._owner.work_soon()

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
        self.logger.warn(
            "feed {feed} skipped {messages:,} messages: it was {seconds:.1f} s behind",
            feed=self.encoding.name,
            messages=gap.messages,
            seconds=gap.seconds,
        )

    def end(self, reason: CloseReason, lag: Lag) -> None:
        """The hub let go of us: nobody here can be given what is missing."""
        self._final = lag
        self.lifecycle.become(State.ENDED)
        self._owner.remove(self)
        for subscription in self.hub.subscriptions:
            self.hub.end(subscription, reason)

    def fail(self, error: Exception) -> None:
        """To encode failed."""
        self.logger.failure("feed {feed} failed", failure=Failure(error), feed=self.encoding.name)
        self.end(CloseReason.ERROR, Lag(0, 0, 0.0))

    # What our own hub calls

    alone = False  # nothing of a transport reads us

    def pause(self, lag: Lag) -> None:
        """Encode no more until its slowest subscriber has caught up; the hub then blocks the publishers in time."""
        self.paused = True
        self._until = 0.0

    def resume(self) -> None:
        """Go on."""
        self.paused = False
        self._owner.work_soon()
