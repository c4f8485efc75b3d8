"""Another process of the same relay, for tests of what a relay shows of its workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relay.observe.roster import Row
from relay.observe.stats import Listed, Snapshot
from relay.peers.ended_connection import EndedConnection


@dataclass
class FakeElsewhere:
    """Reports what the test says."""

    rows: Sequence[Row] = ()
    slowest: Sequence[Row] = ()
    ended: Sequence[EndedConnection] = ()
    trouble: str = ""
    asked: list[int | None] = field(default_factory=list)

    def add_to(self, own: Snapshot) -> Snapshot:
        return own

    def connected(self, role: str) -> int:
        return sum(row.role == role for row in self.rows)

    def refresh(self, after: int | None, then: Callable[[Listed], object]) -> None:
        self.asked.append(after)
        then(Listed(self.rows, self.ended))
