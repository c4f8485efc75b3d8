"""What the relay is doing, in numbers: a snapshot that is read when somebody asks, so that no message pays for it.

All of it is counted anyway, by those whom it concerns. What subscribers were given is a sum over the connections, open
and ended. A subscriber that is lagging stands in the middle of a batch, and to count messages there would mean to read
the batch: so the batch counts as not given, until it is. No total ever gets less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relay.core.cursor import Lag, Tally
from relay.core.hub import Hub
from relay.observe.turns import Turns
from relay.peers.connection import Accepted
from relay.peers.lines import Lines
from relay.peers.publisher import Intake
from relay.wire.close_reason import CloseReason

UNSHAKEN = (CloseReason.HANDSHAKE_FAILED, CloseReason.HANDSHAKE_TIMEOUT)
"""How connections end whose TLS handshake was not completed, for what the peer did."""


@dataclass(frozen=True, slots=True)
class Role:
    """The connections of one role."""

    name: str
    feed: str
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
    turns: tuple[int, ...]
    """Turns of the reactor that were measured, by length: see `Turns.counts`."""
    turn_seconds: float
    """And how long they were together."""
    started: float
    """Since 1970, UTC."""


class Stats:
    """Takes snapshots of a relay."""

    def __init__(
        self,
        hub: Hub,
        intake: Intake,
        publishers: Accepted,
        subscribers: Sequence[Accepted],
        lines: Lines,
        reloads: Mapping[bool, int],
        clock: Callable[[], float],
        held: Callable[[], int],
        turns: Turns,
    ) -> None:
        """`clock` is the hub's. `reloads` is how often it was reloaded, by success.

        `held` says how much memory the buffer takes, besides that of the hub's log.
        """
        self.roles = (publishers, *subscribers)
        self.clock = clock
        self._hub = hub
        self._intake = intake
        self._subscribers = tuple(subscribers)
        self._lines = lines
        self._reloads = reloads
        self._started = publishers.now()
        self._held = held
        self._turns = turns
        self._buffer = hub.log.limit

    def snapshot(self) -> Snapshot:
        """The relay now. It takes some 2 µs for each subscriber."""
        log = self._hub.log
        messages = size = skipped = live = 0
        lags = []
        for accepted in self._subscribers:
            delivered = accepted.exchanged
            messages, size, skipped = (
                messages + delivered.messages,
                size + delivered.bytes,
                skipped + delivered.skipped,
            )
            for subscriber in accepted.open:
                tally = subscriber.tally
                messages += tally.messages
                size += tally.bytes
                skipped += tally.skipped
                if (lag := subscriber.lag(self.clock)) is not None:
                    lags.append(lag)
                elif subscriber.reason is None and subscriber.state == "live":
                    live += 1
        return Snapshot(
            roles=tuple(map(_role, self.roles)),
            most_connections=self.roles[0].limits.max_connections,
            published=Tally(log.next - 1, log.size, 0),
            delivered=Tally(messages, size, skipped),
            held=log.held + self._held(),
            buffer=self._buffer,
            oldest=log.first,
            next=log.next,
            live=live,
            lagging=len(lags),
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
            turns=tuple(self._turns.counts),
            turn_seconds=self._turns.seconds,
            started=self._started,
        )


def _role(accepted: Accepted) -> Role:
    ended = dict(accepted.ended)
    closed = {reason: ended.get(reason, 0) for reason in CloseReason}
    return Role(
        name=accepted.role,
        feed=accepted.feed,
        open=len(accepted.open),
        opened=len(accepted.open) + sum(closed.values()),
        closed=closed,
        shaken=accepted.shaken,
        unshaken=sum(closed[reason] for reason in UNSHAKEN),
    )
