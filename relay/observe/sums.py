"""Snapshots of several processes of one relay, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from relay.core.cursor import Lag, Tally
from relay.observe.stats import Role, Snapshot, furthest
from relay.peers.registry import TCP
from relay.wire.close_reason import CloseReason

Key = TypeVar("Key")
SUBSCRIBERS = ("subscriber", TCP)
"""The role and the feed of those that other processes serve."""


def add(own: Snapshot, others: Sequence[Snapshot]) -> Snapshot:
    """The snapshot of a relay whose subscribers are in other processes too.

    `own`: of the process that has the log, whose publishers, memory and journal are all that there are.
    """
    if not others:
        return own
    every = (own, *others)
    return replace(
        own,
        roles=tuple(_role([role, *_same(role, others)]) for role in own.roles),
        delivered=sum((one.delivered for one in every), Tally(0, 0, 0)),
        live=sum(one.live for one in every),
        lagging=sum(one.lagging for one in every),
        lags=tuple(lag for one in every for lag in one.lags),
        furthest=furthest([one.furthest for one in every]),
        left_out=sum(one.left_out for one in every),
        sessions=_count(one.sessions for one in every),
        resumed=_count(one.resumed for one in every),
        lost=sum(one.lost for one in every),
    )


def over(last: Snapshot, there: int = 0) -> Snapshot:
    """What is left of a process that was lost, by the last snapshot of it: its connections have ended, totals stay.

    `there`: how many subscribers it had in the end; some may have come after the snapshot.
    """
    return replace(
        last,
        roles=tuple(_ended(role, there if (role.name, role.feed) == SUBSCRIBERS else 0) for role in last.roles),
        live=0,
        lagging=0,
        lags=(),
        furthest=Lag(0, 0, 0.0),
        sessions=dict.fromkeys(last.sessions, 0),
    )


def _same(role: Role, others: Iterable[Snapshot]) -> list[Role]:
    return [one for other in others for one in other.roles if (one.name, one.feed) == (role.name, role.feed)]


def _role(parts: Sequence[Role]) -> Role:
    return replace(
        parts[0],
        open=sum(one.open for one in parts),
        opened=sum(one.opened for one in parts),
        closed=_count(one.closed for one in parts),
        handshakes_completed=sum(one.handshakes_completed for one in parts),
        handshakes_failed=sum(one.handshakes_failed for one in parts),
    )


def _ended(role: Role, there: int) -> Role:
    lost = max(there, role.open)
    closed = {**role.closed, CloseReason.WORKER_LOST: role.closed[CloseReason.WORKER_LOST] + lost}
    return replace(role, open=0, opened=role.opened + lost - role.open, closed=closed)


def _count(counts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    found: Counter[Key] = Counter()
    for one in counts:
        found.update(one)
    return dict(found)
