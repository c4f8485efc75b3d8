"""Those who wait until workers have reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from relay.observe.stats import Listed
from relay.peers.ended_connection import EndedConnection
from relay.peers.heartbeat import CallLater
from relay.workers.messages import Report
from relay.workers.worker import Worker

WITHIN = 0.5
"""Seconds in which workers report to somebody who asks; who has not is left out after that."""


@dataclass(eq=False)
class _Inquiry:
    owed: dict[Worker, int]
    """Which report of each worker it waits for, as `Worker.ask` numbers them."""
    then: Callable[[Listed], object]
    reports: list[Report] = field(default_factory=list)
    """Those that came."""


class Inquiries:
    """All inquiries. Each is given the reports that it asked for, whatever else workers were asked meanwhile."""

    def __init__(self, call_later: CallLater) -> None:
        """`call_later`: the reactor's."""
        self._call_later = call_later
        self._open: list[_Inquiry] = []

    def begin(self, owed: Mapping[Worker, int], then: Callable[[Listed], object]) -> None:
        """Call `then` when all of these reports have come, or after `WITHIN` seconds.

        `owed`: for each worker the number of its report. There is at least one.
        """
        inquiry = _Inquiry(dict(owed), then)
        self._open.append(inquiry)
        self._call_later(WITHIN, lambda: self._answer(inquiry))

    def reported(self, worker: Worker, report: Report) -> None:
        """A report has come from `worker`."""
        for inquiry in tuple(self._open):
            if inquiry.owed.get(worker) == report.number:
                inquiry.reports.append(report)
                self._forgo(inquiry, worker)

    def gone(self, worker: Worker) -> None:
        """Wait for `worker` no longer: it has ended."""
        for inquiry in tuple(self._open):
            self._forgo(inquiry, worker)

    def _forgo(self, inquiry: _Inquiry, worker: Worker) -> None:
        inquiry.owed.pop(worker, None)
        if not inquiry.owed:
            self._answer(inquiry)

    def _answer(self, inquiry: _Inquiry) -> None:
        if inquiry in self._open:
            self._open.remove(inquiry)
            rows = sorted(chain.from_iterable(one.rows for one in inquiry.reports), key=lambda row: row.number)
            inquiry.then(Listed(rows, ended(inquiry.reports)))


def ended(reports: Iterable[Report]) -> list[EndedConnection]:
    """The connections of several workers that have ended, the oldest first."""
    return sorted(chain.from_iterable(one.ended for one in reports), key=lambda one: one.until)
