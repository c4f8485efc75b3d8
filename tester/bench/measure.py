"""What is measured, and in which order: systems take turns, and each run has its own server and load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from tester.bench.figures import Figures, acks, figure, latency, median
from tester.bench.load import Load
from tester.bench.options import Options
from tester.bench.phase import Phase, Site
from tester.bench.server import Server, running
from tester.bench.systems import PEERS, RELAY, System, relay, with_workers

# Latency is measured in a phase of its own after a flood, in which it would only be that of full buffers.
MODEST = 1000.0  # messages per second in that phase, at most
MODEST_DELIVERIES = 50_000.0  # deliveries per second, at most: with many subscribers there are fewer messages
MODEST_BYTES = 500e6  # bytes delivered per second, at most: if messages are long, there are fewer, too
MODEST_SECONDS = 3.0  # length of that phase, at most
UNDER_WAY = 4 * 2**30  # bytes on their way to all subscribers, at most: as many as are delivered in some seconds
SHORTEST_WINDOW = 512 * 1024  # bytes: a few writes


@dataclass(frozen=True)
class Run:
    """One system with one number of subscribers, once."""

    system: System
    subscribers: int
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """How long the run takes, not counting its start."""
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
    """The load that was asked for; if that is a flood, it is followed by one at which latency can be measured."""
    if options.rate is not None:
        return (Phase(options.seconds, options.rate, options.interval, options.verify, timed=True),)
    rate = min(MODEST, MODEST_DELIVERIES / subscribers, MODEST_BYTES / subscribers / options.size)
    return (
        Phase(options.seconds, None, verify=options.verify),
        Phase(min(options.seconds, MODEST_SECONDS), rate, timed=True),
    )


def window(options: Options, subscribers: int) -> int:
    """Bytes that publishers may be ahead of the slowest subscriber: `--window`, or less with very many subscribers."""
    return min(options.window, max(UNDER_WAY // subscribers, SHORTEST_WINDOW, 4 * options.size))


def measure(run: Run, options: Options, advance: Callable[[float], None]) -> Figures:
    """Measure one run; `advance`: told again and again how many more of its seconds have passed."""
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
        ack_ms=acks(seen.acks),
        unacknowledged=max(outcome.unacknowledged, seen.unacknowledged),
        tls=load.connected.tls,
        cipher=load.connected.cipher,
        orders=figures.orders if run.system.one_order else 0,
    )


def start(system: System, options: Options) -> AbstractContextManager[Server]:
    """Start the system, unless it is a relay that the options say is running already."""
    if system.name == RELAY.name and options.publish and options.subscribe:
        site = Site(options.publish, options.subscribe, system.wire(options.size), options.credentials)
        return nullcontext(Server(system, site, options.pid))
    return running(system, options.size, options.tls)


def chosen(options: Options, say: Callable[[str], None]) -> Iterator[System]:
    """The relay, with each number of workers, and of the systems to compare those that are installed and comparable.

    `say`: told why the others are not.
    """
    own = relay(options.session, options.acks, options.heartbeat, options.framing)
    yield from (with_workers(own, count) for count in options.workers)
    for peer in map(PEERS.__getitem__, options.compare):
        if options.tls and not peer.tls:
            say(f"{peer.name}: not comparable over TLS, which it is not started with here")
        elif peer.find() is None:
            say(f"{peer.name}: {peer.program} is not installed; to get it: {peer.how_to_get}")
        else:
            yield peer


def medians(results: Sequence[Figures]) -> list[Figures]:
    """The medians for each system with each number of subscribers."""
    kinds = dict.fromkeys((each.subscribers, each.system) for each in results)
    return [median([each for each in results if (each.subscribers, each.system) == kind]) for kind in kinds]
