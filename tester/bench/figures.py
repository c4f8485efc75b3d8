"""What was measured: the figures of a run, medians of several, and who set the pace."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tester.bench.load import Outcome
from tester.bench.wire import Wire

BUSY = 0.9  # of a core: from here on a process of the load has little to spare
PACE = 0.8  # of a core: from here on the server set the pace, give and take what else the machine does


@dataclass(frozen=True)
class Latency:
    """Microseconds from sending a message to having it at a subscriber, at so many messages a second."""

    rate: float
    p50: float
    p99: float
    p999: float


@dataclass(frozen=True)
class Figures:
    """One system with one number of subscribers. None: not known."""

    system: str
    subscribers: int
    seconds: float
    published: float  # messages
    deliveries_per_second: float
    megabytes_per_second: float  # of messages, without what a wire puts around them
    latency: Latency | None
    server_cpu_per_delivery: float | None  # microseconds
    server_peak_memory: float | None  # bytes
    server_cores: float | None  # how much of a core it used; more than 1 with several threads
    generator_cores: float  # the same of the busiest process of the load
    generator_total: float  # and of all its processes
    incomplete: float  # subscribers that did not get everything
    damaged: float  # messages, where they were verified
    orders: float  # in which the subscribers saw the messages, where one is promised and was verified
    tls: str = ""  # its version; empty without TLS
    cipher: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is known to have gone wrong."""
        return not self.incomplete and not self.damaged and self.orders <= 1


def figure(
    system: str, subscribers: int, wire: Wire, outcome: Outcome, cpu: float | None, memory: int | None
) -> Figures:
    """The figures of a phase in which the server used `cpu` seconds. There is no latency in them yet."""
    deliveries = outcome.octets // wire.delivered_length
    return Figures(
        system=system,
        subscribers=subscribers,
        seconds=outcome.seconds,
        published=outcome.published,
        deliveries_per_second=deliveries / outcome.seconds,
        megabytes_per_second=deliveries * wire.size / outcome.seconds / 1e6,
        latency=None,
        server_cpu_per_delivery=None if cpu is None or not deliveries else cpu / deliveries * 1e6,
        server_peak_memory=memory,
        server_cores=None if cpu is None else cpu / outcome.seconds,
        generator_cores=outcome.generator_cores,
        generator_total=outcome.generator_total,
        incomplete=outcome.incomplete,
        damaged=outcome.damaged,
        orders=outcome.orders,
    )


def latency(delays: Counter[int], rate: float) -> Latency | None:
    """The percentiles of `delays` (microseconds, and how many took so long); None if there are none."""
    return Latency(rate, *(percentile(delays, part) for part in (0.5, 0.99, 0.999))) if delays else None


def percentile(delays: Counter[int], part: float) -> int:
    """The smallest delay that at least so great a part of all does not exceed."""
    wanted = part * delays.total()
    seen = 0
    for delay in sorted(delays):
        seen += delays[delay]
        if seen >= wanted:
            return delay
    raise ValueError("no delays")


def median(runs: Sequence[Figures]) -> Figures:
    """The middle of each figure by itself; but what went wrong in any run went wrong."""
    known = [run.latency for run in runs if run.latency]
    return replace(
        runs[0],
        **_middle(runs, "seconds", "published", "deliveries_per_second", "megabytes_per_second"),
        **_middle(runs, "server_cpu_per_delivery", "server_peak_memory", "server_cores"),
        **_middle(runs, "generator_cores", "generator_total"),
        **{name: max(getattr(run, name) for run in runs) for name in ("incomplete", "damaged", "orders")},
        latency=replace(known[0], **_middle(known, "p50", "p99", "p999")) if known else None,
    )


def _middle(runs: Sequence[object], *names: str) -> dict[str, Any]:
    """The medians of some figures, by name; None where no run knows one. Any: the names say what they are."""
    known = {name: [value for run in runs if (value := getattr(run, name)) is not None] for name in names}
    return {name: statistics.median(values) if values else None for name, values in known.items()}


def remarks(figures: Figures, rate: float | None, cores: int) -> list[str]:
    """What has to be known to read the figures: who set the pace, and what went wrong."""
    said = [*_faults(figures)]
    if rate is None:
        said += _pace(figures, cores)
    elif figures.published < 0.95 * rate * figures.seconds:
        reached = figures.published / figures.seconds
        said.append(f"only {reached:,.0f} of the {rate:,.0f} messages/s were reached")
    return [f"{figures.system}, {figures.subscribers:,} subscribers: {line}" for line in said]


def _faults(figures: Figures) -> list[str]:
    said = []
    if figures.incomplete:
        said.append(f"{figures.incomplete:,.0f} subscribers did not get everything")
    if figures.damaged:
        said.append(f"{figures.damaged:,.0f} messages were damaged or out of order")
    if figures.orders > 1:
        said.append(f"the subscribers saw the messages in {figures.orders:,.0f} different orders")
    return said


def _pace(figures: Figures, cores: int) -> list[str]:
    server, generator = figures.server_cores, figures.generator_cores
    if server is None:
        return ["the load generator may have been the bottleneck"] if generator >= BUSY else []
    if server >= PACE:
        return []
    if generator >= BUSY:
        blame = "the load generator was the bottleneck, not the server"
    elif server + figures.generator_total >= BUSY * cores:
        blame = f"the machine was the bottleneck: all {cores} cores were busy"
    else:
        blame = "nothing was busy all the time: other programs may run here, or --window is too small"
    return [f"{blame} ({server:.0%} of a core for the server, {generator:.0%} for the busiest process of the load)"]
