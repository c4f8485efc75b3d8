"""The hub: publishers append to one log, and every subscriber is a cursor into it.

Whatever is published in one turn of the reactor is collected, and `flush` delivers it at the end of the turn, or at
the end of the read if there is only one publisher. It goes into the log as one batch (or a few: joining large pieces
would only copy them), and each *live* subscriber is given the new bytes with one call. A subscriber that does not take
all of them is *lagging*: its cursor stands at the first byte that it has not taken, and delivery continues from there
when its transport has room. No subscriber has a queue, so one that never reads costs a cursor, and nobody waits for it
(unless the slow policy is to block).

The log keeps the newest messages, within a budget. A subscriber whose place in the log is about to be dropped has
*overrun*, and the slow policy decides what happens to it (`relay.core.slow`).

A subscriber that takes nothing at all for the stall timeout, while something waits for it, is ended whatever the
policy. The hub knows nothing of Twisted: a subscriber is something that takes bytes, and the reactor is `call_soon` and
`clock`.
"""

from __future__ import annotations

from relay.core.budget import Budget
from relay.core.cursor import Cursor, Tally
from relay.core.log import Log
from relay.core.pending import Pending
from relay.core.place import Place
from relay.core.slow import SLOW_POLICIES, Inflow, SlowPolicy
from relay.core.state import State
from relay.core.subscription import Consumer, Subscription
from relay.core.timing import SWEEP, CallSoon, Clock, Every
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames

MAX_READ = 256 * 1024
"""Most bytes read from a publisher at once. More did not make a flood faster."""
FLUSH = 256 * 1024
"""Bytes published in one turn that are delivered before its end, while they are still in the processor's cache. With
1 MiB instead, 50 publishers and 50 subscribers were a third slower."""
CATCH_UP = 1024 * 1024
"""Most bytes given to one lagging subscriber in one turn: a fast reader far behind must not take over the turn."""
LEAST_CATCH_UP = 64 * 1024
"""Bytes offered to each lagging subscriber in one turn, however many share `TURN`: a smaller send would not pay."""
PIECES = 1023
"""Most buffers of the log in one call: `sendmsg` takes 1,024 (IOV_MAX of Linux and macOS), and a tail may be one."""
TURN = 128 * 1024 * 1024
"""About how many bytes one turn delivers to all subscribers together. That is 30 ms of `send` at 4 GB/s, so that with
up to `MANY` subscribers nobody waits 100 ms for a turn to end."""
MANY = 1000
"""Above this many subscribers, turns grow longer instead of reads smaller: those would cost more than the wait."""
LEAST_READ = 16 * 1024
"""Smallest share of a turn in bytes that a publisher may read, however many there are: less only costs more turns."""


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
        stall_timeout: float = 60.0,
        replay: int = 0,
    ) -> None:
        """Keep messages in `log`, within `budget`.

        `inflow`: all publishers. `pending`: not in the log yet. `max_read`: bytes that one read may bring at most.
        `stall_timeout`: seconds, 0 for never. `replay`: recent messages that a new subscriber starts with.
        """
        self.log = log
        self.budget = budget
        self.slow = slow
        self.stall_timeout = stall_timeout
        self.replay = replay
        self.blocked = False  # whether publishers wait for the slowest subscriber
        self._inflow = inflow
        self._call_soon = call_soon
        self._clock = clock
        self._max_read = min(max_read, MAX_READ, budget.size // 8)
        self._flush_size = min(FLUSH, budget.size // 8)
        self._pending = pending or Pending(self_delimiting=True)
        self._reads = 0  # reads from publishers in this turn
        self._readers = 1  # reads from publishers in the last turn that had any, at least 1
        self._reading = False
        self._end_of_turn_scheduled = False
        self._regulate_scheduled = False
        self._live: dict[Subscription, None] = {}
        self._lagging: dict[Subscription, None] = {}
        self._slowest = 0  # no lagging subscriber stands before this batch
        budget.loan().keep(budget.size if replay else 0)

    # What publishers call

    def publish(self, frames: list[Frames]) -> None:
        """Deliver the frames of one read to all subscribers, by the end of the turn at the latest."""
        pending = self._pending
        for data, _, _ in frames:
            pending.size += len(data)
        pending.frames += frames
        if not self._reading:
            self._count_read()
        if pending.size >= self._flush_size:
            self.flush()

    def begin_read(self) -> int:
        """Note that a read begins. Returns the most bytes that it may bring, so that the turn ends in time."""
        self._reading = True
        share = TURN // min(1 + len(self._live), MANY) // self._readers
        return min(self._max_read, max(LEAST_READ, share))

    def end_read(self) -> None:
        """Note that the read is over. With one publisher, deliver at once: no other can be read in this turn."""
        self._reading = False
        if self._inflow.alone:
            self._reads = 1
            self._end_of_turn()
        else:
            self._count_read()

    def _count_read(self) -> None:
        self._reads += 1
        if not self._end_of_turn_scheduled:
            self._end_of_turn_scheduled = True
            self._call_soon(self._end_of_turn)

    def _end_of_turn(self) -> None:
        self._end_of_turn_scheduled = False
        self._readers, self._reads = max(1, self._reads), 0
        self.flush()

    def flush(self) -> bool:
        """Move what is pending into the log, if it can be, and deliver it. Returns whether nothing is pending then."""
        log, size = self.log, self._pending.size
        start = log.end
        if not size or not self._pending.move_to(log, self._clock):
            return not size
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
        if self.slow.holds:
            self._regulate()
        return True

    def _make_room(self, start: int) -> None:
        """Drop batches: all delivered ones if none is needed, else those over the limit, after the slow policy acted.

        `start`: the first batch that has not been delivered, which stays: one message can be longer than history.
        Dropping early pays because memory that is used again at once is still in the processor's cache: 64 KiB
        messages to 10 subscribers went at 0.86 of a C relay's rate with it, and at 0.78 without.
        """
        log, budget = self.log, self.budget
        if not self._lagging and not budget.history:
            log.drop(start)
            return
        limit = budget.limit if self._lagging else budget.history
        if log.held <= limit:
            return
        keep = min(log.within(limit), start)
        if keep > self._slowest:
            for subscription in tuple(self._lagging):
                if subscription.cursor.place.batch < keep:
                    self.slow.overrun(self, subscription)
            self._find_slowest()
        log.drop(keep)

    # What subscribers call

    def attach(self, consumer: Consumer, first: int | None = None, greeting: bytes = b"") -> Subscription:
        """Deliver every message to `consumer` from now on, but nothing before this returns.

        `first`: position of the message to begin with, which the log must still have; None to begin with the `replay`
        most recent messages. `greeting`: bytes that are sent before all messages.
        """
        self.flush()
        subscription = Subscription(consumer, Cursor(self.log, self.recent(self.replay) if first is None else first))
        if greeting:
            subscription.cursor.insert(greeting)
        self._lag(subscription)
        self._settle(subscription)
        return subscription

    def recent(self, messages: int) -> int:
        """The position from which the newest `messages` messages of the log start.

        There are fewer if they would take more than a quarter of what the log may hold, so that no subscriber begins
        close to an overrun. Pending messages are not in the log: call `flush` first where that matters.
        """
        return max(self.reach(self.budget.limit // 4), self.log.next - messages) if messages else self.log.next

    def reach(self, memory: int) -> int:
        """Position of the oldest message in the newest `memory` bytes of the log; at least the newest batch counts."""
        return self.log.position(Place(self.log.within(memory), 0))

    def insert(self, subscription: Subscription, data: bytes) -> None:
        """Send `data`, which is not a message, as soon as the subscriber is between two messages."""
        if subscription.attached:
            self._stand(subscription)
            subscription.cursor.insert(data)
            self._catch_up(subscription)

    def move(self, subscription: Subscription, position: int, data: bytes) -> None:
        """Finish the message that the subscriber is in the middle of, send `data`, and go on at `position`.

        The log must still have the message at `position`. Messages between there and where the subscriber was are sent
        again, or not at all.
        """
        if subscription.attached:
            self._stand(subscription)
            subscription.cursor.move(position)
            subscription.cursor.insert(data)
            self._slowest = min(self._slowest, subscription.cursor.place.batch)
            self._catch_up(subscription)

    def detach(self, subscription: Subscription) -> Tally:
        """Deliver nothing more to a subscriber. Returns what it was given. May be called again."""
        self._live.pop(subscription, None)
        self._lagging.pop(subscription, None)
        self._regulate_soon()
        return subscription.finish()

    def pause(self, subscription: Subscription) -> None:
        """Note that the subscriber's transport takes no more for now."""
        if not subscription.attached:
            return
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
        self._regulate_soon()

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All attached subscribers."""
        return (*self._live, *self._lagging)

    @property
    def live(self) -> int:
        """How many subscribers have everything."""
        return len(self._live)

    @property
    def lagging(self) -> int:
        """How many subscribers have something to catch up on."""
        return len(self._lagging)

    # Lagging subscribers

    def _stand(self, subscription: Subscription) -> None:
        """Make a live subscriber lagging, at the end of the log."""
        if subscription.cursor.live:
            subscription.cursor.stand(self.log.end)
            self._lag(subscription)

    def _lag(self, subscription: Subscription) -> None:
        """Make a subscriber lagging. Its cursor must stand already."""
        self._live.pop(subscription, None)
        batch = subscription.cursor.place.batch
        self._slowest = min(self._slowest, batch) if self._lagging else batch
        self._lagging[subscription] = None
        subscription.lifecycle.become(State.LAGGING)
        subscription.progress.begin()

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
        if subscription not in self._lagging or subscription.lifecycle.state is State.WAITING:
            return
        share = min(CATCH_UP, max(LEAST_CATCH_UP, TURN // len(self._lagging)))
        pieces, size = subscription.cursor.read(share, PIECES)
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
        self._settle(subscription)

    def _settle(self, subscription: Subscription) -> None:
        """Make a subscriber that has everything live; schedule another turn for one that does not and has room."""
        if not subscription.attached or subscription.lifecycle.state is not State.LAGGING:
            return
        if subscription.cursor.at_end:
            del self._lagging[subscription]
            self._live[subscription] = None
            subscription.cursor.follow_end()
            subscription.lifecycle.become(State.LIVE)
        elif not subscription.scheduled:
            subscription.scheduled = True
            self._call_soon(lambda: self._catch_up_when_due(subscription))

    def _catch_up_when_due(self, subscription: Subscription) -> None:
        subscription.scheduled = False
        self._catch_up(subscription)

    def _find_slowest(self) -> None:
        self._slowest = min((subscription.cursor.place.batch for subscription in self._lagging), default=self.log.end)

    # Slow policies

    def skip(self, subscription: Subscription) -> None:
        """Move a lagging subscriber to the newest batch, and tell its consumer what it lost."""
        cursor = subscription.cursor
        again = cursor.take_back()
        gap = cursor.skip(self._clock)
        if gap.messages or again:
            cursor.notice(subscription.consumer.skipped(gap, cursor.next(), again))

    def _regulate(self) -> None:
        """Pause or resume publishers as the policy decides from how far the slowest subscriber is behind."""
        self._regulate_scheduled = False
        self._find_slowest()
        behind = self.log.behind(self._slowest)
        hold = self.slow.hold(behind, self.budget.limit, self.blocked)
        if hold and not self.blocked:
            self.blocked = True
            slowest = next(one for one in self._lagging if one.cursor.place.batch == self._slowest)
            self._inflow.pause(slowest.cursor.lag(self._clock))
        elif self.blocked and not hold:
            self.blocked = False
            self._inflow.resume()

    def change(self, slow: SlowPolicy, stall_timeout: float) -> None:
        """Change the slow policy, and the stall timeout in seconds."""
        self.slow = slow
        self.stall_timeout = stall_timeout
        self._regulate()

    def _regulate_soon(self) -> None:
        """Regulate once a turn, however many subscribers moved in it."""
        if self.blocked and not self._regulate_scheduled:
            self._regulate_scheduled = True
            self._call_soon(self._regulate)

    # Subscribers that take nothing

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """End subscribers that have made no progress for the stall timeout.

        `passed`: seconds since the last sweep, not counting time in which the relay itself was stopped or suspended,
        which is no subscriber's fault.
        """
        for subscription in tuple(self._lagging):
            waiting = subscription.lifecycle.state is State.WAITING
            subscription.progress.look(waiting, subscription.consumer.unsent(), passed)
            if 0 < self.stall_timeout <= subscription.progress.idle:
                self.end(subscription, CloseReason.STALLED)

    def end(self, subscription: Subscription, reason: CloseReason) -> None:
        """End a subscriber, whether or not it has everything."""
        lag = subscription.cursor.lag(self._clock)
        self.detach(subscription)
        subscription.consumer.end(reason, lag)
