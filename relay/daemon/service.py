"""The relay as a service of twistd: the only place that knows every class, and puts them together."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevelFilterPredicate

from relay.config.config import Config, Faults
from relay.config.values import show_size
from relay.core.budget import Budget
from relay.core.hub import MAX_READ, Hub
from relay.core.log import Log
from relay.daemon.logs import output
from relay.daemon.options import Options
from relay.daemon.reload import Reload
from relay.daemon.systemd import Supervisor, supervisor
from relay.feeds.feeds import Feeds
from relay.net.accepting import BACK_OFF
from relay.net.credentials import Credentials, RenewableContext, load_credentials
from relay.net.ports import ROLES, CannotStart, Ports
from relay.net.tcp import PublisherTransport, SubscriberTransport
from relay.observe.stats import Stats
from relay.observe.turns import Turns
from relay.peers.admission import MAX_CONNECTIONS as MOST_CONNECTIONS
from relay.peers.admission import MAX_WEB_CONNECTIONS as WEB
from relay.peers.admission import RESERVE, Admission, raise_descriptor_limit
from relay.peers.drain import Drain
from relay.peers.intake import Intake
from relay.peers.publisher import PublisherFactory
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.subscriber import SubscriberFactory
from relay.web.load import load_site
from relay.web.token import read_token
from relay.wire.framing import Raw

TOTALS = 60.0
"""Seconds between two lines of totals in the log."""
STATUS = 5.0
"""Seconds between two lines of status for the service manager."""
STOP_MARGIN = 10.0
"""Seconds that it may take to stop besides the drain: a busy machine, and the interpreter's own end."""


class RelayService(Service):
    """Listens, relays, and stops. What happens is told in the log."""

    log = Logger()

    def __init__(
        self,
        config: Config,
        reactor: Any,  # Any: no interface has all that a reactor provides
        read: Callable[[], Config] | None = None,
        levels: LogLevelFilterPredicate | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """`read` gives the configuration as it is when the relay is told to reload it; `levels` is what the log obeys;
        `supervisor` is told how the relay is.

        Raises CannotStart if a certificate cannot be used.
        """
        self.config = config
        self.reload = Reload(config, read or (lambda: config), self._apply)
        self._levels = levels or LogLevelFilterPredicate()
        self._supervisor = supervisor or Supervisor()
        self._reactor = reactor
        self._timers: list[LoopingCall] = []
        self._published = 0  # messages, when totals were last logged
        self._told = 0  # messages, when the status was last told
        self._drain: Drain | None = None
        self._unready = "starting: not every port listens yet"  # empty once all is well
        self._token: bytes | None = None
        framing = config.framing
        self.limits = Admission()
        self.lines = RateLimitedLog()
        self.ports = Ports(reactor, keepalive=config.keepalive, exhausted=self._tell_exhausted)
        self.intake = Intake(time.monotonic)
        self.hub = Hub(
            Log(framing.ends),
            Budget(config.buffer),
            self.intake,
            call_soon=partial(reactor.callLater, 0),
            clock=time.monotonic,
            self_delimiting=framing.self_delimiting,
            max_read=config.max_message if framing is Raw else MAX_READ,
            replay=config.replay,
        )
        self.publishers = PublisherFactory(
            Registry("publisher", self.limits, self.lines),
            self.hub,
            self.intake,
            partial(framing, config.max_message),
        )
        self.subscribers = SubscriberFactory(
            Registry("subscriber", self.limits, self.lines),
            self.hub,
            publish=" or ".join(config.publish + config.publish_tls),
        )
        events, sockets = (Registry("subscriber", self.limits, self.lines, feed=feed) for feed in ("events", "ws"))
        self._subscribers = (self.subscribers.registry, events, sockets)
        self._feeds = (
            Feeds(
                self.hub,
                framing,
                call_soon=partial(reactor.callLater, 0),
                call_later=reactor.callLater,
                clock=time.monotonic,
            )
            if config.web
            else None
        )
        self._turns = Turns(partial(reactor.callLater, 0), time.monotonic)
        self._stats = Stats(
            self.hub,
            self.intake,
            self.publishers.registry,
            self._subscribers,
            self.lines,
            self.reload.done,
            time.monotonic,
            self._turns,
        )
        self._publish_door, self._subscribe_door = RenewableContext(), RenewableContext()
        try:
            self._web = (
                load_site(
                    self._stats,
                    self._feeds,
                    events,
                    sockets,
                    lambda: self.config,
                    lambda: self._unready,
                    lambda: self._token,
                    self.lines,
                    reactor,
                )
                if self._feeds
                else None
            )
            self._apply(config, load_credentials(config))
        except Faults as faults:
            raise CannotStart(f"relay cannot start: {faults}") from None

    def _apply(self, config: Config, credentials: Credentials) -> None:
        """Put in force what can be changed while the relay runs; raises Faults, before anything is touched."""
        token = read_token(config.web_token_file)
        reserve = RESERVE + (WEB if config.web else 0)
        self.limits.max_connections = _most_connections(config.max_connections, reserve)
        self._token = token
        self.limits.max_per_address = config.max_per_address
        self.config = config
        self.hub.change(config.slow, config.stall_timeout)
        if self._feeds:
            self._feeds.change(config.slow, config.stall_timeout)
        self.intake.frame_timeout = config.frame_timeout
        self.publishers.registry.allowed = config.allow_publishers
        for accepted in self._subscribers:
            accepted.allowed = config.allow_subscribers
        for accepted in (self.publishers.registry, self.subscribers.registry):
            accepted.handshake_timeout = config.tls_timeout
        self._certificate = credentials.name
        self._publish_door.context = credentials.publishers
        self._subscribe_door.context = credentials.subscribers
        self._levels.setLogLevelForNamespace("", config.log_level)

    def _tell_exhausted(self, error: OSError) -> None:
        self.lines.warn(
            Ports.logger,
            "cannot accept connections: {error}; the next try is in {seconds:g} s",
            error=error.strerror,
            seconds=BACK_OFF,
        )

    # Starting

    def privilegedStartService(self) -> None:
        self._listen()

    def startService(self) -> None:
        if not self.ports.open:  # started by something else than twistd
            self._listen()
        super().startService()
        for part in (
            self.hub,
            self.intake,
            self.publishers.registry,
            self.subscribers.registry,
            self.subscribers,
            self.lines,
        ):
            part.register(self._every)
        if self._feeds and self._web:
            for web_part in (self._feeds, self._web, self._turns):
                web_part.register(self._every)
        self._every(TOTALS, self._log_totals)
        self._every(STATUS, self._tell_status)
        if self._supervisor.watchdog is not None:
            self._every(self._supervisor.watchdog, self._tell_alive)
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """The reactor runs: connections are accepted from now on, and who reads that in the log may send a signal."""
        self._take_signals()
        self._unready = ""
        config = self.config
        self.ports.announce(config)
        if self._certificate:
            self.log.info("certificate {certificate}", certificate=self._certificate)
        self.log.info(
            "relaying messages of up to {max_message:,} bytes, framing {framing}; buffer {buffer}, "
            "slow subscribers: {slow}, stall timeout {stall_timeout:g} s, replay {replay:,}",
            max_message=config.max_message,
            framing=config.framing.__name__.lower(),
            buffer=show_size(config.buffer),
            slow=config.slow.name,
            stall_timeout=config.stall_timeout,
            replay=config.replay,
        )
        self._supervisor.ready()
        self._tell_status(STATUS)

    def _listen(self) -> None:
        config = self.config
        read = partial(PublisherTransport, self.hub.begin_read, self.hub.end_read)
        send = partial(SubscriberTransport, config.send_buffer)
        for door, option, endpoints, factory, transport in (
            (None, "publish", config.publish, self.publishers, read),
            (self._publish_door, "publish-tls", config.publish_tls, self.publishers, read),
            (None, "subscribe", config.subscribe, self.subscribers, send),
            (self._subscribe_door, "subscribe-tls", config.subscribe_tls, self.subscribers, send),
        ):
            for endpoint in endpoints:
                self.ports.listen(option, endpoint, door.wrap(factory) if door else factory, transport)
        if self._web:
            for endpoint in config.web:
                self.ports.listen("web", endpoint, self._web, send)

    def _every(self, seconds: float, call: Callable[[float], None]) -> None:
        """Call that often, also after it failed: a LoopingCall by itself stops at the first exception.

        It is told how many seconds have passed since it was last called, at most `seconds`: what is more, the relay
        slept itself, stopped or suspended.
        """
        last = self._reactor.seconds()

        def guarded() -> None:
            nonlocal last
            passed, last = self._reactor.seconds() - last, self._reactor.seconds()
            try:
                call(min(passed, seconds))
            except Exception:
                self.log.failure("{call} failed", call=call.__qualname__)

        timer = LoopingCall(guarded)
        timer.clock = self._reactor
        timer.start(seconds, now=False)
        self._timers.append(timer)

    # While it runs

    def _log_totals(self, passed: float) -> None:
        """One line, if there was traffic since the last one."""
        log = self.hub.log
        published = log.next - 1
        if published == self._published:
            return
        now = self._stats.snapshot()
        self.log.info(
            "totals: {new:,} messages in the last minute, {published:,} messages, {bytes:,} bytes since the start; "
            "{publishers:,} publishers, {subscribers:,} subscribers ({lagging:,} lagging); buffer {held:,} bytes",
            new=published - self._published,
            published=published,
            bytes=log.size,
            publishers=len(self.publishers.registry.open),
            subscribers=sum(len(accepted.open) for accepted in self._subscribers),
            lagging=now.lagging,
            held=now.held,
        )
        self._published = published

    def _tell_status(self, passed: float) -> None:
        """How many there are, and how many messages a second there were since the last time."""
        published = self.hub.log.next - 1
        rate, self._told = (published - self._told) / passed, published
        publishers = len(self.publishers.registry.open)
        subscribers = sum(len(accepted.open) for accepted in self._subscribers)
        self._supervisor.status(f"{publishers:,} publishers, {subscribers:,} subscribers; {rate:,.0f} messages/s")

    def _tell_alive(self, passed: float) -> None:
        self._supervisor.alive()

    def _reload(self) -> None:
        self._supervisor.reloading()
        try:
            self.reload()
        finally:
            self._supervisor.ready()

    # Stopping

    def _take_signals(self) -> None:
        """Stop at SIGTERM and SIGINT, with status 0: the reactor's own handlers, set before, end with the signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_at_signal)
        signal.signal(signal.SIGHUP, lambda number, frame: self._reactor.callFromThread(self._reload))
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:  # else it rotates twistd's log file
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def _stop_at_signal(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._stop, signal.Signals(number).name)

    def _stop(self, name: str) -> None:
        if self.running:
            self.log.info("{signal} received, stopping", signal=name)
            self._reactor.stop()
        elif self._drain is not None:
            self.log.info("{signal} received again, stopping at once", signal=name)
            self._drain.cut()

    def stopService(self) -> Deferred[Any]:  # Any: nobody looks at what comes out
        """Stop listening, hand on what was published, and end every connection; fires when all are gone."""
        super().stopService()
        self._unready = "draining"
        self._supervisor.stopping(self.config.drain_timeout + STOP_MARGIN)
        for timer in self._timers:
            timer.stop()
        self._timers.clear()
        stopped = self.ports.stop(*ROLES.keys() - {"web"})
        self.hub.flush()
        accepted = [self.publishers.registry, *self._subscribers]
        self._drain = Drain(accepted, self.config.drain_timeout, self._reactor)
        if lagging := self._stats.snapshot().lagging:
            self.log.info(
                "{lagging:,} subscribers lag: they have {seconds:g} s to read the rest",
                lagging=lagging,
                seconds=self.config.drain_timeout,
            )
        return DeferredList([*stopped, self._drain.begin().addCallback(self._close_web)])

    def _close_web(self, drained: None) -> Deferred[Any]:  # Any: nobody looks at what comes out
        """The end of the drain is the end of the web port too, which tells of it until then."""
        stopped = self.ports.stop("web")
        for connection in tuple(self._web.open) if self._web else ():
            connection.cut()
        return DeferredList(stopped)


def _most_connections(wanted: int | None, reserve: int) -> int:
    """Have descriptors for so many connections, None for as many as there can be; returns how many there may be."""
    allowed = raise_descriptor_limit((wanted or MOST_CONNECTIONS) + reserve) - reserve
    if allowed < (wanted or 1):
        raise Faults(
            [
                f"max-connections: the limit of open files allows {max(allowed, 0):,}; "
                "raise it (ulimit -n, or LimitNOFILE= of systemd)"
            ]
        )
    return wanted or min(allowed, MOST_CONNECTIONS)


def makeService(options: Options) -> RelayService:
    """What twistd runs, from the options that it parsed."""
    from twisted.internet import reactor

    # Twisted's timers follow the wall clock, which somebody may set (https://github.com/twisted/twisted/issues/2424).
    cast(Any, reactor).seconds = time.monotonic  # Any: no interface says that it can be set
    return RelayService(options.config(), reactor, options.config, output.levels, supervisor(os.environ, os.getpid()))


__all__ = ["CannotStart", "Options", "RelayService", "makeService"]
