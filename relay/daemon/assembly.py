"""Makes the parts of a relay and puts them together: the one place that knows every class.

Nothing here listens or waits: `service` starts and stops what is assembled here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.logger import LogLevelFilterPredicate

from relay.config.config import Config, Faults, shown_settings, where
from relay.core.budget import Budget
from relay.core.chores import Chores, Lane
from relay.core.history import KEPT, History
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.pace import MAX_READ
from relay.core.pending import Pending
from relay.core.start import Starts
from relay.core.timing import CallSoon, Every
from relay.daemon.appliers import Appliers
from relay.daemon.load import load_backbone, load_journal
from relay.daemon.memory import Memory
from relay.daemon.reach import Reaching
from relay.daemon.reload import Reload
from relay.daemon.reports import StatusLine, Totals, exhausted
from relay.daemon.systemd import Supervisor
from relay.feeds.feeds import Feeds
from relay.net.certificates import RenewableContext, read_bytes
from relay.net.families import ipv4_numbers
from relay.net.listening import Transport
from relay.net.ports import CannotStart, Ports
from relay.net.tcp import PublisherTransport, SubscriberTransport
from relay.observe.stats import Stats
from relay.observe.turns import Turns
from relay.peers.acks import Acks
from relay.peers.admission import Admission
from relay.peers.drain import Drain
from relay.peers.idle_message import IdleMessage
from relay.peers.intake import Intake
from relay.peers.names import Names
from relay.peers.publisher import PublisherFactory
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.sessions import Acceptance, Sessions
from relay.peers.subscriber import SubscriberFactory
from relay.web.load import Access, Contents, load_site
from relay.wire.position import Epoch, new_epoch
from relay.wire.raw import Raw

if TYPE_CHECKING:
    from relay.daemon.backbone import Sharing
    from relay.daemon.journal import Recording
    from relay.journal.journal import DiskJournal
    from relay.web.site import Site


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the program that runs a relay gives it."""

    reactor: Any  # Any: no interface has all that a reactor provides
    read: Callable[[], Config]
    """Reads the configuration anew, for a reload. Raises Faults if it cannot be used."""
    levels: LogLevelFilterPredicate = field(default_factory=LogLevelFilterPredicate)
    """Decides which events are important enough for the log."""
    supervisor: Supervisor = field(default_factory=Supervisor)
    """The service manager, which is told how the relay is."""
    admission: Admission = field(default_factory=Admission)
    """Counts connections against the limits."""
    intake: Intake = field(default_factory=lambda: Intake(time.monotonic))
    """Has publishers wait."""
    read_file: Callable[[str], bytes] = read_bytes
    """Reads a file for TLS. Raises OSError."""
    upstream: Callable[[Hub], IStreamClientEndpoint] | None = None
    """Makes what connects a worker to its relay; None if this is no worker."""


@dataclass
class Readiness:
    """Whether publishers and subscribers should connect now."""

    obstacle: str = "starting: not every port listens yet"
    """Why they should not, in words for people; empty if they should."""
    stopping: bool = False
    """Whether the relay has begun to stop, so that nobody should connect any more."""


class Entrance(NamedTuple):
    """An endpoint to listen on, and what serves the connections made there."""

    option: str
    """The name of the setting that asks for it."""
    endpoint: str
    factory: IProtocolFactory
    transport: Transport


class Registering(Protocol):
    """A part that has to be called at regular intervals."""

    def register(self, every: Every) -> None:
        """Ask `every` for these calls; they come until the relay stops."""
        ...


class Machinery(NamedTuple):
    """What passes messages on and counts connections. None of it knows about ports."""

    hub: Hub
    history: History
    feeds: Feeds | None
    """None without a web port."""
    sessions: Sessions
    intake: Intake
    admission: Admission
    lines: RateLimitedLog
    """Limits the log lines that peers can cause."""
    turns: Turns
    chores: Chores
    ends: Lane
    """Where connections that their peers have ended take their turns."""
    journal: DiskJournal | None
    """None without a journal."""
    sharing: Sharing | None
    """None without a backbone."""
    publishers: Registry
    subscribers: Registry
    """Subscribers connected by TCP."""
    events: Registry
    """Subscribers to server-sent events, at the web port."""
    sockets: Registry
    """Subscribers by WebSocket, at the web port."""
    reaching: Reaching
    """Makes the connections to others."""

    @property
    def trouble(self) -> str:
        """Why publishers wait for the journal or the backbone, in words for people; empty while they do not."""
        return (self.journal.trouble if self.journal else "") or (self.sharing.order.trouble if self.sharing else "")

    @property
    def all_subscribers(self) -> tuple[Registry, ...]:
        """The registries of subscribers, one for each feed."""
        return (self.subscribers, self.events, self.sockets)


class Relay(NamedTuple):
    """A relay, assembled but not started."""

    surroundings: Surroundings
    machinery: Machinery
    publishers: PublisherFactory
    subscribers: SubscriberFactory
    site: Site | None
    """None without a web port."""
    ports: Ports
    readiness: Readiness
    stats: Stats
    memory: Memory
    totals: Totals
    status: StatusLine
    appliers: Appliers
    reload: Reload
    """Also holds the configuration in force."""

    @property
    def registering(self) -> tuple[Registering, ...]:
        """The parts to be called at regular intervals while the relay runs."""
        machinery = self.machinery
        passing = (machinery.hub, machinery.history, machinery.intake, machinery.reaching)
        peers = (machinery.publishers, machinery.subscribers, self.subscribers, self.appliers.idle, machinery.lines)
        kept = filter(None, (machinery.journal, machinery.sharing and machinery.sharing.order))
        web = (machinery.feeds, self.site, machinery.turns) if machinery.feeds and self.site else ()
        return (*passing, *peers, *kept, *web, self.memory, self.totals, self.status)

    @property
    def entrances(self) -> tuple[Entrance, ...]:
        """Where to listen, in this order."""
        config, appliers, machinery = self.reload.config, self.appliers, self.machinery
        pace, ends = machinery.hub.pace, machinery.ends
        read = partial(PublisherTransport, pace.begin_read, pace.end_read, ends)
        send = partial(SubscriberTransport, config.send_buffer, ends)
        publish_tls, subscribe_tls = appliers.publisher_tls.wrap, appliers.subscriber_tls.wrap
        return (
            *(Entrance("publish", endpoint, self.publishers, read) for endpoint in config.publish),
            *(Entrance("publish-tls", endpoint, publish_tls(self.publishers), read) for endpoint in config.publish_tls),
            *(Entrance("subscribe", endpoint, self.subscribers, send) for endpoint in config.subscribe),
            *(
                Entrance("subscribe-tls", endpoint, subscribe_tls(self.subscribers), send)
                for endpoint in config.subscribe_tls
            ),
            *(Entrance("web", endpoint, self.site, send) for endpoint in config.web if self.site),
        )

    def make_drain(self, *others: Registry) -> Drain:
        """A drain of all connections, those in `others` too, with the drain timeout in force."""
        own = (self.machinery.publishers, *self.machinery.reaching.registries, *self.machinery.all_subscribers)
        registries = (*own, *others)
        return Drain(registries, self.appliers.drain_timeout, self.surroundings.reactor)


def assemble(config: Config, surroundings: Surroundings) -> Relay:
    """Make a relay with `config` in force. Raises CannotStart, for example if a certificate cannot be used."""
    machinery = _make_machinery(config, surroundings)
    sessions = machinery.sessions
    appliers = _make_appliers(machinery, surroundings)
    reload = Reload(
        config, read=surroundings.read, appliers=appliers.by_part(), certificate=lambda: appliers.certificate
    )
    stats = _make_stats(machinery, reload)
    readiness = Readiness()
    try:
        site = _make_site(machinery, stats, reload, appliers.web, readiness, surroundings.reactor)
        reload.apply(config)
    except Faults as faults:
        raise CannotStart(f"relay cannot start: {faults}") from None
    return Relay(
        surroundings=surroundings,
        machinery=machinery,
        publishers=PublisherFactory(
            machinery.publishers, machinery.hub, machinery.intake, partial(config.framing, config.max_message), sessions
        ),
        subscribers=SubscriberFactory(machinery.subscribers, machinery.hub, where(config)["publish"], sessions),
        site=site,
        ports=Ports(
            surroundings.reactor,
            keepalive=config.keepalive,
            exhausted=exhausted(machinery.lines),
            ipv4=ipv4_numbers(config.endpoints),
            count=len(config.endpoints),
        ),
        readiness=readiness,
        stats=stats,
        memory=Memory(lambda: machinery.admission.connections),
        totals=Totals(machinery.hub.log, stats),
        status=StatusLine(machinery.hub.log, stats, surroundings.supervisor),
        appliers=appliers,
        reload=reload,
    )


def _make_machinery(config: Config, surroundings: Surroundings) -> Machinery:
    reactor, admission, lines = surroundings.reactor, surroundings.admission, RateLimitedLog()
    call_soon, intake = partial(reactor.callLater, 0), surroundings.intake
    recording, sharing = load_journal(config, intake, reactor), load_backbone(config, intake, reactor)
    kept, journal = recording or sharing, recording.journal if recording else None
    hub = _make_hub(config, intake, kept, call_soon)
    history = History(hub)
    chores = Chores(hub.flush, call_soon, time.monotonic)
    cuts = chores.lane()
    feed = partial(Feeds, hub, config.framing, history, call_soon=call_soon)
    feeds = feed(call_later=reactor.callLater, clock=time.monotonic) if config.web else None
    sessions = _make_sessions(config, hub, history, intake, kept, reactor)
    if kept:
        history.use()
    if sharing:
        sessions.ack = "replicated"
    publishers = Registry("publisher", admission, lines, cuts=cuts)
    subscribers = Registry("subscriber", admission, lines, cuts=cuts)
    reach = partial(Reaching, reactor, sessions, intake, publishers, subscribers, upstream=surroundings.upstream)
    reaching = reach(mirrors=config.mirror is not None, sharing=sharing, journal=journal)
    return Machinery(
        hub=hub,
        history=history,
        feeds=feeds,
        sessions=sessions,
        intake=intake,
        admission=admission,
        lines=lines,
        turns=Turns(call_soon, time.monotonic),
        chores=chores,
        ends=chores.lane(patient=True),
        journal=journal,
        sharing=sharing,
        publishers=publishers,
        subscribers=subscribers,
        events=Registry("subscriber", admission, lines, feed="events", cuts=cuts),
        sockets=Registry("subscriber", admission, lines, feed="ws", cuts=cuts),
        reaching=reaching,
    )


def _make_hub(config: Config, intake: Intake, kept: Recording | Sharing | None, call_soon: CallSoon) -> Hub:
    budget, ends, told = Budget(config.buffer), config.framing.ends, config.framing.self_delimiting
    hub = Hub(
        kept.make_log(ends, budget.size * KEPT // 8, time.monotonic) if kept else Log(ends),
        budget,
        intake,
        call_soon=call_soon,
        clock=time.monotonic,
        pending=kept.make_pending(told) if kept else Pending(told),
        max_read=config.max_message if config.framing is Raw else MAX_READ,
        replay=config.replay,
    )
    if kept:
        kept.attach(hub, ends, time.monotonic)
    return hub


def _make_sessions(
    config: Config, hub: Hub, history: History, intake: Intake, kept: Recording | Sharing | None, reactor: Any
) -> Sessions:  # Any: as in Surroundings
    names, call_soon = Names(), partial(reactor.callLater, 0)
    acks: Acceptance = Acks(hub.flush, call_soon, time.monotonic)
    epochs, shared = [Epoch(new_epoch(), 1)], config.mirror is not None
    if kept:
        names.restore(kept.names)
        acks = kept.make_acks(hub.flush, call_soon, time.monotonic)
        epochs, shared = kept.epochs, shared or kept.shared
    starts = Starts(hub, history, epochs, time.monotonic, time.time, shared)
    return Sessions(
        hub,
        starts,
        names,
        acks,
        reactor.callLater,
        max_message=config.max_message,
        framing=config.framing,
        frame_timeout=lambda: intake.frame_timeout,
        **where(config),
    )


def _make_appliers(machinery: Machinery, surroundings: Surroundings) -> Appliers:
    handshakes = machinery.chores.lane()
    return Appliers(
        hub=machinery.hub,
        feeds=machinery.feeds,
        sessions=machinery.sessions,
        journal=machinery.journal,
        admission=machinery.admission,
        idle=IdleMessage(machinery.hub.log, machinery.subscribers, machinery.chores.lane()),
        intake=machinery.intake,
        publishers=machinery.publishers,
        subscribers=machinery.all_subscribers,
        reaching=machinery.reaching,
        publisher_tls=RenewableContext(handshakes),
        subscriber_tls=RenewableContext(handshakes),
        web=Access(),
        levels=surroundings.levels,
        read_file=surroundings.read_file,
    )


def _make_stats(machinery: Machinery, reload: Reload) -> Stats:
    return Stats(
        hub=machinery.hub,
        intake=machinery.intake,
        publishers=machinery.publishers,
        subscribers=(*machinery.all_subscribers, machinery.reaching.pushes),
        lines=machinery.lines,
        reloads=reload.done,
        clock=time.monotonic,
        turns=machinery.turns,
        sessions=machinery.sessions,
        journal=machinery.journal,
        sources=machinery.reaching.sources,
        reach=machinery.reaching.figures,
        backbone=machinery.sharing.order if machinery.sharing else None,
    )


def _make_site(
    machinery: Machinery, stats: Stats, reload: Reload, access: Access, readiness: Readiness, reactor: Any
) -> Site | None:
    if machinery.feeds is None:
        return None
    contents = Contents(
        stats=stats,
        feeds=machinery.feeds,
        sessions=machinery.sessions,
        events=machinery.events,
        sockets=machinery.sockets,
        settings=lambda: shown_settings(reload.config),
        unready=lambda: (
            readiness.obstacle or machinery.trouble or machinery.reaching.trouble or stats.elsewhere.trouble
        ),
        stopping=lambda: readiness.stopping,
        access=access,
        lines=machinery.lines,
        chores=machinery.chores,
    )
    return load_site(contents, reactor)
