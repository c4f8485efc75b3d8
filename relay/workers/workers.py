"""All workers: they are started, asked what they do, replaced when they end or hang, and told to stop.

A worker is a process that mirrors this relay over a pair of sockets, and takes subscribers. It listens on sockets that
this process has made and keeps. So while a worker is replaced, connections wait, and none is refused.

The connections of all processes are counted here against the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.core.cursor import Lag, Tally
from relay.core.slow import SlowPolicy
from relay.core.state import State
from relay.core.throttle import Throttle
from relay.core.timing import SWEEP, Clock, Every
from relay.observe.roster import Row
from relay.observe.stats import NOT_LISTED, Listed, Snapshot, WorkerFigures
from relay.observe.sums import add, over
from relay.peers.admission import Admission
from relay.peers.ended_connection import EndedConnection
from relay.peers.intake import SUBSCRIBERS, WORKERS, Intake
from relay.peers.registry import Registry
from relay.peers.subscriber import SubscriberFactory
from relay.wire.close_reason import CloseReason
from relay.workers.inquiries import Inquiries, ended
from relay.workers.lending import Lending
from relay.workers.messages import (
    Borrow,
    Change,
    Counted,
    Find,
    Held,
    Logged,
    Message,
    Ready,
    Refuse,
    Report,
    Settings,
    Stop,
)
from relay.workers.worker import Worker

PATIENCE = 5.0
"""Seconds that a worker may owe a report before it is killed. It answers between two turns, which take milliseconds."""
AGAIN = 1.0
"""Seconds to the next try when a worker has ended before it was this old."""
FRESH = 0.2
"""Seconds for which a report is as good as another one."""
FAR = 4 * 1024 * 1024
"""Bytes that a worker may be behind before publishers wait. What is published so fast is still in the processor's cache
when workers get it."""
NEAR = FAR // 4
"""Bytes that workers may be behind when publishers go on."""


class Lockstep(SlowPolicy):
    """Has publishers wait for workers, so that a flood is no faster than workers are."""

    name = "lockstep"
    holds = True

    def hold(self, behind: int, limit: int, held: bool) -> bool:
        return behind > max(0, min(NEAR if held else FAR, limit // 4))  # what is lent may be more than there is


class Workers:
    """The workers of a relay."""

    logger = Logger()
    replaced = 0
    """Workers that have ended and were replaced."""
    _on_ready: Callable[[], None] | None = None
    _stopped: Deferred[None] | None = None

    def __init__(
        self,
        count: int,
        *,
        begin: Callable[[], Message],
        factory: SubscriberFactory,
        admission: Admission,
        intake: Intake,
        publish_event: Callable[[Logged, int], None],
        lending: Lending | None,
        reactor: Any,  # Any: a reactor
        clock: Clock,
    ) -> None:
        """`begin`: makes what a worker is told first. `factory`: makes the connections for messages to workers.

        `admission`: counts the connections of all processes. `publish_event`: writes an event of a worker's log, given
        with the worker's place. `lending`: lends the journal to workers; None without one.
        """
        self.count = count
        self.ports: Sequence[Sequence[int]] = [()] * count
        """For each place, the descriptors that its worker listens on."""
        self._begin = begin
        self._factory = factory
        self._admission = admission
        self._intake = intake
        self._publish_event = publish_event
        self._lending = lending
        self._reactor = reactor
        self._clock = clock
        self._workers: dict[int, Worker] = {}
        self._admitted: dict[Worker, list[str | None]] = {}
        self._past: list[Snapshot] = []  # of those that were replaced: one sum for each place
        self._inquiries = Inquiries(reactor.callLater)
        self.throttle = Throttle(self, partial(reactor.callLater, 0), lambda: LOCKSTEP, self._backlog, lambda: NOWHERE)
        """Makes publishers wait while a worker is behind."""
        self._held_seconds = 0.0  # in which they did; while they do, without the time by `clock`

    @property
    def registry(self) -> Registry:
        """The connections for messages."""
        return self._factory.registry

    # Their lives

    def start(self, on_ready: Callable[[], None]) -> None:
        """Start all. `on_ready`: called when all accept connections."""
        self._on_ready = on_ready
        for place in range(1, self.count + 1):
            self._start(place)

    def _start(self, place: int) -> None:
        if self._stopped is not None:
            return
        worker = self._workers[place] = Worker(place, self, self._clock)
        self._admitted[worker] = []
        worker.start(self._reactor, self.ports[place - 1])
        worker.tell(self._begin())
        worker.connect(self._reactor, self._factory.buildProtocol(None))

    def heard(self, worker: Worker, message: Message) -> None:
        """Take what a worker tells."""
        if worker not in self._admitted:
            return  # its process has ended: it is settled
        match message:
            case Ready():
                worker.ready = True
                worker.ask()  # so that there is something to go by if it is lost at once
                self._look_whether_ready()
            case Counted():
                self._count(worker, message)
            case Held(held):
                (self._intake.hold if held else self._intake.release)(SUBSCRIBERS, where=worker)
                self.throttle.look_soon()
            case Logged():
                self._publish_event(message, worker.place)
            case Report():
                self._inquiries.reported(worker, message)
            case Borrow() if self._lending is not None:
                self._lending.borrow(worker.tell, message)
            case Find() if self._lending is not None:
                self._lending.find(worker.tell, message)

    def _look_whether_ready(self) -> None:
        if self._on_ready is not None and self.ready == self.count:
            on_ready, self._on_ready = self._on_ready, None
            on_ready()

    def gone(self, worker: Worker, how: str) -> None:
        """A worker's process has ended: replace it."""
        self._intake.release(SUBSCRIBERS, where=worker)
        admitted = self._admitted.pop(worker)
        for host in admitted:
            self._admission.release(host)
        if worker.subscriber is not None and not worker.subscriber.lifecycle.ending:
            worker.subscriber.abort(CloseReason.CONNECTION_LOST)
        if worker.report is not None:
            self._past.append(over(worker.report.snapshot, sum(host is not None for host in admitted)))
            self._past = [add(self._past[0], self._past[1:])]
        self._workers.pop(worker.place)
        self._inquiries.gone(worker)
        if self._stopped is not None:
            if not self._workers:
                self._stopped.callback(None)
            return
        self.replaced += 1
        age = self._clock() - worker.begun
        self.logger.error(
            "worker {place} has ended {how}: its subscribers are disconnected, and another one takes its place",
            place=worker.place,
            how=how or "by itself",
        )
        self._reactor.callLater(0 if age > AGAIN else AGAIN, self._start, worker.place)

    def change(self, settings: Settings) -> None:
        """Have all apply other settings."""
        for worker in self._workers.values():
            worker.tell(Change(settings))

    def stop(self, timeout: float) -> Deferred[None]:
        """Have all give subscribers what is left for them, within `timeout` seconds. Fires when they have ended."""
        self._stopped = Deferred()
        for worker in self._workers.values():
            worker.tell(Stop(timeout))
        if not self._workers:
            self._stopped.callback(None)
        return self._stopped

    def kill(self) -> None:
        """End those that are still there: there is no time left."""
        for worker in self._workers.values():
            worker.kill()

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)
        self._factory.register(every)
        self.registry.register(every)

    def sweep(self, passed: float) -> None:
        """Ask all what they do, and kill those that do not answer. `passed`: is not used."""
        now = self._clock()
        for worker in tuple(self._workers.values()):
            if worker.asked is not None and now - worker.asked > PATIENCE and worker.ready:
                self.logger.error("worker {place} does not answer: it is killed", place=worker.place)
                worker.kill()
            else:
                worker.ask()
                if self._lending is not None:
                    worker.tell(self._lending.kept())
            if worker.subscriber is not None and worker.subscriber.state is State.ENDED:
                worker.connect(self._reactor, self._factory.buildProtocol(None))

    # Limits

    def _count(self, worker: Worker, counted: Counted) -> None:
        """Count what a worker has admitted, and refuse what is too much."""
        admitted = self._admitted[worker]
        for host in counted.admitted:
            refusal = self._admission.refusal(host)
            self._admission.admit(host)
            admitted.append(host)
            if refusal is not None:
                worker.tell(Refuse(host, refusal))
        for host in counted.released:
            self._admission.release(host)
            admitted.remove(host)

    # What they do

    @property
    def ready(self) -> int:
        """How many accept connections."""
        return sum(worker.ready for worker in self._workers.values())

    @property
    def trouble(self) -> str:
        """As in `Elsewhere`."""
        return "" if self.ready else "no worker accepts connections"

    @property
    def reports(self) -> dict[int, Report | None]:
        """The last report from each place."""
        return {
            place: worker.report if (worker := self._workers.get(place)) else None for place in range(1, self.count + 1)
        }

    def add_to(self, own: Snapshot) -> Snapshot:
        """`own` with what all workers do, and those did that were replaced."""
        total = add(own, [*self._past, *(report.snapshot for report in self.reports.values() if report)])
        return replace(
            total,
            workers=tuple(map(self._figures, self.reports)),
            replaced=self.replaced,
            workers_held=self.throttle.holds,
            workers_held_seconds=self._held_seconds + (self._clock() if self.throttle.holds else 0.0),
        )

    def _figures(self, place: int) -> WorkerFigures:
        worker = self._workers.get(place)
        if worker is None or worker.report is None:
            return WorkerFigures(place, False, 0, 0.0, 0, Tally(0, 0, 0))
        report = worker.report
        connections = sum(host is not None for host in self._admitted[worker])
        return WorkerFigures(place, worker.ready, connections, report.cpu, report.memory, report.snapshot.delivered)

    def connected(self, role: str) -> int:
        """How many connections with that role all had open when they last reported."""
        snapshots = [report.snapshot for report in self.reports.values() if report]
        return sum(one.open for snapshot in snapshots for one in snapshot.roles if one.name == role)

    @property
    def slowest(self) -> list[Row]:
        """Those of their connections that lag by the most bytes."""
        return [row for report in self.reports.values() if report for row in report.slowest]

    @property
    def ended(self) -> list[EndedConnection]:
        """The last connections that have ended, as far as they were reported, the oldest first."""
        return ended(one for one in self.reports.values() if one)

    def refresh(self, after: int | None, then: Callable[[Listed], object]) -> None:
        """As `Elsewhere`."""
        asked = [worker for worker in self._workers.values() if worker.ready]
        now = self._clock()
        if not asked or (after is None and all(now - worker.reported < FRESH for worker in asked)):
            then(NOT_LISTED)
            return
        self._inquiries.begin({worker: worker.ask(after) for worker in asked}, then)

    # Pace

    @property
    def alone(self) -> bool:
        """As `Inflow`: it is not asked."""
        return False

    def pause(self, lag: Lag) -> None:
        """Have publishers wait. In a flood that happens all the time."""
        self._held_seconds -= self._clock()
        self._intake.hold(WORKERS)

    def resume(self) -> None:
        """Let publishers go on."""
        self._held_seconds += self._clock()
        self._intake.release(WORKERS)

    def _backlog(self) -> tuple[int, int]:
        """Bytes that the worker furthest behind has yet to be given, and how many the log may hold.

        One that waits for its own subscribers is not counted: publishers wait for those already.
        """
        behind, limit = 0, 0
        for worker in self._workers.values():
            subscriber = worker.subscriber
            subscription = subscriber.source.subscription if subscriber is not None else None
            if subscription is not None and subscription.attached and not worker.held:
                log, limit = subscriber.source.hub.log, subscriber.source.hub.budget.limit  # type: ignore[union-attr]
                if not subscription.cursor.live:
                    behind = max(behind, log.behind(subscription.cursor.needs(log)))
        return behind, limit


LOCKSTEP = Lockstep()
NOWHERE = Lag(0, 0, 0.0)
