"""What the relay is doing, in numbers: a snapshot that is read when somebody asks, so that no message pays for it.

All of it is counted anyway, by those whom it concerns. What subscribers were given is a sum over the connections, open
and ended. A subscriber that is lagging stands in the middle of a batch, and to count messages there would mean to read
the batch: so the batch counts as not given, until it is. No total ever gets less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.connection import Accepted
from relay.cursor import Lag, Tally
from relay.hub import Hub
from relay.lines import Lines
from relay.publisher import Intake
from relay.reasons import CloseReason

UNSHAKEN = (CloseReason.HANDSHAKE_FAILED, CloseReason.HANDSHAKE_TIMEOUT)
"""How connections end whose TLS handshake was not completed, for what the peer did."""


@dataclass(frozen=True, slots=True)
class Role:
    """The connections of one role."""

    name: str
    open: int
    opened: int
    closed: Mapping[CloseReason, int]
    """All reasons."""
    shaken: int
    """TLS handshakes completed."""
    unshaken: int
    """And failed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The relay at one moment. Totals are since its start; sizes are in bytes, times in seconds."""

    roles: tuple[Role, ...]
    most_connections: int
    published: Tally
    delivered: Tally
    held: int
    """Memory that the buffer takes, of"""
    buffer: int
    oldest: int
    """Position of the oldest message that is kept."""
    next: int
    """Position that the next message gets."""
    live: int
    lagging: int
    lags: tuple[float, ...]
    """Of each lagging subscriber, in seconds, in no order."""
    furthest: Lag
    """The most of each."""
    blocked: bool
    blocked_seconds: float
    reloaded: int
    reloads_failed: int
    left_out: int
    """Lines of the log."""
    started: float
    """Since 1970, UTC."""


class Stats:
    """Takes snapshots of a relay."""

    def __init__(
        self,
        hub: Hub,
        intake: Intake,
        publishers: Accepted,
        subscribers: Accepted,
        lines: Lines,
        reloads: Mapping[bool, int],
        clock: Callable[[], float],
    ) -> None:
        """`clock` is the hub's. `reloads` is how often it was reloaded, by success."""
        self.roles = (publishers, subscribers)
        self.clock = clock
        self._hub = hub
        self._intake = intake
        self._subscribers = subscribers
        self._lines = lines
        self._reloads = reloads
        self._started = publishers.now()

    def snapshot(self) -> Snapshot:
        """The relay now. It takes some 2 µs for each subscriber."""
        hub, log = self._hub, self._hub.log
        delivered = self._subscribers.exchanged
        messages, size, skipped = delivered.messages, delivered.bytes, delivered.skipped
        for subscriber in self._subscribers.open:
            tally = subscriber.tally
            messages += tally.messages
            size += tally.bytes
            skipped += tally.skipped
        lags = self._lags()
        return Snapshot(
            roles=tuple(map(_role, self.roles)),
            most_connections=self._subscribers.limits.max_connections,
            published=Tally(log.next - 1, log.size, 0),
            delivered=Tally(messages, size, skipped),
            held=log.held,
            buffer=log.limit,
            oldest=log.first,
            next=log.next,
            live=hub.live,
            lagging=hub.lagging,
            lags=tuple(lag.seconds for lag in lags),
            furthest=Lag(
                messages=max((lag.messages for lag in lags), default=0),
                bytes=max((lag.bytes for lag in lags), default=0),
                seconds=max((lag.seconds for lag in lags), default=0.0),
            ),
            blocked=self._intake.paused,
            blocked_seconds=self._intake.seconds_paused,
            reloaded=self._reloads[True],
            reloads_failed=self._reloads[False],
            left_out=self._lines.left_out,
            started=self._started,
        )

    def _lags(self) -> list[Lag]:
        if not self._hub.lagging:
            return []
        return [lag for one in self._subscribers.open if (lag := one.lag(self.clock)) is not None]


def _role(accepted: Accepted) -> Role:
    ended = dict(accepted.ended)
    closed = {reason: ended.get(reason, 0) for reason in CloseReason}
    return Role(
        name=accepted.role,
        open=len(accepted.open),
        opened=len(accepted.open) + sum(closed.values()),
        closed=closed,
        shaken=accepted.shaken,
        unshaken=sum(closed[reason] for reason in UNSHAKEN),
    )
