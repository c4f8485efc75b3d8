"""A subscriber as the hub has it: what the hub asks of its connection, and what it remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.cursor import Cursor, Lag, Tally
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer


class Subscriber(Protocol):
    """What the hub needs of a subscriber's connection. Only the hub calls these."""

    @property
    def deliver(self) -> Callable[[Sequence[Buffer]], int]:
        """Takes bytes, in order, and returns how many: `socket.sendmsg`, or what behaves like it, errors included.

        Asked for once, as `deliver_one` is, when the subscriber is attached.
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


class Subscription:
    """One attached subscriber. `Hub.attach` returns it; its holder names itself with it, and only the hub changes it.

    It is *waiting* from when its transport says pause until it says resume.
    """

    __slots__ = (
        "cursor",
        "deliver",
        "deliver_one",
        "idle",
        "moved",
        "scheduled",
        "subscriber",
        "tally",
        "unsent",
        "waiting",
    )

    def __init__(self, subscriber: Subscriber, cursor: Cursor) -> None:
        self.subscriber = subscriber
        self.deliver = subscriber.deliver
        self.deliver_one = subscriber.deliver_one
        self.cursor = cursor
        self.waiting = False
        self.scheduled = False  # a turn of catching up is due
        self.moved = True  # it took something since the last sweep
        self.unsent = 0  # at the last sweep
        self.idle = 0.0  # seconds without progress
        self.tally: Tally | None = None  # final, once it is detached

    def finish(self) -> Tally:
        """Take down what it was given; from now on nothing is, even by a flush that began before."""
        if self.tally is None:
            self.tally = self.cursor.tally()
            self.deliver = self.deliver_one = _deliver_nothing
        return self.tally


def _deliver_nothing(data: object) -> int:
    """How a subscriber that is detached is delivered to."""
    return 0
