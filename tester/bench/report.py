"""The table that the benchmark prints, and the file that it writes."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tester.bench.figures import Figures
from tester.bench.options import Options
from tester.bench.phase import INTERVAL
from tester.bench.secure import CIPHER
from tester.bench.systems import RELAY, System

COLUMNS = (
    "system",
    "subscribers",
    "deliveries/s",
    "MB/s",
    "at messages/s",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "CPU µs/delivery",
    "peak MB",
)
ACKS = ("ack p50 ms", "ack p99 ms")
"""More columns, if publishers have sessions."""
CAPTION = "p50 to p99.9: from sending a message to receiving it, at that many messages/s. CPU and memory: the server's."
WIDTH = 160  # characters of a line if the output is not a terminal


def row(figures: Figures) -> list[str]:
    """The cells of one line of the table, in the order of `COLUMNS` and `ACKS`."""
    acks = figures.ack_ms
    latency, memory = figures.latency, figures.server_peak_memory
    return [
        figures.system,
        f"{figures.subscribers:,}",
        f"{figures.deliveries_per_second:,.0f}",
        f"{figures.megabytes_per_second:,.0f}",
        _number(latency.rate if latency else None, ",.0f"),
        _number(latency.p50 if latency else None, ",.0f"),
        _number(latency.p99 if latency else None, ",.0f"),
        _number(latency.p999 if latency else None, ",.0f"),
        _number(figures.server_cpu_per_delivery, ".3f"),
        _number(None if memory is None else memory / 1e6, ",.0f"),
        f"{acks.p50:.2f}" if acks else "none",
        f"{acks.p99:.2f}" if acks else "none",
    ]


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)


def show(options: Options, results: Sequence[Figures]) -> None:
    """Print all results as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title(options), caption=CAPTION, title_justify="left", caption_justify="left")
    columns = (*COLUMNS, *ACKS) if options.acks else COLUMNS
    for column in columns:
        table.add_column(column, justify="left" if column == "system" else "right", no_wrap=True)
    for figures, following in zip(results, [*results[1:], None], strict=True):
        last = following is None or following.subscribers != figures.subscribers
        table.add_row(*row(figures)[: len(columns)], end_section=last)
    # In a file, lines have to be whole.
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print(table)


def title(options: Options) -> str:
    """The load, as a line for people."""
    publishers = "1 publisher" if options.publishers == 1 else f"{options.publishers:,} publishers"
    interval = "" if options.interval == INTERVAL else f" in writes every {options.interval:g} s"
    pace = "as fast as they are taken" if options.rate is None else f"{options.rate:,.10g} messages/s{interval}"
    runs = "" if options.runs == 1 else f", medians of {options.runs} runs"
    verified = ", all verified" if options.verify else ""
    sessions = [name for name, spoken in (("subscribers", options.session), ("publishers", options.acks)) if spoken]
    beat = f"a heartbeat every {options.heartbeat:g} s" if options.heartbeat else "no heartbeats"
    session = f", {' and '.join(sessions)} with sessions and {beat}" if sessions else ""
    tls = f", TLS 1.3 with {CIPHER}" if options.tls else ""
    size = f"messages of {options.size:,} bytes"
    return f"{publishers}, {size}, {pace}, {options.seconds:g} s{runs}{verified}{session}{tls}"


def machine() -> dict[str, object]:
    """The machine that the figures were measured on."""
    return {"cpu": cpu_model(), "cores": os.cpu_count(), "kernel": f"{platform.system()} {platform.release()}"}


def cpu_model() -> str:
    """The name of the processor, as precise as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions(systems: Iterable[System]) -> dict[str, str]:
    """The versions of the relay, of what it runs on, and of the other systems, by name."""
    own = {"relay": version("relay-broadcast"), "Twisted": version("Twisted"), "Python": platform.python_version()}
    return own | {system.name: system.find_version() for system in systems if system.program != RELAY.program}


def write(file: Path, systems: Iterable[System], runs: Sequence[Figures], medians: Sequence[Figures]) -> None:
    """Write everything to `file`, as JSON."""
    kept = {
        "command": shlex.join(["python", "-m", "tester.bench", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(systems),
        "figures": [asdict(figures) for figures in medians],
        "runs": [asdict(figures) for figures in runs],
    }
    file.write_text(json.dumps(kept, indent=2) + "\n")
