"""What is measured, in which order: systems take turns, and each run has a server and a load of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from tester.bench.figures import Figures, figure, latency, median
from tester.bench.load import Load
from tester.bench.options import Options
from tester.bench.phase import Phase, Site
from tester.bench.server import Server, running
from tester.bench.systems import PEERS, RELAY, System

MODEST = 1000.0  # messages/s at which latency is measured after a flood, in which it would be that of full buffers
MODEST_DELIVERIES = 50_000.0  # a second: with many subscribers that are fewer messages
MODEST_BYTES = 500e6  # a second: and with long ones as well
MODEST_SECONDS = 3.0  # at most
UNDER_WAY = 4 * 2**30  # bytes for all subscribers: what it takes some seconds to deliver
SHORTEST_WINDOW = 512 * 1024  # bytes: a few writes


@dataclass(frozen=True)
class Run:
    """One system with one number of subscribers, once."""

    system: System
    subscribers: int
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """How long it takes, beside starting."""
        return sum(phase.seconds for phase in self.phases)


def plan(options: Options, systems: Sequence[System]) -> list[Run]:
    """All runs. The systems take turns, so that a machine whose speed drifts treats them alike."""
    return [
        Run(system, count, phases(options, count))
        for count in options.subscribers
        for _ in range(options.runs)
        for system in systems
    ]


def phases(options: Options, subscribers: int) -> tuple[Phase, ...]:
    """The load that was asked for, and another in which latency can be seen if that is a flood."""
    if options.rate is not None:
        return (Phase(options.seconds, options.rate, options.interval, options.verify, timed=True),)
    rate = min(MODEST, MODEST_DELIVERIES / subscribers, MODEST_BYTES / subscribers / options.size)
    return (
        Phase(options.seconds, None, verify=options.verify),
        Phase(min(options.seconds, MODEST_SECONDS), rate, timed=True),
    )


def window(options: Options, subscribers: int) -> int:
    """How many bytes publishers may be ahead: `--window`, but less if that would be very much for all together."""
    return min(options.window, max(UNDER_WAY // subscribers, SHORTEST_WINDOW, 4 * options.size))


def measure(run: Run, options: Options, advance: Callable[[float], None]) -> Figures:
    """Go through one run; `advance` is told now and then how many more of its seconds are over."""
    first, *more = run.phases
    with (
        start(run.system, options) as server,
        Load(server.site, run.subscribers, options.publishers, window(options, run.subscribers)) as load,
    ):
        before = server.cpu()
        outcome = load.run(first, advance)
        after = server.cpu()
        cpu = None if before is None or after is None else after - before
        memory = server.peak_memory()
        timed, seen = first, outcome
        for timed in () if outcome.incomplete else more:
            seen = load.run(timed, advance)
    figures = figure(run.system.name, run.subscribers, server.site.wire, outcome, cpu, memory)
    return replace(
        figures,
        latency=latency(seen.delays, seen.published / timed.seconds),
        tls=load.connected.tls,
        cipher=load.connected.cipher,
        orders=figures.orders if run.system.one_order else 0,
    )


def start(system: System, options: Options) -> AbstractContextManager[Server]:
    """The system, or the relay that runs already."""
    if system is RELAY and options.publish and options.subscribe:
        site = Site(options.publish, options.subscribe, system.wire(options.size), options.credentials)
        return nullcontext(Server(system, site, options.pid))
    return running(system, options.size, options.tls)


def chosen(names: Sequence[str], tls: bool, say: Callable[[str], None]) -> Iterator[System]:
    """The relay, and those of the peers that are installed and comparable. Says what is with the others."""
    yield RELAY
    for peer in map(PEERS.__getitem__, names):
        if tls and not peer.tls:
            say(f"{peer.name}: not comparable over TLS, which it is not started with here")
        elif peer.find() is None:
            say(f"{peer.name}: {peer.program} is not installed; to get it: {peer.how_to_get}")
        else:
            yield peer


def medians(results: Sequence[Figures]) -> list[Figures]:
    """One for each system with each number of subscribers."""
    kinds = dict.fromkeys((each.subscribers, each.system) for each in results)
    return [median([each for each in results if (each.subscribers, each.system) == kind]) for kind in kinds]
