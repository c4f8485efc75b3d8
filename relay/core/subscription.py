"""A subscriber as the hub sees it: what the hub asks of its connection, and what it remembers about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.cursor import Cursor, Lag, Tally
from relay.core.log import Log
from relay.core.state import Lifecycle, State
from relay.core.timing import Clock
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer


class Consumer(Protocol):
    """What the hub needs of a taker of messages: a subscriber's connection, or a feed. Only the hub calls these."""

    @property
    def lifecycle(self) -> Lifecycle:
        """The consumer's state. The hub changes it among LAGGING, LIVE and WAITING."""
        ...

    @property
    def deliver(self) -> Callable[[Sequence[Buffer]], int]:
        """Takes buffers, in order, and returns how many bytes it took: `socket.sendmsg`, or what behaves like it.

        Errors are those of `sendmsg` too. The hub reads this property once, when the consumer is attached.
        """
        ...

    @property
    def deliver_one(self) -> Callable[[Buffer], int]:
        """Like `deliver` for one buffer, the usual case: `socket.send`, which is a bit faster. Also read once."""
        ...

    @property
    def reads(self) -> bool:
        """Whether it takes nothing from `deliver`, but reads the log when it has time, and tells `Hub.took`."""
        ...

    @property
    def stalls(self) -> bool:
        """Whether it is ended when it takes nothing for the stall timeout.

        A feed and a worker are not: with `--slow block` they take nothing while they wait for subscribers of their own,
        and end those.
        """
        ...

    @property
    def counts(self) -> bool:
        """Whether it counts messages, so that none may be left out untold."""
        ...

    def await_room(self, error: OSError | None) -> None:
        """The last delivery took fewer bytes than it was given, or failed with `error`.

        The consumer must call `Hub.resume` when it can take more, or `Hub.detach` if it never can.
        """
        ...

    def unsent(self) -> int:
        """Bytes in the kernel that the peer has not acknowledged; 0 where that cannot be known."""
        ...

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        """The subscriber has lost messages. Returns what to send about it before the next one; empty for nothing.

        `gap`: how many, and how old the first of them is. `first`: position of the message that it goes on with.
        `again`: whether nothing was sent since the last gap, so that this one continues it. What was returned for that
        one has been taken back.
        """
        ...

    def end(self, reason: CloseReason, lag: Lag) -> None:
        """Cut the connection for `reason`; it was `lag` behind. The hub has already detached the subscriber."""
        ...

    def fail(self, error: Exception) -> None:
        """Cut the connection: delivery failed with `error`, our fault. The hub has already detached the subscriber."""
        ...


class Progress:
    """Whether a lagging subscriber takes anything at all: a clock that runs only while its transport takes nothing.

    Progress means that our kernel took bytes for it, or that its peer acknowledged some of those in the kernel.
    """

    __slots__ = ("_unsent", "idle", "moved")

    def __init__(self) -> None:
        self.moved = True
        """Whether the subscriber took something since the last look."""
        self.idle = 0.0
        """Seconds without progress."""
        self._unsent = 0  # bytes, at the last look

    def begin(self) -> None:
        """Start the clock anew: something waits for the subscriber from now on."""
        self.moved = True
        self.idle = 0.0

    def look(self, waiting: bool, unsent: int, passed: float) -> None:
        """Add up the time without progress.

        `waiting`: whether its transport takes nothing. `unsent`: bytes in the kernel that its peer has not
        acknowledged. `passed`: seconds since the last look.
        """
        progress = self.moved or unsent < self._unsent or not waiting
        self.idle = 0.0 if progress else self.idle + passed
        self.moved = False
        self._unsent = unsent


class Reading(Protocol):
    """What the hub asks about a subscriber that reads the journal (see `relay.core.past`)."""

    def behind(self) -> Lag:
        """How far what it still needs from the disk is behind the newest message."""
        ...

    def rest(self) -> None:
        """It takes nothing for now."""
        ...

    def go_on(self) -> None:
        """It has taken all that it was given."""
        ...

    def leave(self) -> None:
        """It needs nothing from the disk any more."""
        ...


class Subscription:
    """One subscriber of a hub. `Hub.attach` returns it, other calls of the hub take it, and only the hub changes it."""

    __slots__ = (
        "consumer",
        "cursor",
        "deliver",
        "deliver_one",
        "lifecycle",
        "progress",
        "reading",
        "scheduled",
        "tally",
    )

    def __init__(self, consumer: Consumer, cursor: Cursor) -> None:
        self.consumer = consumer
        self.lifecycle = consumer.lifecycle
        self.deliver = consumer.deliver
        self.deliver_one = consumer.deliver_one
        self.cursor = cursor
        self.progress = Progress()
        self.reading: Reading | None = None
        """Its way through the journal; None while it has a place in the hub's log."""
        self.scheduled = False  # whether a turn of catching up is due
        self.tally: Tally | None = None
        """What the subscriber was given, once it is detached; None until then."""

    def lag(self, clock: Clock, *, exact: bool = True) -> Lag:
        """How far it is behind; `exact` as in `Cursor.lag`. In the journal, bytes and seconds are estimates."""
        lag = self.cursor.lag(clock, exact=exact)
        return lag if self.reading is None else lag + self.reading.behind()

    def pass_over(self, log: Log) -> None:
        """Note that a live subscriber was given nothing of what came into `log` so far."""
        self.cursor = Cursor(log, log.next)
        self.cursor.follow_end()

    def rest(self) -> None:
        """If it takes nothing for now, do without the memory for what was read from the journal for it."""
        if self.reading is not None and self.lifecycle.state is State.WAITING:
            self.reading.rest()

    def leave_past(self) -> None:
        """Need nothing from the journal any more."""
        if self.reading is not None:
            self.reading.leave()

    @property
    def attached(self) -> bool:
        """Whether the hub delivers to it."""
        return self.tally is None

    def given(self) -> Tally:
        """What the subscriber was given so far: exact once detached; until then cheap, and short by at most a batch."""
        return self.tally or self.cursor.tally(exact=False)

    def finish(self) -> Tally:
        """Record what the subscriber was given. From now on it is given nothing, even by a flush already under way."""
        if self.tally is None:
            self.tally = self.cursor.tally()
            self.deliver = self.deliver_one = _deliver_nothing
            self.leave_past()
        return self.tally


def _deliver_nothing(data: object) -> int:
    """Stands in for `deliver` and `deliver_one` once a subscriber is detached."""
    return 0
