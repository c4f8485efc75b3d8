"""The load: processes with publishers and subscribers, which are controlled through pipes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import TypeAlias

from tester.bench.counters import Counters
from tester.bench.phase import Connected, Failed, Phase, Received, Report, Sent, Site
from tester.bench.publishing import publish
from tester.bench.receiving import receive

PATIENCE = 30.0  # seconds that connecting, warming up, and the end of a phase may each take
WARM_UP = Phase(PATIENCE, rate=50, until_heard=True)

Advance: TypeAlias = Callable[[float], None]  # takes the seconds that have passed since the last call
Pipe: TypeAlias = "Connection[Phase, Report]"  # quoted: it is generic for type checkers alone


class LoadError(Exception):
    """The load could not be put on the system. The text says why, in one line."""


@dataclass(frozen=True)
class Outcome:
    """What all processes together report of a phase."""

    seconds: float  # from the first write to the last read
    published: int  # messages
    octets: int  # bytes that all subscribers together received
    incomplete: int  # subscribers that did not get everything
    damaged: int  # messages
    orders: int  # different orders in which subscribers saw the messages; 0 if not verified
    delays: Counter[int]  # microseconds, and how many messages took them
    generator_cores: float  # share of a core that the busiest process used
    generator_total: float  # cores that all processes used
    acks: Counter[int]  # microseconds, and how many writes were acknowledged in them
    unacknowledged: int  # messages that should have been acknowledged


def processes_for(subscribers: int, cores: int) -> int:
    """How many processes receive: one or more, at most 4, leaving a core each to the system and the publishers."""
    return max(1, min(subscribers, cores - 2, 4))


class Load:
    """Publishers and subscribers; within a `with` block they are connected and warmed up."""

    def __init__(self, site: Site, subscribers: int, publishers: int, window: int) -> None:
        context = multiprocessing.get_context("spawn")
        places = processes_for(subscribers, os.cpu_count() or 1)
        self._counters = Counters(context, places)
        self._processes: list[SpawnProcess] = []
        self._receivers: list[Pipe] = []
        self._publisher: Pipe
        self.connected = Connected()
        """The TLS version and cipher of the connections."""
        # Ctrl-C is for this process alone, which then ends the others: they inherit that SIGINT is blocked. The first
        # one started would also start multiprocessing's tracker, which unblocks SIGINT; so the tracker is started now.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for place in range(places):
                share = len(range(place, subscribers, places))
                self._receivers.append(self._start(context, receive, site, share, place))
            self._publisher = self._start(context, publish, site, publishers, window)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def _start(
        self, context: multiprocessing.context.SpawnContext, target: Callable[..., None], *arguments: object
    ) -> Pipe:
        here, there = context.Pipe()
        process = context.Process(target=target, args=(*arguments, self._counters, there), daemon=True)
        process.start()
        there.close()
        self._processes.append(process)
        return here

    def __enter__(self) -> Load:
        try:
            reports = self._collect([*self._receivers, self._publisher], PATIENCE)
            self.connected = next(report for report in reports if isinstance(report, Connected))
            deaf = self.run(WARM_UP).incomplete
            if deaf:
                raise LoadError(f"{deaf} subscribers received nothing within {PATIENCE:g} seconds")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for pipe in (*self._receivers, self._publisher):
            pipe.close()

    def run(self, phase: Phase, advance: Advance = lambda _: None) -> Outcome:
        """Run a phase; `advance`: told again and again how much time has passed."""
        self._begin(phase)
        reports = self._collect([*self._receivers, self._publisher], phase.seconds + PATIENCE, advance)
        received = [report for report in reports if isinstance(report, Received)]
        (sent,) = [report for report in reports if isinstance(report, Sent)]
        seconds = max(report.finished for report in received) - sent.started
        shares = [sent.cpu / seconds, *(report.cpu / seconds for report in received)]
        return Outcome(
            seconds,
            sent.messages,
            octets=sum(report.octets for report in received),
            incomplete=sum(report.incomplete for report in received),
            damaged=sum(report.damaged for report in received),
            orders=len(frozenset[int]().union(*(report.orders for report in received))),
            delays=sum((report.delays for report in received), Counter[int]()),
            generator_cores=max(shares),
            generator_total=sum(shares),
            acks=sent.acks,
            unacknowledged=sent.unacknowledged,
        )

    def _begin(self, phase: Phase) -> None:
        self._counters.reset()
        for pipe in self._receivers:
            pipe.send(phase)
        self._collect(self._receivers, PATIENCE)
        self._publisher.send(phase)

    def _collect(self, pipes: list[Pipe], patience: float, advance: Advance = lambda _: None) -> list[Report]:
        """Wait for one report from each pipe.

        After `patience` seconds all processes are told to give up, and have `PATIENCE` seconds more to report.
        """
        reports: list[Report] = []
        waiting = list(pipes)
        now = time.monotonic()
        deadline = now + patience
        while waiting:
            for pipe in wait(waiting, 0.1):
                assert isinstance(pipe, Connection)
                reports.append(_report(pipe))
                waiting.remove(pipe)
            before, now = now, time.monotonic()
            advance(now - before)
            if now > deadline:
                if self._counters.stopped:
                    raise LoadError("the system takes nothing any more")
                self._counters.stop()
                deadline += PATIENCE
        return reports


def _report(pipe: Pipe) -> Report:
    try:
        report = pipe.recv()
    except EOFError:
        raise LoadError("a process of the load ended") from None
    if isinstance(report, Failed):
        raise LoadError(report.reason)
    return report
