"""A subscriber as the hub has it: what the hub asks of its connection, and what it remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.cursor import Cursor, Lag, Tally
from relay.core.state import Lifecycle
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer


class Consumer(Protocol):
    """What the hub needs of whoever takes messages: a subscriber's connection, or a feed. Only the hub calls these."""

    @property
    def lifecycle(self) -> Lifecycle:
        """Its state. The hub changes it between LAGGING, LIVE and WAITING."""
        ...

    @property
    def deliver(self) -> Callable[[Sequence[Buffer]], int]:
        """Takes bytes, in order, and returns how many: `socket.sendmsg`, or what behaves like it, errors included.

        Asked for once, as `deliver_one` is, when the consumer is attached.
        """
        ...

    @property
    def deliver_one(self) -> Callable[[Buffer], int]:
        """The same for bytes in one piece, which is most of what is delivered: `socket.send`, which is a bit faster."""
        ...

    def await_room(self, error: OSError | None) -> None:
        """The last delivery took fewer bytes than it was given, or failed with `error`.

        `Hub.resume` must follow when more can go, or `Hub.detach` if none ever can.
        """
        ...

    def unsent(self) -> int:
        """Bytes that the kernel holds for the peer, unacknowledged; 0 where that cannot be known."""
        ...

    def skipped(self, gap: Lag) -> None:
        """The subscriber has lost messages: `gap` says how many, and how far back the first of them was."""
        ...

    def end(self, reason: CloseReason, lag: Lag) -> None:
        """Cut the connection. The hub has let go of the subscriber already, here and in `fail`."""
        ...

    def fail(self, error: Exception) -> None:
        """Cut the connection: a delivery failed with what is no error of a socket, so it is our fault."""
        ...


class Progress:
    """Whether a subscriber takes anything at all: a clock that runs only while something waits for it in vain.

    Progress is bytes that its kernel took, or bytes in the kernel that got fewer because its peer acknowledged them.
    """

    __slots__ = ("_unsent", "idle", "moved")

    def __init__(self) -> None:
        self.moved = True
        """It took something since the last look."""
        self.idle = 0.0
        """Seconds without progress."""
        self._unsent = 0  # at the last look

    def begin(self) -> None:
        """Something waits for it from now on."""
        self.moved = True
        self.idle = 0.0

    def look(self, waiting: bool, unsent: int, passed: float) -> None:
        """Look at it again.

        `waiting`: whether its transport takes nothing. `unsent`: bytes that its kernel holds. `passed`: seconds since
        the last look.
        """
        progress = self.moved or unsent < self._unsent or not waiting
        self.idle = 0.0 if progress else self.idle + passed
        self.moved = False
        self._unsent = unsent


class Subscription:
    """One attached subscriber. `Hub.attach` returns it, its holder names itself with it, only the hub changes it."""

    __slots__ = ("consumer", "cursor", "deliver", "deliver_one", "lifecycle", "progress", "scheduled", "tally")

    def __init__(self, consumer: Consumer, cursor: Cursor) -> None:
        self.consumer = consumer
        self.lifecycle = consumer.lifecycle
        self.deliver = consumer.deliver
        self.deliver_one = consumer.deliver_one
        self.cursor = cursor
        self.progress = Progress()
        self.scheduled = False  # a turn of catching up is due
        self.tally: Tally | None = None
        """What it was given, once it is detached: None until then."""

    @property
    def attached(self) -> bool:
        """Whether it is given messages."""
        return self.tally is None

    def given(self) -> Tally:
        """What it was given so far: exactly, once it is detached, and before that cheaply, at most a batch less."""
        return self.tally or self.cursor.tally(exact=False)

    def finish(self) -> Tally:
        """Take down what it was given; from now on nothing is, even by a flush that began before."""
        if self.tally is None:
            self.tally = self.cursor.tally()
            self.deliver = self.deliver_one = _deliver_nothing
        return self.tally


def _deliver_nothing(data: object) -> int:
    """How a subscriber that is detached is delivered to."""
    return 0
