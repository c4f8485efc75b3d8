"""Admission in a worker: the limits are those of the whole relay, which counts the connections of all processes.

A worker admits what its own count allows, and tells the relay at the end of the turn; the relay may refuse afterwards.
So nobody waits for an answer from another process, and a limit is exceeded for a moment only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from relay.core.timing import CallSoon
from relay.peers.admission import Admission
from relay.workers.messages import Counted


class ReportingAdmission(Admission):
    """Tells of every connection that it admits and releases."""

    def __init__(self, numbers: Iterator[int], call_soon: CallSoon, tell: Callable[[Counted], None]) -> None:
        """`numbers`: for connections. `tell`: tells the relay."""
        super().__init__(numbers=numbers)
        self._call_soon = call_soon
        self._tell = tell
        self._admitted: list[str | None] = []
        self._released: list[str | None] = []

    def admit(self, host: str | None) -> None:
        super().admit(host)
        self._schedule()
        self._admitted.append(host)

    def release(self, host: str | None) -> None:
        super().release(host)
        self._schedule()
        self._released.append(host)

    def _schedule(self) -> None:
        if not (self._admitted or self._released):
            self._call_soon(self._report)

    def _report(self) -> None:
        counted = Counted(tuple(self._admitted), tuple(self._released))
        self._admitted, self._released = [], []
        self._tell(counted)
