"""The hub: publishers append to one log, and every subscriber is a cursor into it.

Whatever is published in one turn of the reactor is collected, and `flush` delivers it at the end of the turn, or at
the end of the read if there is only one publisher. It goes into the log as one batch or a few, and each *live*
subscriber is given the new bytes with one call. One that does not take all of them is *lagging*: its cursor stands at
the first byte that it has not taken, and delivery continues from there when its transport has room. No subscriber has a
queue, so one that never reads costs a cursor, and nobody waits for it (unless the slow policy is to block).

The log keeps the newest messages, within a budget. A subscriber whose place in the log is about to be dropped has
*overrun*, and the slow policy decides what happens to it (`relay.core.slow`). With a journal it goes on there instead
(`relay.core.past`), and has overrun when it is older than that.

A subscriber that takes nothing at all for the stall timeout, while something waits for it, is ended whatever the
policy. The hub knows no Twisted: a subscriber is what takes bytes, and the reactor is `call_soon` and `clock`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from relay.core.budget import Budget
from relay.core.cursor import Cursor, Tally
from relay.core.laggards import Laggards
from relay.core.log import Log
from relay.core.pace import FLUSH, MAX_READ, PIECES, Pace, share
from relay.core.pending import Pending
from relay.core.place import Place
from relay.core.slow import SLOW_POLICIES, Inflow, SlowPolicy
from relay.core.state import State
from relay.core.subscription import Consumer, Subscription
from relay.core.throttle import Throttle
from relay.core.timing import SWEEP, CallSoon, Clock, Every
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames

if TYPE_CHECKING:
    from relay.core.past import Past


class Hub:
    """Delivers every published message to every subscriber."""

    def __init__(
        self,
        log: Log,
        budget: Budget,
        inflow: Inflow,
        *,
        call_soon: CallSoon,
        clock: Clock,
        pending: Pending | None = None,
        max_read: int = MAX_READ,
        slow: SlowPolicy = SLOW_POLICIES["disconnect"],
        stall_timeout: float = 180.0,
        replay: int = 0,
    ) -> None:
        """Keep messages in `log`, within `budget`.

        `inflow`: all publishers. `pending`: not in the log yet. `max_read`: bytes that one read may bring at most.
        `stall_timeout`: seconds, 0 for never. `replay`: recent messages that a new subscriber starts with.
        """
        self._live: dict[Subscription, None] = {}
        self.laggards = Laggards(log)
        """Those that have something to catch up on."""
        self._aside: dict[Subscription, None] = {}  # live, and given nothing until `admit`
        self.admits = True  # whether new subscribers that do not count messages are given any
        self.log = log
        self.budget = budget
        self.slow = slow
        self.stall_timeout = stall_timeout
        self.replay = replay
        self.past: Past | None = None  # where messages are that the log no longer has; None without a journal
        self.pace = Pace(inflow, call_soon, self.flush, self._live.__len__, min(max_read, MAX_READ, budget.size // 8))
        furthest = partial(self.laggards.furthest, clock)
        self._throttle = Throttle(inflow, call_soon, lambda: self.slow, self._backlog, furthest)
        self.throttles = [self._throttle] * slow.holds
        """What may make publishers wait: asked after each delivery, and when subscribers have moved."""
        self._call_soon = call_soon
        self._clock = clock
        self._flush_size = min(FLUSH, budget.size // 8)
        self.pending = pending or Pending(self_delimiting=True)  # not in the log yet
        budget.loan().keep(budget.size if replay else 0)

    # What publishers call

    def publish(self, frames: list[Frames]) -> None:
        """Deliver the frames of one read to all subscribers, by the end of the turn at the latest."""
        pending = self.pending
        for data, _, _ in frames:
            pending.size += len(data)
        pending.frames += frames
        if not self.pace.reading:
            self.pace.count_read()
        if pending.size >= self._flush_size:
            self.flush()

    def flush(self) -> bool:
        """Move what is pending into the log, if it can be, and deliver it. Returns whether nothing is pending then."""
        if self.pending.size:
            self.deliver(self.pending)
        return not self.pending.size

    def deliver(self, pending: Pending) -> None:
        """Move `pending`, which is not empty, into the log, if it can be, and give it to every live subscriber."""
        log, start, before = self.log, self.log.end, self.log.size
        if not pending.move_to(log, self._clock):
            return
        size = log.size - before
        pieces = [log.batch(number).data for number in range(start, log.end)]
        piece = pieces[0] if len(pieces) == 1 else None
        self._make_room(start)
        for subscription in tuple(self._live):
            try:
                taken = subscription.deliver(pieces) if piece is None else subscription.deliver_one(piece)
            except Exception as error:
                self._fall_behind(subscription, start, 0, error)
            else:
                if taken != size:
                    self._fall_behind(subscription, start, taken)
        for throttle in self.throttles:
            throttle.look()

    def _make_room(self, start: int) -> None:
        """Drop batches: all delivered ones if none is needed, else those over the limit, after the slow policy acted.

        `start`: the first batch that has not been delivered, which stays: one message can be longer than history.
        """
        log, budget = self.log, self.budget
        if not self.laggards and not budget.history:
            log.drop(start)  # so that its memory is used again while it is in the processor's cache
        elif log.held > (limit := budget.limit if self.laggards else budget.history):
            keep = min(log.within(limit), start)
            if keep > self.laggards.slowest:
                for subscription in self.laggards:
                    if subscription.cursor.needs(log) < keep:
                        self._fall_out(subscription)
                self.laggards.find_slowest()
            log.drop(keep)

    def _fall_out(self, subscription: Subscription) -> None:
        """The log is about to drop what a subscriber needs next: the journal may have it."""
        if self.past is None or not self.past.take(subscription, subscription.cursor.next()):
            self.slow.overrun(self, subscription)

    # What subscribers call

    def attach(self, consumer: Consumer, first: int | None = None, greeting: bytes = b"") -> Subscription:
        """Deliver every message to `consumer` from now on, but nothing before this returns.

        `first`: position of the message to begin with, which the log or the past must still have; None to begin with
        the `replay` most recent messages. `greeting`: bytes that are sent before all messages.
        """
        self.flush()
        first = self.recent(self.replay) if first is None else first
        subscription = Subscription(consumer, Cursor(self.log, max(first, self.log.first)))
        self._lag(subscription)
        if first < self.log.first:
            self.go_to(subscription, first)
        if greeting:
            subscription.cursor.insert(greeting)
        self._settle(subscription)
        return subscription

    def recent(self, messages: int) -> int:
        """The position from which the newest `messages` messages start.

        Without a past there are fewer if they would take more than a quarter of what the log may hold, so that no
        subscriber begins close to an overrun. Pending messages are not in the log: call `flush` first where that
        matters.
        """
        return max(self.reach(self.budget.limit // 4), self.log.next - messages) if messages else self.log.next

    def reach(self, memory: int) -> int:
        """Position of the oldest message with which a subscriber may begin.

        It is in the newest `memory` bytes of the log, of which at least the newest batch counts, or in the past.
        """
        first = self.log.position(Place(self.log.within(memory), 0))
        return first if self.past is None else min(first, self.past.reader.begin)

    def insert(self, subscription: Subscription, data: bytes) -> None:
        """Send `data`, which is not a message, as soon as the subscriber is between two messages."""
        self.move(subscription, None, data)

    def move(self, subscription: Subscription, position: int | None, data: bytes) -> None:
        """Finish the message that the subscriber is in the middle of, send `data`, and go on at `position`.

        The log or the past must still have the message at `position`; None: where it is. Messages between there and
        where the subscriber was are sent again, or not at all.
        """
        if subscription.attached:
            self._stand(subscription)
            if position is not None:
                self.go_to(subscription, position)
            subscription.cursor.insert(data)
            self._catch_up(subscription)

    def go_to(self, subscription: Subscription, position: int) -> None:
        """Have a lagging subscriber stand at the message at `position`, in the log or in the past."""
        if position < self.log.first:
            taken = self.past is not None and self.past.take(subscription, position)
            assert taken, "a subscriber was sent where no message is"
        else:
            subscription.leave_past()
            subscription.cursor.move(position, self.log)
            self.laggards.moved(subscription)

    def detach(self, subscription: Subscription) -> Tally:
        """Deliver nothing more to a subscriber. Returns what it was given. May be called again."""
        self._let_in(subscription)
        self._live.pop(subscription, None)
        self.laggards.remove(subscription)
        for throttle in self.throttles:
            throttle.look_soon()
        return subscription.finish()

    def pause(self, subscription: Subscription) -> None:
        """Note that the subscriber's transport takes no more for now."""
        if subscription.attached:
            self._stand(subscription)
            if subscription.lifecycle.state is State.LAGGING:
                subscription.lifecycle.become(State.WAITING)

    def resume(self, subscription: Subscription) -> None:
        """Note that the subscriber's transport takes bytes again, and deliver some."""
        if subscription.attached and subscription.lifecycle.state is State.WAITING:
            subscription.lifecycle.become(State.LAGGING)
        self._catch_up(subscription)

    def took(self, subscription: Subscription, size: int) -> None:
        """Note that a lagging subscriber took `size` bytes. One that reads the log by itself calls this, too."""
        subscription.progress.moved = True
        subscription.cursor.advance(size)
        for throttle in self.throttles:
            throttle.look_soon()

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All attached subscribers."""
        return (*self._live, *self.laggards, *self._aside)

    @property
    def blocked(self) -> bool:
        """Whether publishers wait for the slowest subscriber."""
        return self._throttle.holds

    @property
    def live(self) -> int:
        """How many subscribers have everything."""
        return len(self._live) + len(self._aside)

    @property
    def lagging(self) -> int:
        """How many subscribers have something to catch up on."""
        return len(self.laggards)

    def admit(self) -> None:
        """Give those who do not count messages all that comes from now on."""
        self.admits = True
        for subscription in tuple(self._aside):
            self._let_in(subscription)

    def _let_in(self, subscription: Subscription) -> None:
        if subscription in self._aside:
            del self._aside[subscription]
            subscription.pass_over(self.log)
            self._live[subscription] = None

    # Lagging subscribers

    def _stand(self, subscription: Subscription) -> None:
        """Make a live subscriber lagging, at the end of the log."""
        if subscription.cursor.live:
            self._let_in(subscription)
            subscription.cursor.stand(self.log.end)
            self._lag(subscription)

    def _lag(self, subscription: Subscription) -> None:
        """Make a subscriber lagging. Its cursor must stand already."""
        self._live.pop(subscription, None)
        self.laggards.add(subscription)

    def _fall_behind(self, subscription: Subscription, start: int, taken: int, error: Exception | None = None) -> None:
        """A live subscriber took only `taken` bytes of what begins with batch `start`, or none because of `error`."""
        if subscription.attached:
            subscription.cursor.stand(start)
            subscription.cursor.advance(taken)
            self._lag(subscription)
            self._wait(subscription, error)

    def _wait(self, subscription: Subscription, error: Exception | None) -> None:
        """Wait until a subscriber that took too little takes more; end it if `error` is our fault, not the socket's."""
        if error is None or isinstance(error, OSError):
            self.pause(subscription)
            subscription.consumer.await_room(error)
        else:
            self.detach(subscription)
            subscription.consumer.fail(error)

    def _catch_up(self, subscription: Subscription) -> None:
        """Give a lagging subscriber its share of one turn."""
        if subscription not in self.laggards or subscription.lifecycle.state is State.WAITING:
            return
        pieces, size = subscription.cursor.read(share(len(self.laggards)), PIECES)
        taken, error = 0, None
        if pieces:
            try:
                taken = subscription.deliver(pieces)
            except Exception as raised:
                error = raised
        if not subscription.attached:
            return
        if taken:
            self.took(subscription, taken)
        if taken != size:
            self._wait(subscription, error)
        if not subscription.consumer.reads:
            subscription.rest()
        self._settle(subscription)

    def _settle(self, subscription: Subscription) -> None:
        """Make a subscriber that has everything live; schedule another turn for one that does not and has room."""
        if not subscription.attached or subscription.lifecycle.state is not State.LAGGING:
            return
        if subscription.cursor.at_end and subscription.reading is not None:
            subscription.reading.go_on()
        elif subscription.cursor.at_end:
            silent = not (self.admits or subscription.consumer.counts)
            if silent and subscription.given().messages:  # it would not be told of those that it is not given now
                self.end(subscription, CloseReason.NOT_READY)
                return
            self.laggards.remove(subscription)
            (self._aside if silent else self._live)[subscription] = None
            subscription.cursor.follow_end()
            subscription.lifecycle.become(State.LIVE)
        else:
            self.schedule(subscription)

    def schedule(self, subscription: Subscription) -> None:
        """Give a lagging subscriber its share of the next turn."""
        if not subscription.scheduled:
            subscription.scheduled = True
            self._call_soon(lambda: self._catch_up_when_due(subscription))

    def _catch_up_when_due(self, subscription: Subscription) -> None:
        subscription.scheduled = False
        self._catch_up(subscription)

    # Slow policies

    def skip(self, subscription: Subscription) -> None:
        """Move a lagging subscriber to the newest batch, and tell its consumer what it lost."""
        cursor = subscription.cursor
        again = cursor.take_back()
        gap = cursor.skip(self.log, subscription.lag(self._clock))
        self.laggards.moved(subscription)
        if subscription.reading is not None:
            subscription.leave_past()
            self.schedule(subscription)
        if gap.messages or again:
            cursor.notice(subscription.consumer.skipped(gap, cursor.next(), again))

    def _backlog(self) -> tuple[int, int]:
        """How many bytes are kept for the slowest subscriber, in the log or in the past, and how many may surely be."""
        if self.past is not None:
            return self.past.backlog(), self.past.reader.limit
        return self.log.behind(self.laggards.find_slowest()), self.budget.least

    def change(self, slow: SlowPolicy, stall_timeout: float) -> None:
        """Change the slow policy, and the stall timeout in seconds."""
        self.slow = slow
        self.stall_timeout = stall_timeout
        self._throttle.look()
        self.throttles = [one for one in self.throttles if one is not self._throttle] + [self._throttle] * slow.holds

    # Subscribers that take nothing

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """End subscribers that have made no progress for the stall timeout.

        `passed`: seconds since the last sweep, not counting time in which the relay itself was stopped or suspended,
        which is no subscriber's fault.
        """
        for subscription in self.laggards.stalled(self.stall_timeout, passed):
            self.end(subscription, CloseReason.STALLED)

    def end(self, subscription: Subscription, reason: CloseReason) -> None:
        """End a subscriber, whether or not it has everything."""
        lag = subscription.lag(self._clock)
        self.detach(subscription)
        subscription.consumer.end(reason, lag)
