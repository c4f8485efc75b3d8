"""What sessions share, for tests, with turns, clocks and timers of the test's own; and control frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from relay.core.history import History
from relay.core.hub import Hub
from relay.core.start import Starts
from relay.core.timing import CallSoon
from relay.peers.acks import Acks
from relay.peers.names import Names
from relay.peers.sessions import Sessions
from relay.wire import control
from relay.wire.counted import HEADER, Int32
from relay.wire.framing import Framing
from relay.wire.position import Epoch

EPOCH = "0123456789ab"


class FakeDelayed:
    """A call that has been asked for."""

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Timers:
    """Calls that are made when the test lets time pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[FakeDelayed] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> FakeDelayed:
        delayed = FakeDelayed(self.now + seconds, call)
        self.waiting.append(delayed)
        return delayed

    def advance(self, seconds: float) -> None:
        """Let time pass, and make every call that is due, in order."""
        end = self.now + seconds
        while due := [one for one in self.waiting if one.due <= end and not one.cancelled]:
            first = min(due, key=lambda one: one.due)
            self.waiting.remove(first)
            self.now = first.due
            first.call()
        self.waiting = [one for one in self.waiting if not one.cancelled]
        self.now = end


def make_sessions(
    hub: Hub,
    call_soon: CallSoon,
    clock: Callable[[], float] = lambda: 0.0,
    timers: Timers | None = None,
    history: History | None = None,
    names: int = 10,
    framing: type[Framing] = Int32,
    frame_timeout: float = 30.0,
) -> Sessions:
    """What the sessions of `hub` share. `clock`: the hub's; it serves for the time of the day too."""
    starts = Starts(hub, history or History(hub), [Epoch(EPOCH, 1)], clock, clock)
    return Sessions(
        hub,
        starts,
        Names(names),
        Acks(hub.flush, call_soon, clock),
        (timers or Timers()).call_later,
        max_message=99_999,
        framing=framing,
        frame_timeout=lambda: frame_timeout,
        publish="tcp:8001",
        subscribe="tcp:8002",
    )


def said(**values: object) -> bytes:
    """A control frame with these keys and values."""
    return control.frame(json.dumps(values).encode())


def hello(kind: str, **values: object) -> bytes:
    """A hello with the type `kind`."""
    return said(relay=1, type=kind, **values)


def parts(data: bytes) -> list[bytes | dict[str, Any]]:  # Any: what JSON has
    """What is in a stream of whole frames: messages as bytes, and control frames as what their JSON says."""
    found: list[bytes | dict[str, Any]] = []
    while data:
        (header,) = HEADER.unpack_from(data)
        size = header % control.CONTROL
        body, data = data[4 : 4 + size], data[4 + size :]
        assert len(body) == size, "a frame is cut"
        found.append(json.loads(body) if header >= control.CONTROL else body)
    return found
