"""The hub: publishers append to one log, and every subscriber is a cursor into it.

What is published in one turn of the reactor is collected, and `flush` hands it on at the end of the turn, or of the
read if there is only one publisher: it goes into the log as one batch (or a few, where joining large pieces would only
copy them), and each *live* subscriber is given the new bytes with one call. A subscriber that does not take all of them
is *lagging*: its cursor stands at the first byte that it has not taken, and it reads on from there when its transport
says that it can. There is no queue for anyone, so one that never reads costs a cursor, and nobody waits for it.

The log keeps the newest messages up to a limit. A subscriber whose place in it is about to be dropped has *overrun*,
and the slow policy says what happens: `disconnect` ends it; `skip` lets it finish the message that it is in the
middle of and moves it to the newest batch, counting the gap; `block` lets it not come to that, by not reading from
publishers while the slowest subscriber is more than half the limit behind, until it is less than a quarter behind.

A subscriber that takes nothing at all for the stall timeout while something waits for it is ended, whatever the
policy. Its kernel taking bytes, or its peer acknowledging some, is progress. The hub knows nothing of Twisted: a
subscriber is something that takes bytes, the reactor is `call_soon` and `clock`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import accumulate

from relay.core.cursor import Cursor, Tally
from relay.core.log import Log
from relay.core.slow import Intake, Slow
from relay.core.subscription import Subscriber, Subscription
from relay.core.timing import SWEEP, Every
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Frames

READ = 256 * 1024
"""Bytes read from a publisher at once, at most. More did not make a flood faster."""
FLUSH = 256 * 1024
"""Bytes published in one turn that are handed on before its end, while they are still in the processor's cache: with
1 MiB instead, 50 publishers and 50 subscribers were a third slower."""
CATCH_UP = 1024 * 1024
"""Bytes that one lagging subscriber is given in one turn, at most: a fast reader far behind must not own the turn."""
LEAST_CATCH_UP = 64 * 1024
"""The same if so many lag that `TURN` is less: a smaller send would cost more than it saves."""
PIECES = 1023
"""Buffers of the log in one call; one `sendmsg` takes 1,024 (IOV_MAX of Linux and macOS), and there may be a tail."""
LARGE = 64 * 1024
"""Bytes from which on what was published is a batch of its own: to join it with others would copy it."""
TURN = 128 * 1024 * 1024
"""Bytes that one turn hands to all subscribers together, about: 30 ms of `send` at 4 GB/s, so that with up to `MANY`
subscribers nobody waits 100 ms for a turn to end."""
MANY = 1000
"""Subscribers above which a turn takes longer in proportion: smaller reads would cost more than the wait."""
LEAST_READ = 16 * 1024
"""Bytes read from a publisher at once however many subscribers there are: less would only cost more turns."""


class Hub:
    """Hands what publishers publish to all subscribers."""

    def __init__(
        self,
        log: Log,
        intake: Intake,
        *,
        call_soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], float],
        self_delimiting: bool = True,
        read_limit: int = READ,
        slow: Slow = Slow.DISCONNECT,
        stall_timeout: float = 60.0,
        replay: int = 0,
        history: int = 0,
    ) -> None:
        """`call_soon` runs a function in the next turn of the reactor; `clock` is in seconds and never goes back.

        `self_delimiting` is the framing's: without it a batch has to carry where its messages end. `read_limit` is
        in bytes, `stall_timeout` in seconds, 0 for never; `replay` in messages; `history` in bytes of the log that
        are kept though nobody lags.
        """
        self.log = log
        self.slow = slow
        self.stall_timeout = stall_timeout
        self.replay = replay
        self.history = log.limit if replay else history
        self.blocked = False
        self._intake = intake
        self._call_soon = call_soon
        self._clock = clock
        self._self_delimiting = self_delimiting
        self._read_limit = min(read_limit, READ, log.limit // 8)
        self._flush_size = min(FLUSH, log.limit // 8)
        self._pending: list[Frames] = []
        self._pending_size = 0
        self._reads = 0  # how often publishers were read in this turn
        self._readers = 1  # and in the last one that had any
        self._reading = False
        self._end_of_turn_scheduled = False
        self._regulate_scheduled = False
        self._live: dict[Subscription, None] = {}
        self._lagging: dict[Subscription, None] = {}
        self._slowest = 0  # no lagging subscriber stands before this batch

    # What publishers call

    def publish(self, frames: list[Frames]) -> None:
        """Pass on what one read brought to all subscribers, at the end of the turn or before."""
        for data, _, _ in frames:
            self._pending_size += len(data)
        self._pending += frames
        if not self._reading:
            self._count_read()
        if self._pending_size >= self._flush_size:
            self.flush()

    def begin_read(self) -> int:
        """A publisher is read until `end_read`: so many bytes, that the turn ends soon enough for everybody else."""
        self._reading = True
        share = TURN // min(1 + len(self._live), MANY) // self._readers
        return min(self._read_limit, max(LEAST_READ, share))

    def end_read(self) -> None:
        """What was read is published. It need not wait for the end of the turn if nobody else can be read in it."""
        self._reading = False
        if self._intake.alone:
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

    def flush(self) -> None:
        """Put what is pending into the log, and give it to every live subscriber, with one call each."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        size, self._pending_size = self._pending_size, 0
        start = self.log.end
        self._append(pending)
        pieces = [self.log.batch(number).data for number in range(start, self.log.end)]
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
        if self.slow is Slow.BLOCK:
            self._regulate()

    def _append(self, pending: list[Frames]) -> None:
        """Append what was published as few batches, without copying what is large."""
        small: list[Frames] = []
        for frames in pending:
            if len(frames.data) < LARGE:
                small.append(frames)
                continue
            self._append_joined(small)
            self._append_joined([frames])
            small = []
        self._append_joined(small)

    def _append_joined(self, pending: list[Frames]) -> None:
        if not pending:
            return
        if len(pending) == 1:
            data, messages, held = pending[0]
        else:
            data = b"".join([frames.data for frames in pending])
            messages, held = sum([frames.messages for frames in pending]), len(data)
        ends = None if self._self_delimiting else array("I", accumulate(len(frames.data) for frames in pending))
        self.log.append(data, messages, held, self._clock(), ends)

    def _make_room(self, start: int) -> None:
        """Drop what nobody needs; or, while somebody does, what is over the limit, after the slow policy was applied.

        `start` is the first batch that was not delivered yet. Memory that is used again at once is still in the
        processor's cache: 64 KiB messages to 10 subscribers went at 0.86 of a C relay so, and at 0.78 without.
        """
        log = self.log
        if not self._lagging and not self.history:
            log.drop(start)
            return
        limit = log.limit if self._lagging else min(self.history, log.limit)
        if log.held <= limit:
            return
        keep = log.within(limit)
        if keep > self._slowest:
            for subscription in tuple(self._lagging):
                if subscription.cursor.batch < keep:
                    self._overrun(subscription)
            self._find_slowest()
        log.drop(keep)

    # What subscribers call

    def attach(self, subscriber: Subscriber, first: int | None = None, greeting: bytes = b"") -> Subscription:
        """Give a subscriber every message from now on, after as many recent ones as `replay` says.

        Or those from position `first` on, which the log must still have. `greeting` is sent before all of them.
        Nothing is delivered before this returns.
        """
        if first is None:
            first = self.start(self.replay)
        subscription = Subscription(subscriber, Cursor(self.log, first))
        if greeting:
            subscription.cursor.insert(greeting)
        self._lag(subscription)
        self._settle(subscription)
        return subscription

    def start(self, replay: int) -> int:
        """The position at which somebody begins who wants so many recent messages first.

        It is given at most what a quarter of the log holds, so that it does not begin its life close to an overrun.
        """
        self.flush()
        log = self.log
        return max(log.position(log.within(log.limit // 4), 0), log.next - replay) if replay else log.next

    def insert(self, subscription: Subscription, data: bytes) -> None:
        """Send a subscriber what is no message, as soon as it is between two."""
        if subscription.tally is None:
            if subscription.cursor.live:
                subscription.cursor.stand(self.log.end)
                self._lag(subscription)
            subscription.cursor.insert(data)
            self._catch_up(subscription)

    def detach(self, subscription: Subscription) -> Tally:
        """Let go of a subscriber, whose connection is gone; returns what it was given. May be repeated."""
        self._live.pop(subscription, None)
        self._lagging.pop(subscription, None)
        self._regulate_soon()
        return subscription.finish()

    def pause(self, subscription: Subscription) -> None:
        """The transport takes no more for now."""
        subscription.waiting = True
        if subscription.cursor.live and subscription.tally is None:
            subscription.cursor.stand(self.log.end)
            self._lag(subscription)

    def resume(self, subscription: Subscription) -> None:
        """The transport takes bytes again."""
        subscription.waiting = False
        self._catch_up(subscription)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """All subscribers."""
        return (*self._live, *self._lagging)

    @property
    def live(self) -> int:
        """How many subscribers have everything."""
        return len(self._live)

    @property
    def lagging(self) -> int:
        """How many subscribers have something to catch up with."""
        return len(self._lagging)

    # Lagging subscribers

    def _lag(self, subscription: Subscription) -> None:
        """Make a subscriber lagging, at the place where its cursor stands."""
        self._live.pop(subscription, None)
        batch = subscription.cursor.batch
        self._slowest = min(self._slowest, batch) if self._lagging else batch
        self._lagging[subscription] = None
        subscription.moved = True
        subscription.idle = 0.0

    def _fall_behind(self, subscription: Subscription, start: int, taken: int, error: Exception | None = None) -> None:
        """A live subscriber took only part of what begins with batch `start`, or none because of an error."""
        if subscription.tally is None:
            subscription.cursor.stand(start)
            subscription.cursor.advance(taken)
            self._lag(subscription)
            self._wait(subscription, error)

    def _wait(self, subscription: Subscription, error: Exception | None) -> None:
        """A subscriber took less than it was given: wait until it takes more, or end it if we failed."""
        if error is None or isinstance(error, OSError):
            subscription.waiting = True
            subscription.subscriber.await_room(error)
        else:
            self.detach(subscription)
            subscription.subscriber.fail(error)

    def _catch_up(self, subscription: Subscription) -> None:
        """Give a lagging subscriber one turn's worth of what it lacks."""
        if subscription.waiting or subscription not in self._lagging:
            return
        share = min(CATCH_UP, max(LEAST_CATCH_UP, TURN // len(self._lagging)))
        pieces, size = subscription.cursor.read(share, PIECES)
        taken, error = 0, None
        if pieces:
            try:
                taken = subscription.deliver(pieces)
            except Exception as raised:
                error = raised
        if subscription.tally is not None:
            return
        if taken:
            subscription.moved = True
            subscription.cursor.advance(taken)
            self._regulate_soon()
        if taken != size:
            self._wait(subscription, error)
        self._settle(subscription)

    def _settle(self, subscription: Subscription) -> None:
        """After a subscriber took what it was given: it is live if that was all, else another turn is due."""
        if subscription.waiting or subscription.tally is not None:
            return
        if subscription.cursor.at_end:
            del self._lagging[subscription]
            self._live[subscription] = None
            subscription.cursor.live = True
        elif not subscription.scheduled:
            subscription.scheduled = True
            self._call_soon(lambda: self._catch_up_when_due(subscription))

    def _catch_up_when_due(self, subscription: Subscription) -> None:
        subscription.scheduled = False
        self._catch_up(subscription)

    def _find_slowest(self) -> None:
        self._slowest = min((subscription.cursor.batch for subscription in self._lagging), default=self.log.end)

    # Slow policies

    def _overrun(self, subscription: Subscription) -> None:
        if self.slow is not Slow.SKIP:
            self.end(subscription, CloseReason.OVERRUN)
            return
        gap = subscription.cursor.skip(self._clock)
        if gap.messages:
            subscription.subscriber.skipped(gap)

    def _regulate(self) -> None:
        """Block or unblock the publishers, by how far the slowest subscriber is behind."""
        log = self.log
        self._find_slowest()
        behind = log.behind(self._slowest)
        block = self.slow is Slow.BLOCK
        if not self.blocked and block and behind > log.limit // 2:
            self.blocked = True
            slowest = next(one for one in self._lagging if one.cursor.batch == self._slowest)
            self._intake.pause(slowest.cursor.lag(self._clock))
        elif self.blocked and (not block or behind < log.limit // 4):
            self.blocked = False
            self._intake.resume()

    def change(self, slow: Slow, stall_timeout: float) -> None:
        """Go on with another policy."""
        self.slow = slow
        self.stall_timeout = stall_timeout
        self._regulate()

    def _regulate_soon(self) -> None:
        """Look once a turn, however many subscribers moved in it."""
        if self.blocked and not self._regulate_scheduled:
            self._regulate_scheduled = True
            self._call_soon(self._regulate_when_due)

    def _regulate_when_due(self) -> None:
        self._regulate_scheduled = False
        self._regulate()

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """End the subscribers that make no progress; `passed` is the time since the last sweep, in seconds.

        Time that the relay slept itself, stopped or suspended, must not be in it: that is nobody's fault.
        """
        for subscription in tuple(self._lagging):
            unsent = subscription.subscriber.unsent()
            progress = subscription.moved or unsent < subscription.unsent or not subscription.waiting
            subscription.idle = 0.0 if progress else subscription.idle + passed
            subscription.moved = False
            subscription.unsent = unsent
            if 0 < self.stall_timeout <= subscription.idle:
                self.end(subscription, CloseReason.STALLED)

    def end(self, subscription: Subscription, reason: CloseReason) -> None:
        """End a subscriber whether or not it has everything."""
        lag = subscription.cursor.lag(self._clock)
        self.detach(subscription)
        subscription.subscriber.end(reason, lag)
