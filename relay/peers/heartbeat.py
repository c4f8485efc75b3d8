"""The heartbeat of one session: a call at an interval, for as long as the session lasts.

Each session has a timer of its own. So the heartbeats of many sessions are spread over time as their beginnings were,
and no turn has to send all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Delayed(Protocol):
    """A call that is going to happen."""

    def cancel(self) -> None:
        """Do not make the call."""
        ...


CallLater = Callable[[float, Callable[[], None]], Delayed]
"""Makes a call after a number of seconds."""


class Heartbeat:
    """Calls `beat` every `seconds`."""

    def __init__(self, call_later: CallLater, seconds: float, beat: Callable[[], None]) -> None:
        """Start. `seconds`: 0 for never."""
        self._call_later = call_later
        self._seconds = seconds
        self._beat = beat
        self._next: Delayed | None = call_later(seconds, self._due) if seconds else None

    def _due(self) -> None:
        self._next = self._call_later(self._seconds, self._due)
        self._beat()

    def stop(self) -> None:
        """Call no more. May be called again, also by `beat`."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
