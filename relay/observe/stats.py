"""What the relay is doing, in numbers: a snapshot, taken when somebody asks, so that it costs nothing for a message.

All numbers come from counts that the parts of the relay keep anyway. What subscribers were given is the sum over their
connections, open and ended. A lagging subscriber may be in the middle of a batch. Counting its messages there would
mean parsing the batch, so a batch is counted only once all of it has been given. Totals never decrease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from relay.core.backbone import Backbone, BackboneFigures
from relay.core.cursor import Lag, Tally
from relay.core.hub import Hub
from relay.core.journal import Journal, JournalFigures
from relay.core.state import State
from relay.observe.turns import Turns
from relay.peers.ended_connection import EndedConnection
from relay.peers.intake import Intake
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import TCP, Registry
from relay.peers.sessions import OUTCOMES, Sessions
from relay.wire.close_reason import CloseReason

if TYPE_CHECKING:
    from relay.observe.roster import Row

FAILED_HANDSHAKES = (CloseReason.HANDSHAKE_FAILED, CloseReason.HANDSHAKE_TIMEOUT)
"""Close reasons of connections whose TLS handshake failed because of the peer."""

SESSION_ROLES = (("publisher", TCP), ("subscriber", TCP), ("subscriber", "ws"))
"""The roles, and the feeds, of peers that can have a session."""


@dataclass(frozen=True, slots=True)
class Role:
    """The connections of one role and one feed."""

    name: str
    feed: str
    open: int
    """Connections that are open now."""
    opened: int
    """Connections ever accepted."""
    closed: Mapping[CloseReason, int]
    """How many have ended, for every reason there is."""
    handshakes_completed: int
    """TLS handshakes."""
    handshakes_failed: int
    """TLS handshakes."""


@dataclass(frozen=True, slots=True)
class ReachFigures:
    """What the relay has to do with one other relay or server, over all its connections there."""

    role: str
    """What it does there: `pull`, `push` or `mirror`."""
    remote: str
    """Where that is, as the configuration has it."""
    connected: bool
    """Whether there is a connection that works."""
    connections: int
    """Connections that were made."""
    exchanged: Tally
    """What came, or was sent."""
    lost: int
    """Messages that were lost in between, as far as is known."""
    waiting: int = 0
    """Messages that are not known to be there yet."""
    behind: tuple[int, float] | None = None
    """The messages and the seconds that a mirror is behind, at most; None if nobody knows, or it is no mirror."""
    why: str = ""
    """Why it is not connected, in words for people; empty if it is, or if nobody knows yet."""


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One of the processes that take subscribers, as it reported last."""

    place: int
    """Its number among all workers, from 1 on."""
    up: bool
    """Whether it accepts connections."""
    connections: int
    cpu: float
    """Seconds of processor time that it has taken."""
    memory: int
    """Bytes that are resident."""
    delivered: Tally
    """What its subscribers were given."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The relay at one moment. Totals are since its start; sizes are in bytes, times in seconds."""

    roles: tuple[Role, ...]
    most_connections: int
    """How many connections there may be."""
    published: Tally
    delivered: Tally
    held: int
    """Memory that the buffer uses."""
    needed: int
    """Memory for what lagging subscribers, or a feed, have yet to be given; the rest is kept because there is room."""
    buffer: int
    """Memory that the buffer may use."""
    oldest: int
    """Position of the oldest message that is kept."""
    next: int
    """Position that the next message gets."""
    live: int
    """Subscribers that have every message."""
    lagging: int
    """Subscribers that lack some."""
    lags: tuple[float, ...]
    """Seconds that each lagging subscriber is behind, in no order."""
    furthest: Lag
    """The most messages, the most bytes and the most seconds that any subscriber is behind."""
    discarded: int
    """Messages that were dropped because they were too long (`--too-long discard`)."""
    incomplete: int
    """Messages that were begun and dropped, because their publishers' connections ended."""
    blocked: bool
    """Whether publishers are not read now."""
    blocked_by: tuple[str, ...]
    """What publishers wait for: `subscribers`, `journal`, `backbone`, `workers`."""
    blocked_seconds: float
    """Time during which publishers were not read."""
    reloaded: int
    """Reloads that succeeded."""
    reloads_failed: int
    left_out: int
    """Log lines that were left out."""
    sessions: Mapping[tuple[str, str], int]
    """Sessions that are open, for every role and feed that can have some."""
    resumed: Mapping[str, int]
    """How often subscribers resumed, by outcome."""
    lost: int
    """Messages that subscribers with sessions were told they have lost."""
    acks: int
    """Acks sent."""
    names: int
    """Names of publishers that are known."""
    turns: tuple[int, ...]
    """Turns of the reactor that were measured, by length: see `Turns.counts`."""
    turn_seconds: float
    """Total length of the turns that were measured."""
    started: float
    """When the relay was started, in seconds since 1970, UTC."""
    journal: JournalFigures | None
    """The journal; None without one."""
    reach: tuple[ReachFigures, ...]
    """The other relays and servers that the relay connects to."""
    backbone: BackboneFigures | None
    """The backbone; None without one."""
    workers: tuple[WorkerFigures, ...] = ()
    """The processes that take subscribers, if there are some."""
    replaced: int = 0
    """Workers that have ended and were replaced."""
    workers_held: bool = False
    """Whether publishers wait for a worker now."""
    workers_held_seconds: float = 0.0
    """Time during which publishers waited for a worker."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The connections of other processes of the same relay, listed because somebody asked."""

    rows: Sequence[Row] = ()
    """Those that are open, by number."""
    ended: Sequence[EndedConnection] = ()
    """Those that have ended, the oldest first."""


NOT_LISTED = Listed()
"""Nobody asked, or there is none."""


class Elsewhere(Protocol):
    """What other processes of the same relay do."""

    @property
    def trouble(self) -> str:
        """Why nobody should subscribe now, in words for people; empty if they may."""
        ...

    def add_to(self, own: Snapshot) -> Snapshot:
        """`own`, the snapshot of this process, with theirs added."""
        ...

    def connected(self, role: str) -> int:
        """How many connections with that role they had open when they last reported."""
        ...

    @property
    def slowest(self) -> Sequence[Row]:
        """Those of their connections that lagged by the most bytes when they last reported."""
        ...

    @property
    def ended(self) -> Sequence[EndedConnection]:
        """Their last connections that ended, when they last reported them, the oldest first."""
        ...

    def refresh(self, after: int | None, then: Callable[[Listed], object]) -> None:
        """Have them report, and call `then`, soon in any case.

        `after`: a number; `then` is given the connections with larger ones, and those that have ended. None: it is
        given none.
        """
        ...


class Nowhere:
    """There are no other processes."""

    slowest = ended = ()
    trouble = ""

    def add_to(self, own: Snapshot) -> Snapshot:
        return own

    def connected(self, role: str) -> int:
        return 0

    def refresh(self, after: int | None, then: Callable[[Listed], object]) -> None:
        then(NOT_LISTED)


class Stats:
    """Takes snapshots of a relay."""

    elsewhere: Elsewhere = Nowhere()
    """Other processes that have subscribers."""

    def __init__(
        self,
        hub: Hub,
        intake: Intake,
        publishers: Registry,
        subscribers: Sequence[Registry],
        lines: RateLimitedLog,
        reloads: Mapping[bool, int],
        clock: Callable[[], float],
        turns: Turns,
        sessions: Sessions,
        journal: Journal | None = None,
        sources: Registry | None = None,
        reach: Callable[[], Sequence[ReachFigures]] = tuple,
        backbone: Backbone | None = None,
    ) -> None:
        """`subscribers`: a registry for each feed. `lines`: counts the log lines that are left out.

        `reloads`: how many reloads succeeded (True) and failed (False). `clock`: the hub's. `sessions`: counts those.
        `journal`, `backbone`: None for none. `sources`: the connections from which messages are fetched; None for
        none. `reach`: returns the figures of other relays and servers.
        """
        self.registries = (publishers, *subscribers, *([sources] if sources else ()))
        self.clock = clock
        self._hub = hub
        self._intake = intake
        self._subscribers = tuple(subscribers)
        self._lines = lines
        self._reloads = reloads
        self._started = publishers.now()
        self._turns = turns
        self._sessions = sessions
        self._journal = journal
        self._reach = reach
        self._backbone = backbone
        self._budget = hub.budget

    def connected(self, role: str) -> int:
        """How many connections with that role are open, in all processes."""
        here = sum(len(registry.open) for registry in self.registries if registry.role == role)
        return here + self.elsewhere.connected(role)

    def snapshot(self) -> Snapshot:
        """The relay now, with all its processes. Taking a snapshot costs some 2 µs for each subscriber."""
        return self.elsewhere.add_to(self.here())

    def here(self) -> Snapshot:
        """This process now."""
        log, sessions = self._hub.log, self._sessions
        delivered, live, lags = self._subscribed()
        return Snapshot(
            roles=tuple(map(_role, self.registries)),
            most_connections=self.registries[0].admission.max_connections,
            published=Tally(log.taken, log.size, 0),
            delivered=delivered,
            held=log.held + self._budget.lent,
            needed=_needed(self._hub),
            buffer=self._budget.size,
            oldest=log.first,
            next=log.next,
            live=live,
            lagging=len(lags),
            lags=tuple(lag.seconds for lag in lags),
            furthest=furthest(lags),
            discarded=self._intake.discarded,
            incomplete=self._intake.incomplete,
            blocked=self._intake.paused,
            blocked_by=self._intake.waits_for,
            blocked_seconds=self._intake.seconds_paused,
            reloaded=self._reloads[True],
            reloads_failed=self._reloads[False],
            left_out=self._lines.left_out,
            sessions={role: sessions.open[role] for role in SESSION_ROLES},
            resumed={outcome: sessions.resumed[outcome] for outcome in OUTCOMES},
            lost=sessions.lost,
            acks=sessions.acks_sent,
            names=len(sessions.names),
            turns=tuple(self._turns.counts),
            turn_seconds=self._turns.seconds,
            started=self._started,
            journal=self._journal.figures() if self._journal else None,
            reach=tuple(self._reach()),
            backbone=self._backbone.figures() if self._backbone else None,
        )

    def _subscribed(self) -> tuple[Tally, int, list[Lag]]:
        """What subscribers were given in all, how many are live, and the lag of each that is not."""
        messages = size = skipped = live = 0
        lags = []
        for registry in self._subscribers:
            messages += registry.exchanged.messages
            size += registry.exchanged.bytes
            skipped += registry.exchanged.skipped
            for subscriber in registry.open:
                tally = subscriber.tally
                messages += tally.messages
                size += tally.bytes
                skipped += tally.skipped
                if (lag := subscriber.lag(self.clock)) is not None:
                    lags.append(lag)
                elif subscriber.state is State.LIVE:
                    live += 1
        return Tally(messages, size, skipped), live, lags


def furthest(lags: Sequence[Lag]) -> Lag:
    """The most messages, the most bytes and the most seconds of all."""
    return Lag(
        messages=max((lag.messages for lag in lags), default=0),
        bytes=max((lag.bytes for lag in lags), default=0),
        seconds=max((lag.seconds for lag in lags), default=0.0),
    )


def _needed(hub: Hub) -> int:
    """Bytes of the hub's log from the place of its slowest subscriber on; 0 if none lags."""
    lagging = (one.cursor.needs(hub.log) for one in hub.subscriptions if not one.cursor.live)
    return hub.log.behind(min(lagging, default=hub.log.end))


def _role(registry: Registry) -> Role:
    ended = dict(registry.ended)
    closed = {reason: ended.get(reason, 0) for reason in CloseReason}
    return Role(
        name=registry.role,
        feed=registry.feed,
        open=len(registry.open),
        opened=len(registry.open) + sum(closed.values()),
        closed=closed,
        handshakes_completed=registry.handshakes_completed,
        handshakes_failed=sum(closed[reason] for reason in FAILED_HANDSHAKES),
    )
