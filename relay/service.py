"""The relay as a service of twistd: the only place that knows every class, and puts them together."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.connection import Accepted, address_name
from relay.drain import Drain
from relay.framing import Raw
from relay.hub import READ, Hub
from relay.limits import MOST as MOST_CONNECTIONS
from relay.limits import RESERVE, Limits, raise_descriptor_limit
from relay.lines import Lines
from relay.log import Log
from relay.options import Config, Options, show_size
from relay.publisher import Intake, PublisherFactory
from relay.subscriber import SubscriberFactory
from relay.transport import PublisherTransport, SubscriberTransport, equip

SWEEP = 1.0
"""Seconds between two looks for connections whose time is over."""
TOTALS = 60.0
"""Seconds between two lines of totals in the log."""


class CannotStart(SystemExit, Exception):  # noqa: N818  # it is what happened, in the words of Twisted
    """A port cannot be had: the start ends with one line and status 1.

    It is both because twistd cleans up (pid file, the parent process that waits) after an Exception only, and the
    interpreter leaves out the traceback after a SystemExit only.
    """


class RelayService(Service):
    """Listens, relays, and stops. What happens is told in the log."""

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:  # Any: no interface has all that a reactor provides
        self.config = config
        self.ports: list[tuple[str, IListeningPort]] = []
        """What is listened on, with the role of who connects there."""
        self._reactor = reactor
        self._timers: list[LoopingCall] = []
        self._published = 0  # messages, when totals were last logged
        self._drain: Drain | None = None
        framing = config.framing
        self.limits = Limits(max_per_address=config.max_per_address)
        self.lines = Lines()
        self.intake = Intake(time.monotonic, config.frame_timeout)
        self.hub = Hub(
            Log(config.buffer, framing.ends),
            self.intake,
            call_soon=partial(reactor.callLater, 0),
            clock=time.monotonic,
            self_delimiting=framing.self_delimiting,
            read_limit=config.max_message if framing is Raw else READ,
            slow=config.slow,
            stall_timeout=config.stall_timeout,
            replay=config.replay,
        )
        self.publishers = PublisherFactory(
            Accepted("publisher", self.limits, self.lines),
            self.hub,
            self.intake,
            partial(framing, config.max_message),
        )
        self.subscribers = SubscriberFactory(
            Accepted("subscriber", self.limits, self.lines), self.hub, publish=" or ".join(config.publish)
        )

    # Starting

    def privilegedStartService(self) -> None:
        self._listen()

    def startService(self) -> None:
        if not self.ports:  # started by something else than twistd
            self._listen()
        super().startService()
        for sweep in (self.hub.sweep, self.intake.sweep, self.subscribers.sweep, self.lines.sweep):
            self._every(SWEEP, sweep)
        self._every(TOTALS, self._log_totals)
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        """The reactor runs: connections are accepted from now on, and who reads that in the log may send a signal."""
        self._take_signals()
        for role, port in self.ports:
            self.log.info("listening for {role} on {address}", role=role, address=address_name(port.getHost()))
        config = self.config
        self.log.info(
            "relaying messages of up to {max_message:,} bytes, framing {framing}; buffer {buffer}, "
            "slow subscribers: {slow}, stall timeout {stall_timeout:g} s, replay {replay:,}",
            max_message=config.max_message,
            framing=config.framing.__name__.lower(),
            buffer=show_size(config.buffer),
            slow=config.slow,
            stall_timeout=config.stall_timeout,
            replay=config.replay,
        )

    def _listen(self) -> None:
        config = self.config
        self._set_limit()
        for endpoint in config.publish:
            self._listen_on("publish", endpoint, self.publishers, partial(PublisherTransport, self.hub.read_size))
        for endpoint in config.subscribe:
            self._listen_on("subscribe", endpoint, self.subscribers, partial(SubscriberTransport, config.send_buffer))

    def _set_limit(self) -> None:
        """Have descriptors for as many connections as there may be."""
        most = self.config.max_connections
        allowed = raise_descriptor_limit((most or MOST_CONNECTIONS) + RESERVE) - RESERVE
        if allowed < (most or 1):
            raise CannotStart(
                f"relay cannot start: --max-connections {most or 'auto'}: the limit of open files allows "
                f"{max(allowed, 0):,}; raise it (ulimit -n, LimitNOFILE=)"
            )
        self.limits.max_connections = most or min(allowed, MOST_CONNECTIONS)

    def _listen_on(self, option: str, endpoint: str, factory: Factory, transport: Callable[..., Server]) -> None:
        """Listen on an endpoint; raises CannotStart if that is not so when this returns."""
        results: list[object] = []
        serverFromString(self._reactor, endpoint).listen(factory).addBoth(results.append)
        result = results[0] if results else Failure(RuntimeError("it does not listen at once"))
        if isinstance(result, Failure):
            for _, port in self.ports:
                port.stopListening()
            self.ports.clear()
            raise CannotStart(f"relay cannot start: --{option} {endpoint}: {_why(result.value)}")
        port = cast(IListeningPort, result)
        equip(port, transport, self.config.keepalive, self.lines)
        self.ports.append((option.rstrip("e") + "ers", port))

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
        log, hub = self.hub.log, self.hub
        published = log.next - 1
        if published == self._published:
            return
        self.log.info(
            "totals: {new:,} messages in the last minute, {published:,} messages, {bytes:,} bytes since the start; "
            "{publishers:,} publishers, {subscribers:,} subscribers ({lagging:,} lagging); buffer {held:,} bytes",
            new=published - self._published,
            published=published,
            bytes=log.size,
            publishers=len(self.publishers.accepted.open),
            subscribers=len(self.subscribers.accepted.open),
            lagging=hub.lagging,
            held=log.held,
        )
        self._published = published

    # Stopping

    def _take_signals(self) -> None:
        """Stop at SIGTERM and SIGINT, with status 0: the reactor's own handlers, set before, end with the signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_at_signal)
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
        for timer in self._timers:
            timer.stop()
        self._timers.clear()
        stopped = [maybeDeferred(port.stopListening) for _, port in self.ports]
        self.ports.clear()
        for publisher in tuple(self.publishers.accepted.open):
            publisher.drain()
        self.hub.flush()
        accepted = [self.publishers.accepted, self.subscribers.accepted]
        self._drain = Drain(accepted, self.config.drain_timeout, self._reactor)
        if self.hub.lagging:
            self.log.info(
                "{lagging:,} subscribers lag: they have {seconds:g} s to read the rest",
                lagging=self.hub.lagging,
                seconds=self.config.drain_timeout,
            )
        return DeferredList([*stopped, self._drain.begin()])


def _why(error: BaseException | None) -> str:
    if isinstance(error, CannotListenError):
        return f"cannot listen on {error.port}: {error.socketError}"
    return str(error)


def makeService(options: Options) -> RelayService:
    """What twistd runs, from the options that it parsed."""
    from twisted.internet import reactor

    # Twisted's timers follow the wall clock, which somebody may set (https://github.com/twisted/twisted/issues/2424).
    cast(Any, reactor).seconds = time.monotonic  # Any: no interface says that it can be set
    return RelayService(options.config(), reactor)


__all__ = ["CannotStart", "Options", "RelayService", "makeService"]
