"""What was measured: the figures of a run, medians of several runs, and what limited the speed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tester.bench.load import Outcome
from tester.bench.wire import Wire

BUSY = 0.9  # share of a core from which on a process of the load has little time to spare
PACE = 0.8  # share of a core from which on the server set the pace: other programs may have had the rest


@dataclass(frozen=True)
class Latency:
    """Percentiles of the microseconds from sending a message to receiving it; `rate`: messages per second."""

    rate: float
    p50: float
    p99: float
    p999: float


@dataclass(frozen=True)
class Acks:
    """Percentiles of the milliseconds from writing messages to reading that they are accepted."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Figures:
    """The figures of one system with one number of subscribers; None where a figure is not known."""

    system: str
    subscribers: int
    seconds: float
    published: float  # messages
    deliveries_per_second: float
    megabytes_per_second: float  # of messages, without framing
    latency: Latency | None
    server_cpu_per_delivery: float | None  # microseconds
    server_peak_memory: float | None  # bytes
    server_cores: float | None  # cores that the server used; more than 1 if it has several threads
    generator_cores: float  # share of a core that the busiest process of the load used
    generator_total: float  # cores that all processes of the load used
    incomplete: float  # subscribers that did not get everything
    damaged: float  # damaged or reordered messages; 0 if they were not verified
    orders: float  # different orders in which subscribers saw the messages; 0 if not verified, or if none is promised
    tls: str = ""  # version of TLS; empty without TLS
    cipher: str = ""  # empty without TLS
    ack_ms: Acks | None = None  # None if publishers have no sessions
    unacknowledged: float = 0  # messages that should have been acknowledged

    @property
    def is_sound(self) -> bool:
        """Whether no message is known to be lost, damaged or out of order."""
        return not (self.incomplete or self.damaged or self.unacknowledged) and self.orders <= 1


def figure(
    system: str, subscribers: int, wire: Wire, outcome: Outcome, cpu: float | None, memory: int | None
) -> Figures:
    """The figures of a phase, without latency. `cpu`: seconds that the server used. `memory`: its peak, in bytes."""
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
        unacknowledged=outcome.unacknowledged,
    )


def latency(delays: Counter[int], rate: float) -> Latency | None:
    """Percentiles of `delays`, which maps microseconds to how many messages took them; None if it is empty."""
    return Latency(rate, *(percentile(delays, part) for part in (0.5, 0.99, 0.999))) if delays else None


def acks(delays: Counter[int]) -> Acks | None:
    """Percentiles of `delays`, which maps microseconds to how many writes took them; None if it is empty."""
    return Acks(*(percentile(delays, part) / 1000 for part in (0.5, 0.99))) if delays else None


def percentile(delays: Counter[int], part: float) -> int:
    """The smallest delay that is not exceeded by at least the share `part` of all delays, from 0 to 1."""
    wanted = part * delays.total()
    seen = 0
    for delay in sorted(delays):
        seen += delays[delay]
        if seen >= wanted:
            return delay
    raise ValueError("no delays")


def median(runs: Sequence[Figures]) -> Figures:
    """The median of each figure by itself; of faults, which count if they happened in any run, the maximum."""
    known = [run.latency for run in runs if run.latency]
    told = [run.ack_ms for run in runs if run.ack_ms]
    faults = ("incomplete", "damaged", "orders", "unacknowledged")
    return replace(
        runs[0],
        **_middle(runs, "seconds", "published", "deliveries_per_second", "megabytes_per_second"),
        **_middle(runs, "server_cpu_per_delivery", "server_peak_memory", "server_cores"),
        **_middle(runs, "generator_cores", "generator_total"),
        **{name: max(getattr(run, name) for run in runs) for name in faults},
        latency=replace(known[0], **_middle(known, "p50", "p99", "p999")) if known else None,
        ack_ms=Acks(**_middle(told, "p50", "p99")) if told else None,
    )


def _middle(runs: Sequence[object], *names: str) -> dict[str, Any]:
    """The medians of the attributes `names`, by name; None where no run knows one."""
    known = {name: [value for run in runs if (value := getattr(run, name)) is not None] for name in names}
    return {name: statistics.median(values) if values else None for name, values in known.items()}


def remarks(figures: Figures, rate: float | None, cores: int) -> list[str]:
    """What a reader of the figures has to know, as lines: what limited the speed, and what went wrong.

    `rate`: the messages per second that were asked for, None for a flood. `cores`: of this machine.
    """
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
    if figures.unacknowledged:
        said.append(f"{figures.unacknowledged:,.0f} messages were not acknowledged")
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
