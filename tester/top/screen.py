"""A view of a relay as lines of a terminal. 80 by 24 characters are enough; a larger terminal shows more.

All text that came from elsewhere goes through `harmless` on its way to the screen, and none is parsed as markup.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.constrain import Constrain
from rich.styled import Styled
from rich.table import Table
from rich.text import Text

from tester.top.figures import Backbone, Flow, Journal, Rates, Reach, Scrape, Sessions, Workers
from tester.top.tables import ended_table, slowest_table
from tester.top.watch import View
from tester.top.words import harmless, megabytes, pace, size, span

WIDEST = 160
"""Columns: people do not read wider lines as one line."""
LABEL = 13
"""Columns for the name of a figure."""
FLOWS = {"messages/s": 13, "MB/s": 11, "messages": 21, "bytes": 10}
"""The columns of the table of flows, and their widths."""
MIB = 2**20
HALF, FULL = 0.5, 0.75
"""Shares of the buffer that are needed above which its bar is yellow, and red. With `--slow block`, publishers wait
from half of it on; when all of it is needed, slow subscribers are disconnected or skip."""


@dataclass
class Lines:
    """What the screen shows, from the top, and how many lines that takes."""

    shown: list[RenderableType] = field(default_factory=list)
    count: int = 0

    def add(self, renderable: RenderableType, lines: int = 1) -> None:
        """Put `renderable`, which takes `lines` lines, below everything else."""
        self.shown.append(renderable)
        self.count += lines


class Screen:
    """A view that rich can show, as large as there is room for; `hint`: shown at the top."""

    def __init__(self, view: View, hint: str = "") -> None:
        self.view = view
        self.hint = hint

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        view, width, height = self.view, min(options.max_width, WIDEST), options.max_height
        lines = Lines()
        lines.add(_title(view))
        for line in _news(view, self.hint).wrap(console, width):
            lines.add(line)
        if view.scrape is not None:
            body = Lines(count=lines.count)
            _figures(body, view.scrape, view.rates, width, options.ascii_only)
            _rows(body, view, view.scrape, width, height)
            lines.add(Styled(Group(*body.shown), "dim") if view.trouble else Group(*body.shown))
        yield Constrain(Group(*lines.shown), width)


def _title(view: View) -> Table:
    scrape = view.scrape
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(no_wrap=True, justify="right")
    name = "relay" if scrape is None else f"relay {harmless(scrape.version)}"
    up = "" if scrape is None or view.trouble else f"up {span(time.time() - scrape.started)}"
    line.add_row(Text.assemble((name, "bold"), "   ", view.address), Text(f" {up}"))
    return line


def _news(view: View, hint: str) -> Text:
    """The second line, or more if something is wrong."""
    when = "" if view.when is None else f"{view.when:%H:%M:%S}"
    if view.trouble:
        old = f"; the figures below are of {when}" if when else ""
        return Text(harmless(view.trouble) + old, "bold red")
    return Text("   ".join(filter(None, [when, hint])), "dim")


def _figures(lines: Lines, scrape: Scrape, rates: Rates | None, width: int, ascii_only: bool) -> None:
    lines.add(Text(""))
    lines.add(_flows(scrape, rates), 3)
    lines.add(Text(""))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=LABEL - 2, style="dim")
    table.add_column(min_width=6, justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(Text("subscribers"), Text(f"{scrape.subscribers:,}"), _subscribers(scrape))
    table.add_row(Text("publishers"), Text(f"{scrape.publishers:,}"), _publishers(scrape, rates))
    connections = scrape.subscribers + scrape.publishers
    table.add_row(Text("connections"), Text(f"{connections:,}"), Text(f"of at most {scrape.most_connections:,}"))
    lines.add(table, 3)
    if scrape.sessions != Sessions():
        lines.add(_sessions(scrape.sessions))
    if scrape.reach.remotes:
        lines.add(_reach(scrape.reach))
    if scrape.workers.count:
        lines.add(_workers(scrape.workers))
    lines.add(_buffer(scrape, width, ascii_only))
    if scrape.journal:
        lines.add(_journal(scrape.journal))
    if scrape.backbone:
        lines.add(_backbone(scrape.backbone, rates))
    lines.add(Text(""))


def _workers(workers: Workers) -> Text:
    return Text.assemble(
        ("workers".ljust(LABEL), "dim"),
        (f"{workers.up:,} of {workers.count:,} accept connections", "yellow" if workers.up < workers.count else ""),
        (f"; {workers.replaced:,} replaced" if workers.replaced else "", "yellow"),
        no_wrap=True,
        overflow="ellipsis",
    )


BEHIND = 3.0
"""Seconds that a mirror may be behind without a word: it is told once a second how far it is."""


def _reach(reach: Reach) -> Text:
    missing = reach.connected < reach.remotes
    return Text.assemble(
        ("reach".ljust(LABEL), "dim"),
        (f"{reach.connected:,} of {reach.remotes:,} others connected", "yellow" if missing else ""),
        f"; {reach.messages:,.0f} messages",
        (f", {reach.lost:,.0f} lost" if reach.lost else "", "yellow"),
        (f", {reach.behind:,.0f} s behind" if reach.behind > BEHIND else "", "yellow"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _journal(journal: Journal) -> Text:
    """How large it is and how far it reaches, and what is to be watched: a narrow terminal cuts the end off."""
    readers = f"; {journal.readers:,} read from disk" if journal.readers else ""
    return Text.assemble(
        ("journal".ljust(LABEL), "dim"),
        f"{size(journal.used)} of {size(journal.limit)}",
        f"; from message {journal.oldest:,} on, {span(time.time() - journal.since)} old",
        (f"; {size(journal.unsynced)} not synced", "red" if journal.held else ""),
        (readers, "yellow"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _backbone(backbone: Backbone, rates: Rates | None) -> Text:
    """Whether it takes something, and how far it is: a narrow terminal cuts the end off."""
    trip = rates and rates.round_trip
    state = ("takes nothing", "bold red") if backbone.away else ("in reach", "")
    return Text.assemble(
        ("backbone".ljust(LABEL), "dim"),
        state,
        (
            f"; {backbone.behind:,} behind" if backbone.behind else "; nothing behind",
            "yellow" if backbone.behind else "",
        ),
        f"; round trip {1000 * trip:,.1f} ms" if trip else "",
        f"; {backbone.window:,} on their way",
        (f", {size(backbone.waiting)} waiting" if backbone.waiting else "", "red" if backbone.held else ""),
        no_wrap=True,
        overflow="ellipsis",
    )


def _flows(scrape: Scrape, rates: Rates | None) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=LABEL - 2, style="dim")
    for width in FLOWS.values():
        table.add_column(justify="right", no_wrap=True, width=width)
    table.add_row("", *(Text(name, "dim") for name in FLOWS))
    table.add_row(Text("in"), *_flow(rates.published if rates else None, scrape.published))
    table.add_row(Text("out"), *_flow(rates.delivered if rates else None, scrape.delivered))
    return table


def _flow(rate: Flow | None, total: Flow) -> Iterator[Text]:
    yield Text(pace(rate.messages if rate else None), "bold green")
    yield Text(megabytes(rate.bytes if rate else None), "bold green")
    yield Text(f"{total.messages:,.0f}")
    yield Text(size(total.bytes))


def _subscribers(scrape: Scrape) -> Text:
    return Text.assemble(
        f"{scrape.live:,} live, ",
        (f"{scrape.lagging:,} lagging", "yellow" if scrape.lagging else ""),
        (f", {scrape.skipped:,.0f} messages skipped" if scrape.skipped else "", "yellow"),
    )


def _publishers(scrape: Scrape, rates: Rates | None) -> Text:
    """Whether publishers are read now, and how long they were not."""
    if not scrape.blocked and not scrape.blocked_seconds:
        return Text("not blocked")
    now = (f"blocked by {scrape.blocked}", "bold red") if scrape.blocked else ("not blocked now", "")
    lately = f"{rates.blocked:.0%} of the time, " if rates else ""
    return Text.assemble(now, f"; {lately}{scrape.blocked_seconds:,.1f} s in all")


def _sessions(sessions: Sessions) -> Text:
    """All totals of sessions in one line, the most important first: a narrow terminal cuts the end off."""
    told = f"{sessions.subscribers:,} subscribers, {sessions.publishers:,} publishers"
    resumed = f"; resumed {sessions.resumed:,}"
    lost = f", {sessions.incomplete:,} of them not complete" if sessions.incomplete else ""
    missing = f", {sessions.lost:,.0f} messages lost" if sessions.lost else ""
    acks = f"; {sessions.acks:,} acks, {sessions.names:,} names"
    return Text.assemble(
        ("sessions".ljust(LABEL), "dim"),
        told,
        resumed,
        (lost + missing, "yellow"),
        acks,
        no_wrap=True,
        overflow="ellipsis",
    )


def _buffer(scrape: Scrape, width: int, ascii_only: bool) -> Text:
    fill = min(scrape.needed / scrape.limit, 1.0) if scrape.limit > 0 else 0.0
    figures = f"  {fill:4.0%}  {scrape.needed / MIB:,.1f} of {scrape.limit / MIB:,.1f} MiB needed"
    full, empty = "#-" if ascii_only else "█░"
    room = max(4, min(60, width - LABEL - len(figures)))
    filled = round(fill * room)
    style = "red" if fill > FULL else "yellow" if fill > HALF else "green"
    return Text.assemble(
        ("buffer".ljust(LABEL), "dim"), (full * filled, style), (empty * (room - filled), "dim"), figures, no_wrap=True
    )


def _rows(lines: Lines, view: View, scrape: Scrape, width: int, height: int) -> None:
    """Lagging subscribers and ended connections, in the rest of the height: half of it each, if both need it."""
    slowest, gone = view.slowest, view.ended
    lines.add(_lag(scrape))
    if not slowest.everywhere:
        lines.add(_missing(view, scrape))
    room = max(0, height - lines.count - 3)  # two lines of names, and an empty one
    rows = min(len(slowest.rows), max(room - room // 2, room - len(gone)))
    if rows:
        lines.add(slowest_table(slowest.rows[:rows], width), rows + 1)
    lines.add(Text(""))
    rows = min(len(gone), height - lines.count - 1)
    if rows > 0:
        lines.add(ended_table(gone[:rows], width), rows + 1)
    elif not gone:
        lines.add(Text("nobody was disconnected yet", "dim"))


def _lag(scrape: Scrape) -> Text:
    if not scrape.lagging:
        return Text("nobody lags", "dim")
    most = scrape.furthest
    return Text.assemble(
        ("furthest behind".ljust(LABEL + 4), "dim"),
        f"{most.messages:,.0f} messages, {size(most.bytes)}, {scrape.furthest_seconds:,.1f} s",
        no_wrap=True,
        overflow="ellipsis",
    )


def _missing(view: View, scrape: Scrape) -> Text:
    found, looked = view.slowest.found, view.slowest.looked
    return Text(
        f"not all were looked at: {found:,} of {scrape.lagging:,} are among the oldest {looked:,} connections",
        "yellow",
        no_wrap=True,
        overflow="ellipsis",
    )
