"""A worker: a process that mirrors its relay, and takes subscribers. The relay starts it, and nobody else does.

It does what it is told over a channel (`relay.workers.messages`), and ends at once when the relay is gone: whoever was
connected comes back to the next relay. Signals are for the relay, which says what to do.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from os import _exit as end_at_once
from typing import Any, NoReturn, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)

from relay import __version__
from relay.config.config import Faults
from relay.core.hub import Hub
from relay.core.past import READ_PART, Past
from relay.core.slow import SLOW_POLICIES
from relay.daemon.assembly import Relay, Surroundings, assemble
from relay.daemon.logs import PLAIN
from relay.daemon.memory import settle
from relay.daemon.timers import Timers
from relay.net.pair import PairEndpoint, adopt
from relay.net.ports import CannotStart
from relay.net.shared_ports import Inheriting
from relay.observe.roster import ENDED, SLOWEST, ended, page, slowest
from relay.peers.ended_connection import REMEMBERED
from relay.workers.admission import ReportingAdmission
from relay.workers.channel import Channel
from relay.workers.distant_journal import DistantReader
from relay.workers.intake import ReportingIntake
from relay.workers.messages import (
    Ask,
    Begin,
    Change,
    Connect,
    Connected,
    Found,
    Kept,
    Lent,
    Logged,
    Message,
    Ready,
    Refuse,
    Report,
    Settings,
    Stop,
)
from relay.workers.worker import CONTROL

LOOK = 0.01
"""Seconds between two looks at whether the worker has what it waits for."""
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class WorkerProcess:
    """The worker that this process is."""

    logger = Logger()

    def __init__(self, reactor: Any, end: Callable[[int], NoReturn] = end_at_once) -> None:  # Any: a reactor
        """`end`: ends this process with a status."""
        self.levels = LogLevelFilterPredicate()
        """Decides which events are important enough to be told."""
        self.channel = Channel(self._heard, self._orphaned)
        self._reactor = reactor
        self._timers = Timers(reactor)
        self._upstream: PairEndpoint | None = None
        self._relay: Relay | None = None
        self._reader: DistantReader | None = None
        self._files: Mapping[str, bytes] = {}  # for TLS
        self._stopping = False
        self._end = end

    def observe(self, event: LogEvent) -> None:
        """Tell an event of the log, unless it is about what every worker does, or Twisted's own."""
        quiet = event.get("log_namespace") in ("log_legacy", "relay.reach.pull.PullLink")
        if not quiet or event.get("log_failure") is not None:
            self.channel.tell(logged(event))

    def _heard(self, message: Message) -> None:
        match message:
            case Begin():
                self._begin(message)
            case Connect():
                assert self._upstream is not None
                self._upstream.give(self.channel.sockets.pop(0))
                self.channel.tell(Connected())
            case Kept() if self._reader is not None and self._relay is not None:
                self._reader.kept = message
                assert self._relay.machinery.hub.past is not None
                self._relay.machinery.hub.past.dropped()
            case Lent() if self._reader is not None:
                self._reader.lent(message)
            case Found() if self._reader is not None:
                self._reader.found(message)
            case Change(settings):
                self._change(settings)
            case Ask(number, after):
                self._report(number, after)
            case Refuse():
                self._refuse(message)
            case Stop(timeout):
                self._stop(timeout)

    def _orphaned(self) -> None:
        """The relay is gone."""
        if not self._stopping:
            self._end(1)

    # Its beginning

    def _begin(self, begin: Begin) -> None:
        if begin.version != __version__:
            self._fail(f"this installation has the version {__version__}, and the relay {begin.version}: restart it")
        numbers, call_soon = count(begin.numbers), partial(self._reactor.callLater, 0)
        surroundings = Surroundings(
            reactor=self._reactor,
            read=lambda: begin.settings.config,
            levels=self.levels,
            admission=ReportingAdmission(numbers, call_soon, self.channel.tell),
            intake=ReportingIntake(time.monotonic, self.channel.tell),
            read_file=lambda file: self._files[file],
            upstream=self._make_upstream,
        )
        self._files = begin.settings.files
        try:
            self._relay = relay = assemble(begin.settings.config, surroundings)
        except CannotStart as error:
            self._fail(str(error))
        if begin.kept is not None:
            self._read_distant_journal(relay, begin.kept)
        for part in relay.registering:
            if part not in (relay.totals, relay.status):  # the relay reports for all
                part.register(self._timers.every)
        relay.machinery.reaching.start()
        self._listen_when_current(begin)

    def _read_distant_journal(self, relay: Relay, kept: Kept) -> None:
        """Have subscribers that are older than the log go on in the relay's journal."""
        hub, starts, config = relay.machinery.hub, relay.machinery.sessions.starts, relay.reload.config
        loan, log, ends = hub.budget.loan(), hub.log, config.framing.ends
        self._reader = reader = DistantReader(
            self.channel.tell,
            time.time,
            lambda: log.next,
            lambda: starts.epoch,
            config.buffer // READ_PART,
            loan.hold,
        )
        reader.kept = kept
        hub.past = Past(hub, reader, ends, time.monotonic, damaged=lambda error: None)  # the relay tells of it

    def _make_upstream(self, hub: Hub) -> PairEndpoint:
        self._upstream = PairEndpoint(hub.pace.begin_read, hub.pace.end_read, "the relay", self._reactor)
        return self._upstream

    def _listen_when_current(self, begin: Begin) -> None:
        relay = self._relay
        assert relay is not None
        if relay.machinery.reaching.trouble:
            self._reactor.callLater(LOOK, self._listen_when_current, begin)
            return
        relay.ports.inherit(Inheriting(self._reactor, begin.descriptors))
        try:
            for entrance in relay.entrances:
                if entrance.option.startswith("subscribe"):
                    relay.ports.listen(*entrance)
        except CannotStart as error:
            self._fail(str(error))
        settle()
        self.channel.tell(Ready())

    def _fail(self, why: str) -> NoReturn:
        print(f"worker: {why}", file=sys.stderr)
        sys.stderr.flush()
        self._end(1)

    # While it runs

    def _change(self, settings: Settings) -> None:
        """Put `settings` in force. The relay has done so and logged it; only descriptors may be too few here."""
        if self._relay is None:
            return
        self._files = settings.files
        try:
            self._relay.reload.apply(settings.config)
        except Faults as faults:
            self.logger.warn("reload failed, everything stays as it was: {faults}", faults=str(faults))

    def _report(self, number: int = 0, after: int | None = None) -> None:
        relay = self._relay
        if relay is None:
            return
        own = relay.stats.registries
        rows = () if after is None else tuple(page(own, after, relay.stats.clock)[0])
        slow = tuple(slowest(own, relay.stats.clock, SLOWEST)) if relay.machinery.hub.lagging else ()
        gone = tuple(reversed(ended(own, ENDED if after is None else REMEMBERED)))
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        self.channel.tell(Report(relay.stats.snapshot(), cpu, resident(), rows, slow, gone, number))

    def _refuse(self, refuse: Refuse) -> None:
        if self._relay is None:
            return
        for connection in reversed(self._relay.machinery.subscribers.open):
            if connection.host == refuse.host and not connection.lifecycle.ending:
                connection.abort(refuse.reason, "counted with all workers")
                return

    # Its end

    def _stop(self, timeout: float) -> None:
        if self._stopping or self._relay is None:
            self._end(0)
        self._stopping = True
        self._timers.stop()
        relay = self._relay
        hub = relay.machinery.hub
        # With `block` it would not read what the relay still has for it; and that shall cost nobody its place.
        hub.change(SLOW_POLICIES["disconnect"], hub.stall_timeout)
        hub.budget.grow(hub.budget.size)
        relay.machinery.reaching.stop()
        relay.ports.stop("subscribe", "subscribe-tls")
        self._drain_when_complete(self._reactor.seconds() + timeout)

    def _drain_when_complete(self, deadline: float) -> None:
        """Give subscribers what is left for them once the relay has ended the connection for messages."""
        relay = self._relay
        assert relay is not None
        left = deadline - self._reactor.seconds()
        if relay.machinery.reaching.sources.open and left > 0:
            self._reactor.callLater(LOOK, self._drain_when_complete, deadline)
            return
        relay.machinery.hub.flush()
        relay.appliers.drain_timeout = max(0.0, left)
        relay.make_drain().begin().addCallback(lambda done: self._finish())

    def _finish(self) -> None:
        self._report()
        transport = cast(Any, self.channel.transport)  # Any: Twisted declares less than it has
        transport.loseConnection()
        self._reactor.callLater(LOOK, self._reactor.stop)


def logged(event: LogEvent) -> Logged:
    """An event of the log for the relay."""
    kept: dict[str, object] = {key: event[key] for key in ("log_format", "log_time", "log_namespace") if key in event}
    fields = {key: value for key, value in event.items() if not key.startswith("log_")}
    plain: dict[str, object] = {key: value if isinstance(value, PLAIN) else str(value) for key, value in fields.items()}
    failure, level = event.get("log_failure"), event.get("log_level") or LogLevel.info
    return Logged(level.name, kept | plain, "" if failure is None else failure.getTraceback())


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * PAGE_SIZE
    except OSError:
        return 0


def main() -> None:
    """Be a worker until the relay says otherwise."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    from twisted.internet import reactor

    cast(Any, reactor).seconds = time.monotonic  # Any: as in `relay.daemon.service`
    worker = WorkerProcess(reactor)
    observer = FilteringLogObserver(cast(ILogObserver, worker.observe), [worker.levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    adopt(socket.socket(fileno=CONTROL), worker.channel, reactor)
    cast(Any, reactor).run(installSignalHandlers=False)


if __name__ == "__main__":
    main()
