"""What the status page is sent every second: the relay at one moment, as an object for JSON.

It is for people who watch, so it must cost little and may leave things out. The tail, which shows the newest messages,
scans little more than the newest batch, however many messages there are, and takes the beginning of each message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from heapq import nlargest
from itertools import pairwise

from relay import __version__
from relay.core.backbone import BackboneFigures
from relay.core.cursor import Lag
from relay.core.journal import JournalFigures
from relay.core.log import Log
from relay.core.state import WORDS, State
from relay.core.timing import SWEEP
from relay.observe.roster import ENDED, SLOWEST, Row, ended, laggards
from relay.observe.stats import ReachFigures, Role, Snapshot, Stats
from relay.peers.connection import Connection
from relay.peers.ended_connection import EndedConnection
from relay.peers.registry import TCP
from relay.peers.subscriber import Subscriber
from relay.web.pace import Mark, Paces
from relay.wire.framing import Buffer, Framing
from relay.wire.printable import printable

TAIL = 20
"""Messages shown in the tail."""
SHOWN = 200
"""Bytes of a message shown in the tail: the page has no room for more."""
STUCK = 2 * SWEEP
"""Seconds without progress after which a subscriber takes nothing. Before that it may only be slow."""
SCANNED = 256 * 1024
"""Bytes of batches scanned for the ends of messages, after which no further batch is: it takes 1.5 ms for messages of
various lengths around 60 bytes. With much traffic, one batch is about as large."""


class Status:
    """Describes the relay for the status page."""

    def __init__(
        self,
        stats: Stats,
        log: Log,
        framing: type[Framing],
        settings: Callable[[], Mapping[str, object]],
        unready: Callable[[], str],
        epoch: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        """`log`: the hub's, with messages framed as `framing` says.

        `settings`: returns those in force, by name, as JSON can represent them. `unready`: returns why nobody should
        connect now, empty if the relay is ready. `epoch`: returns the epoch in force. `now`: returns the time in
        seconds since 1970, UTC.
        """
        self._stats = stats
        self._log = log
        self._framing = framing
        self._settings = settings
        self._unready = unready
        self._epoch = epoch
        self._now = now
        self._paces = Paces()

    def now(self) -> dict[str, object]:
        """The relay now. It costs 1.5 µs per subscriber, 5 µs if it lags, so call it once for all viewers."""
        snapshot, there = self._stats.snapshot(), self._stats.elsewhere.ended
        return {
            "epoch": self._epoch(),
            "version": __version__,
            "time": self._now(),
            "started": snapshot.started,
            "unready": self._unready(),
            **_numbers(snapshot),
            "settings": dict(self._settings()),
            "slowest": self._slowest(snapshot),
            "ended": [ended_json(one) for one in ended(self._stats.registries, ENDED, there)],
            "tail": tail(self._log, self._framing),
        }

    def _slowest(self, snapshot: Snapshot) -> list[dict[str, object]]:
        """The connections that lag by the most bytes, and why they lag."""
        most = laggards(self._stats.registries, self._stats.clock, SLOWEST) if snapshot.lagging else []
        rows = self._stats.elsewhere.slowest
        self._paces.keep({one.number for _, one in most} | {row.number for row in rows})
        every = [
            (lag.bytes, _who(one) | _doing(one.state, lag) | {"why": self._why(one, lag, snapshot)})
            for lag, one in most
        ]
        every += [
            (row.lag.bytes, connection_json(row) | {"why": self._why_there(row, row.lag)}) for row in rows if row.lag
        ]
        return [shown for _, shown in nlargest(SLOWEST, every, key=lambda pair: pair[0])]

    def _why_there(self, row: Row, lag: Lag) -> str:
        """Why a connection of another process lags."""
        pace = self._paces.see(row.number, Mark(self._stats.clock(), row.tally.bytes, lag.bytes))
        if row.state is not State.WAITING:
            return "catching up"
        return "takes less than it is sent" if pace is None else pace.words(None)

    def _why(self, one: Connection, lag: Lag, snapshot: Snapshot) -> str:
        """Why a connection lags, and when it will be cut if that does not change."""
        pace = self._paces.see(one.number, Mark(self._stats.clock(), one.tally.bytes, lag.bytes))
        if not isinstance(one, Subscriber) or one.lifecycle.state is not State.WAITING or not one.source.subscription:
            return "catching up"
        idle, limit = one.source.subscription.progress.idle, one.source.hub.stall_timeout
        if idle >= STUCK:
            return f"takes nothing for {idle:,.0f} s" + (f", is cut after {limit:,g} s" if limit else "")
        if pace is None:
            return "takes less than it is sent"
        # A feed has a part of the buffer only, and with a journal who is too far behind goes on from the disk.
        bounded = one.feed == TCP and snapshot.journal is None
        return pace.words(snapshot.buffer - lag.bytes if bounded else None)


def tail(log: Log, framing: type[Framing]) -> list[dict[str, object]]:
    """The newest messages, oldest first: at most `TAIL`, and fewer if `SCANNED` bytes of batches hold fewer."""
    found = []
    for messages in log.messages(log.recent(TAIL, SCANNED), TAIL, SCANNED):
        for number, (start, stop) in enumerate(pairwise(messages.bounds), messages.first):
            found.append(_message(messages.data[start:stop], number, framing))
    return found


def _message(frame: Buffer, position: int, framing: type[Framing]) -> dict[str, object]:
    message = framing.message(bytes(frame))
    size = len(message)
    return {"position": position, "size": size, "text": printable(message[:SHOWN], whole=size <= SHOWN)}


def connection_json(row: Row) -> dict[str, object]:
    """An open connection, as an object for JSON."""
    at = {"position": row.position, "unacknowledged": row.unacknowledged}
    return _who(row) | _doing(row.state, row.lag) | at


def ended_json(one: EndedConnection) -> dict[str, object]:
    """A connection that has ended, as an object for JSON."""
    return _who(one) | {"until": _time(one.until), "reason": str(one.reason)}


def _who(one: Connection | Row | EndedConnection) -> dict[str, object]:
    return {
        "number": one.number,
        "role": one.role,
        "feed": one.feed,
        "peer": one.peer,
        "since": _time(one.since),
        "messages": one.tally.messages,
        "bytes": one.tally.bytes,
        "skipped": one.tally.skipped,
        "name": one.name or None,
        "session": one.in_session,
        "tls_subject": one.subject or None,
    }


def _doing(state: State, lag: Lag | None) -> dict[str, object]:
    return {"state": WORDS[state], "lag": lag and {**asdict(lag), "seconds": round(lag.seconds, 3)}}


def _time(seconds: float) -> str:
    """A time in the format of RFC 3339; `seconds`: since 1970, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _numbers(now: Snapshot) -> dict[str, object]:
    return {
        "published": {
            "messages": now.published.messages,
            "bytes": now.published.bytes,
            "discarded": now.discarded,
        },
        "delivered": asdict(now.delivered),
        "connections": _open(now.roles),
        "most_connections": now.most_connections,
        "live": now.live,
        "lagging": now.lagging,
        "buffer": _buffer(now),
        "journal": now.journal and _journal(now.journal),
        "backbone": now.backbone and _backbone(now.backbone),
        "furthest": asdict(now.furthest),
        "sessions": _sessions(now),
        "reach": [_reach(one) for one in now.reach],
        "workers": [asdict(one) for one in now.workers],
        "replaced": now.replaced,
        "blocked": now.blocked,
        "blocked_by": list(now.blocked_by),
        "blocked_seconds": now.blocked_seconds,
        "closed": _closed(now.roles),
    }


def _buffer(now: Snapshot) -> dict[str, int]:
    return {"used": now.held, "needed": now.needed, "limit": now.buffer, "oldest": now.oldest, "next": now.next}


def _journal(now: JournalFigures) -> dict[str, object]:
    """The journal, with its words for why publishers wait for it: null while they do not."""
    return {
        "used": now.size,
        "limit": now.limit,
        "free": now.free,
        "oldest": now.oldest,
        "oldest_time": now.oldest_time,
        "unsynced": now.unsynced,
        "readers": now.readers,
        "trouble": now.trouble or None,
        "held_seconds": now.held_seconds,
    }


def _backbone(now: BackboneFigures) -> dict[str, object]:
    """The backbone, with why it takes nothing: null if it does."""
    return {
        "behind": now.behind,
        "sequence": now.sequence,
        "window": now.window,
        "window_bytes": now.window_bytes,
        "waiting": now.waiting,
        "round_trips": sum(now.trips),
        "round_trip_seconds": now.trip_seconds,
        "names": now.names,
        "trouble": now.trouble or None,
        "held": now.held,
        "held_seconds": now.held_seconds,
    }


def _sessions(now: Snapshot) -> dict[str, object]:
    """What there is of sessions: how many by role, and what was told to them."""
    roles: Counter[str] = Counter()
    for (role, _), count in now.sessions.items():
        roles[role] += count
    return {
        "open": roles,
        "resumed": dict(now.resumed),
        "lost": now.lost,
        "acks": now.acks,
        "names": now.names,
    }


def _reach(one: ReachFigures) -> dict[str, object]:
    """What the relay has to do with one other relay or server."""
    return {
        "role": one.role,
        "remote": one.remote,
        "connected": one.connected,
        "why": one.why or None,
        "connections": one.connections,
        "messages": one.exchanged.messages,
        "bytes": one.exchanged.bytes,
        "lost": one.lost,
        "waiting": one.waiting,
        "behind": one.behind and {"messages": one.behind[0], "seconds": one.behind[1]},
    }


def _open(roles: tuple[Role, ...]) -> dict[str, dict[str, int]]:
    """The number of open connections, by role and feed."""
    found: dict[str, dict[str, int]] = {}
    for role in roles:
        found.setdefault(role.name, {})[role.feed] = role.open
    return found


def _closed(roles: tuple[Role, ...]) -> dict[str, dict[str, int]]:
    """The number of connections that have ended, by role and reason, for reasons that have occurred."""
    found: dict[str, dict[str, int]] = {}
    for role in roles:
        reasons = found.setdefault(role.name, {})
        for reason, count in role.closed.items():
            if count:
                reasons[str(reason)] = reasons.get(str(reason), 0) + count
    return found
