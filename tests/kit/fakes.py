"""Stand-ins for what is around the hub, with the behaviour that the real ones are tested for, and no sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import pack
from typing import Any

from twisted.logger import LogLevel, formatEvent

from relay.core.cursor import Lag
from relay.core.hub import Hub
from relay.core.journal import Contributor, JournalFigures, Key
from relay.core.state import Lifecycle, State
from relay.core.subscription import Subscription
from relay.peers.admission import Admission
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer, Frames
from relay.wire.position import Epoch


def frame(message: bytes) -> bytes:
    """A message as `int32` has it on the wire."""
    return pack("!I", len(message)) + message


def frames(*messages: bytes) -> list[Frames]:
    """Messages as one read of an `int32` publisher would bring them."""
    data = b"".join(map(frame, messages))
    return [Frames(data, len(messages), len(data))]


def said(events: Iterable[dict[str, Any]]) -> list[tuple[LogLevel, str | None]]:
    """Log events as level and text. Any: an event is what was logged."""
    return [(event["log_level"], formatEvent(event)) for event in events]


def accepted(role: str) -> Registry:
    """Nobody yet, and no limit that a test reaches."""
    return Registry(role, Admission(), RateLimitedLog())


class Turns:
    """A reactor's turns: what is called soon runs in the next one."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self._soon.append(call)

    def run(self) -> bool:
        """One turn; returns whether there was something to do."""
        calls, self._soon = self._soon, []
        for call in calls:
            call()
        return bool(calls)

    def run_all(self, most: int = 10_000) -> None:
        """Turns until nothing is left to do."""
        for _ in range(most):
            if not self.run():
                return
        raise AssertionError("the turns do not end")


class FakeSubscriber:
    """A subscriber whose kernel has room for so many bytes, and whose peer reads when the test says so."""

    def __init__(self, hub: Hub, room: float = float("inf"), copies: bool = False) -> None:
        """`room` is in bytes; one that `copies` takes everything offered, and says pause when that was too much."""
        self.hub = hub
        self.lifecycle = Lifecycle()
        self.room = room
        self.copies = copies
        self.received = bytearray()
        self.gaps: list[tuple[int, Lag]] = []
        """Where in `received` each gap was announced, and what was lost."""
        self.reason: CloseReason | None = None
        self.lag: Lag | None = None
        self.calls = 0
        self.held = 0
        self.short = False
        self.notice = b""
        """What it is told of a gap."""
        self.error: Exception | None = None
        self.subscription: Subscription = hub.attach(self)

    def deliver_one(self, piece: Buffer) -> int:
        return self.deliver([piece])

    def deliver(self, pieces: Sequence[Buffer]) -> int:
        assert self.reason is None, "delivered to after the end"
        self.calls += 1
        if self.error:
            self.short = True
            raise self.error
        data = b"".join(pieces)
        taken = len(data) if self.copies else int(min(self.room, len(data)))
        self.received += data[:taken]
        self.room -= taken
        self.short = self.room < 0 if self.copies else taken < len(data)
        if self.copies and self.short:
            self.hub.pause(self.subscription)
        return taken

    reads = False
    stalls = True
    counts = False

    def await_room(self, error: OSError | None) -> None:
        assert self.short, "told to wait for room that there is"

    def read(self, size: float = float("inf")) -> None:
        """The peer reads so many bytes, and the transport says resume if it had said pause."""
        self.room = max(0, self.room) + size
        if self.short and self.reason is None:
            self.short = False
            self.hub.resume(self.subscription)

    def unsent(self) -> int:
        return self.held

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        self.gaps.append((len(self.received), gap))
        return self.notice

    def end(self, reason: CloseReason, lag: Lag) -> None:
        assert self.reason is None, "ended twice"
        self.reason, self.lag = reason, lag
        self.lifecycle.become(State.CUT)

    def fail(self, error: Exception) -> None:
        assert error is self.error
        self.end(CloseReason.ERROR, self.subscription.cursor.lag(lambda: 0.0))


class FakeJournal:
    """A journal in memory, which can be full."""

    def __init__(self) -> None:
        self.safe = 1
        self.next = 1
        self.ready = True
        self.full = False
        self.tries = 0
        self.written: list[tuple[bytes, int, list[int]]] = []
        """Data, messages and ends of each batch."""
        self.noted: dict[Key, int] = {}
        """How many messages were accepted under each name, as written."""
        self.hurried = 0
        """How often somebody said that it waits."""
        self._contributors: dict[Key, Contributor] = {}

    def hurry(self) -> None:
        self.hurried += 1

    def note(self, key: Key, publisher: Contributor) -> None:
        self._contributors[key] = publisher

    def append(self, pieces: Sequence[Buffer], messages: int, ends: Iterable[int] = ()) -> bool:
        self.tries += 1
        if self.full or not self.ready:
            return False
        self.written.append((b"".join(pieces), messages, list(ends)))
        self.next += messages
        self.noted |= {key: publisher.accepted for key, publisher in self._contributors.items()}
        self._contributors.clear()
        return True

    epochs: Sequence[Epoch] = ()
    own = True

    def follow(self, epochs: Sequence[Epoch]) -> None:
        raise AssertionError("this is no mirror")

    def begin_anew(self, position: int, epochs: Sequence[Epoch], keeps: bool = False) -> None:
        raise AssertionError("this is no mirror")

    def figures(self) -> JournalFigures:
        return JournalFigures(0, 100, 1000, 1, 1, 0.0, 0, (), (0,), 0.0, 0, 0, 0, "", 0.0)


class FakeIntake:
    """The publishers, as the slow policy `block` sees them."""

    def __init__(self) -> None:
        self.alone = False
        self.paused: Lag | None = None
        self.pauses = 0

    def pause(self, lag: Lag) -> None:
        assert self.paused is None, "paused twice"
        self.paused = lag
        self.pauses += 1

    def resume(self) -> None:
        assert self.paused is not None, "resumed without a pause"
        self.paused = None
