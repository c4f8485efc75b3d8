"""The relay as a service of twistd: listens, starts its timers, and stops in the right order."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from relay.config.config import shared_endpoints
from relay.config.values import show_size
from relay.daemon.assembly import Entrance, Relay, Surroundings, assemble
from relay.daemon.logs import output
from relay.daemon.memory import settle
from relay.daemon.options import Options
from relay.daemon.reports import STATUS_INTERVAL
from relay.daemon.signals import Signals
from relay.daemon.systemd import supervisor
from relay.daemon.timers import Timers
from relay.net.ports import ROLES, CannotStart
from relay.peers.drain import Drain
from relay.wire.framings import framing_name

if TYPE_CHECKING:
    from relay.workers.workers import Workers

LOOK = 0.02
"""Seconds between two looks at whether a mirror knows what it mirrors."""
LATE = 1.0
"""Seconds after the drain in which workers have to end."""
STOP_MARGIN = 10.0
"""Seconds that stopping may take besides the drain: the machine may be busy, and the interpreter has to exit."""


class RelayService(Service):
    """Starts and stops a relay, and handles the signals in between."""

    logger = Logger()

    def __init__(self, relay: Relay) -> None:
        """`relay`: assembled, not started."""
        self.relay = relay
        self._reactor = relay.surroundings.reactor
        self._supervisor = relay.surroundings.supervisor
        self._timers = Timers(self._reactor)
        self._drain: Drain | None = None  # set when the relay begins to stop
        config = relay.reload.config
        self._shared = shared_endpoints(config) if config.workers else ()  # where workers listen
        self._closed = [one for one in relay.entrances if one[:2] not in self._shared]  # those that do not listen yet
        self._workers: Workers | None = None

    # Starting

    def listen_by_tcp(self, daemon_folder: str = "") -> None:
        """Listen where that is by TCP. Raises CannotStart.

        twistd calls nothing of a service before the log is begun, and a daemon is on its own. Before that, a failure is
        a line on standard error. Unix sockets wait, because twistd may yet change the folder and the mode of files; if
        it will be a daemon, they are tried.

        `daemon_folder`: the folder in which it will be one; empty if it will not.
        """
        self._listen([entrance for entrance in self._closed if "unix:" not in entrance.endpoint])
        if self._shared:
            from relay.daemon.workers import make_workers

            ports, count = self.relay.ports, self.relay.reload.config.workers
            self._workers = make_workers(self.relay, [ports.reserve(*one, count) for one in self._shared])
        if self._closed and daemon_folder:
            from relay.net.rehearsal import rehearse

            try:
                rehearse([(one.option, one.endpoint) for one in self._closed], daemon_folder)
            except CannotStart:
                self.relay.ports.stop(*ROLES)
                raise

    def privilegedStartService(self) -> None:
        try:
            self._listen(self._closed)
        except CannotStart as error:  # standard error is the log's by now, also where that is on standard output
            print(error, file=sys.__stderr__)
            raise

    def startService(self) -> None:
        self._listen(self._closed)  # if what started this did not call privilegedStartService, as twistd does
        super().startService()
        for part in (*self.relay.registering, *filter(None, [self._workers])):
            part.register(self._timers.every)
        self._reactor.callWhenRunning(self._begin)

    def _listen(self, entrances: Sequence[Entrance]) -> None:
        for entrance in tuple(entrances):
            self.relay.ports.listen(*entrance)
            self._closed.remove(entrance)

    def _begin(self) -> None:
        """Announce the relay, now that the reactor runs and accepts connections.

        Signals are handled before the announcement, because whoever reads it may send one at once.
        """
        settle()
        Signals(self._reactor, stop=self._stop, reload=self._reload).take()
        if sharing := self.relay.machinery.sharing:
            sharing.start()
        self.relay.machinery.reaching.start()
        self._start_workers()

    def _start_workers(self) -> None:
        """Start the workers, if there are to be some: a mirror's when it knows what it mirrors."""
        if self._workers is None:
            self._begun()
        elif self.relay.machinery.sessions.starts.complete:
            self.relay.readiness.obstacle = "starting: not every worker accepts connections yet"
            self._workers.start(self._begun)
        elif self.running:
            self._reactor.callLater(LOOK, self._start_workers)

    def _begun(self) -> None:
        if not self.running:
            return
        self.relay.readiness.obstacle = ""
        self._announce()
        self._supervisor.ready()
        self.relay.status.report(STATUS_INTERVAL)

    def _announce(self) -> None:
        """Log where the relay listens and how it is configured."""
        config = self.relay.reload.config
        self.relay.ports.announce(config)
        if certificate := self.relay.appliers.certificate:
            self.logger.info("certificate {certificate}", certificate=certificate)
        self.logger.info(
            "relaying messages of up to {max_message:,} bytes, framing {framing}; buffer {buffer}, "
            "slow subscribers: {slow}, stall timeout {stall_timeout:g} s, replay {replay:,}",
            max_message=config.max_message,
            framing=framing_name(config.framing),
            buffer=show_size(config.buffer),
            slow=config.slow.name,
            stall_timeout=config.stall_timeout,
            replay=config.replay,
        )
        if journal := self.relay.machinery.journal:
            from relay.daemon.journal import announce

            announce(journal)
        if sharing := self.relay.machinery.sharing:
            sharing.announce()

    # While it runs

    def _reload(self) -> None:
        if not self.running:
            return  # it stops: no change is worth making
        self._supervisor.reloading()
        try:
            if self.relay.reload() and self._workers is not None:
                from relay.daemon.workers import worker_settings

                self._workers.change(worker_settings(self.relay))
        finally:
            self._supervisor.ready()

    # Stopping

    def _stop(self, name: str) -> None:
        if self.running:
            self.logger.info("{signal} received, stopping", signal=name)
            self._reactor.stop()
        elif self._drain is not None:
            self.logger.info("{signal} received again, stopping at once", signal=name)
            self._drain.cut()
            if self._workers is not None:
                self._workers.kill()

    def stopService(self) -> Deferred[Any]:  # Any: nobody looks at the result
        """Stop listening, deliver what was published, and end every connection. Fires when all are gone."""
        super().stopService()
        relay, timeout = self.relay, self.relay.appliers.drain_timeout
        relay.readiness.obstacle, relay.readiness.stopping = "draining", True
        self._supervisor.stopping(timeout + STOP_MARGIN)
        self._timers.stop()
        relay.machinery.reaching.stop()
        stopped = relay.ports.stop(*ROLES.keys() - {"web"})
        relay.machinery.hub.flush()
        sharing = relay.machinery.sharing
        published = sharing.finish(timeout) if sharing else succeed(None)
        drained = published.addCallback(self._begin_drain).addCallback(self._close_log)
        return DeferredList([*stopped, drained])

    def _begin_drain(self, published: None) -> Deferred[None]:
        """Give subscribers what is left for them, now that all that was published is in the log."""
        relay = self.relay
        if lagging := relay.stats.snapshot().lagging:
            self.logger.info(
                "{lagging:,} subscribers lag: they have {seconds:g} s to read the rest",
                lagging=lagging,
                seconds=relay.appliers.drain_timeout,
            )
        if self._workers is None:
            self._drain = relay.make_drain()
            return self._drain.begin()
        timeout = relay.appliers.drain_timeout
        ended = self._workers.stop(timeout)
        self._reactor.callLater(timeout + LATE, self._workers.kill)
        self._drain = relay.make_drain(self._workers.registry)
        return DeferredList([self._drain.begin(), ended]).addCallback(lambda done: None)

    def _close_log(self, drained: None) -> Deferred[Any]:  # Any: nobody looks at the result
        """Close the journal or leave the backbone, now that nobody publishes, and then close the web port."""
        journal, sharing = self.relay.machinery.journal, self.relay.machinery.sharing
        if sharing is not None:
            return sharing.stop().addCallback(self._close_web)
        if journal is None:
            return self._close_web(None)
        from relay.daemon.journal import close_when_quiet

        return close_when_quiet(journal, self._reactor).addCallback(self._close_web)

    def _close_web(self, closed: None) -> Deferred[Any]:  # Any: nobody looks at the result
        """Close the web port, which stayed open to show the drain."""
        stopped = self.relay.ports.stop("web")
        if self.relay.site:
            for connection in tuple(self.relay.site.open):
                connection.cut()
        return DeferredList(stopped)


def makeService(options: Options) -> RelayService:
    """Make the service that twistd runs, from the options that twistd parsed."""
    from twisted.internet import reactor

    # Twisted's timers follow the wall clock, which may be set (https://github.com/twisted/twisted/issues/2424).
    cast(Any, reactor).seconds = time.monotonic  # Any: no interface says that this attribute can be assigned
    surroundings = Surroundings(
        reactor=reactor,
        read=options.config,
        levels=output.levels,
        supervisor=supervisor(os.environ, os.getpid()),
    )
    service = RelayService(assemble(options.config(), surroundings))
    service.listen_by_tcp(options.daemon_folder)
    return service


__all__ = ["CannotStart", "Options", "RelayService", "makeService"]
