"""The tables of the screen: lagging subscribers and ended connections. A wide terminal gets more columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from rich.table import Table
from rich.text import Text

from tester.top.connections import Ended, Lagging
from tester.top.words import harmless, moment, span

QUIET = ("peer closed", "connection lost", "shutdown", "removed")
"""Close reasons that need nobody's attention."""
WIDE, WIDER = 110, 140
"""Widths of a terminal, in characters, from which on tables have more columns."""

Row = TypeVar("Row", Lagging, Ended)


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a table."""

    name: str
    tell: Callable[[Row], str]
    """Returns the text of a row."""
    width: int
    """The least width in characters, so that columns stay where they are; 0: the column takes what is left."""
    style: str = ""
    right: bool = False
    """Whether the text is aligned to the right."""


def slowest_table(rows: Sequence[Lagging], width: int) -> Table:
    """A line for each lagging subscriber, below a line with the names of columns; `width`: of the terminal."""
    columns: list[Column[Lagging]] = [*_who("subscriber", rows, width)]
    if any(row.connection.feed for row in rows):
        columns.append(Column("feed", lambda row: row.connection.feed, 6))
    columns.append(Column("state", lambda row: row.state, 7))
    if width >= WIDER:
        if any(row.connection.session for row in rows):
            columns.append(Column("session at", _session_at, 13, right=True))
        columns.append(Column("certificate", lambda row: row.connection.subject, 0))
    if width >= WIDE:
        columns.append(Column("since", lambda row: moment(row.connection.since, datetime.now()), 11))
        columns.append(Column("given", lambda row: f"{row.connection.messages:,}", 12, right=True))
    return _table(
        [
            *columns,
            Column("messages behind", lambda row: f"{row.messages:,}", 15, right=True),
            Column("bytes", lambda row: f"{row.bytes:,}", 13, "yellow", right=True),
            Column("seconds", lambda row: f"{row.seconds:,.1f}", 8, right=True),
        ],
        rows,
    )


def ended_table(rows: Sequence[Ended], width: int) -> Table:
    """A line for each ended connection, below a line with the names of columns; `width`: of the terminal."""
    columns: list[Column[Ended]] = [
        Column("ended", lambda row: moment(row.until, datetime.now()), 11),
        Column("reason", lambda row: row.reason, 21, "yellow"),
        Column("role", lambda row: row.connection.role, 10),
    ]
    if any(row.connection.feed for row in rows):
        columns.append(Column("feed", lambda row: row.connection.feed, 6))
    columns += _who("peer", rows, width)
    if width >= WIDER:
        if any(row.connection.session for row in rows):
            columns.append(Column("session", lambda row: "yes" if row.connection.session else "", 7))
        columns.append(Column("certificate", lambda row: row.connection.subject, 0))
    if width >= WIDE:
        columns += [
            Column("lasted", lambda row: span((row.until - row.connection.since).total_seconds()), 12, right=True),
            Column("messages", lambda row: f"{row.connection.messages:,}", 13, right=True),
        ]
    return _table(columns, rows)


def _who(name: str, rows: Sequence[Row], width: int) -> list[Column[Row]]:
    """Who the peers are, in a column called `name`. Where there is no room for two, a peer's own name, which is in
    quotes, stands for its address."""
    if not any(row.connection.name for row in rows):
        return [Column(name, lambda row: row.connection.peer, 0, "bold")]
    if width < WIDER:
        return [Column(name, lambda row: _quoted(row) or row.connection.peer, 0, "bold")]
    return [Column(name, lambda row: row.connection.peer, 0, "bold"), Column("name", _quoted, 0, "bold")]


def _quoted(row: Lagging | Ended) -> str:
    return f'"{row.connection.name}"' if row.connection.name else ""


def _session_at(row: Lagging) -> str:
    return f"{row.position:,}" if row.connection.session and row.position is not None else ""


def _table(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(
            min_width=column.width or None,
            ratio=None if column.width else 1,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    table.add_row(*(Text(column.name, "dim") for column in columns))
    for row in rows:
        table.add_row(*(Text(harmless(column.tell(row)), _style(column, row)) for column in columns))
    return table


def _style(column: Column[Row], row: Row) -> str:
    return "" if isinstance(row, Ended) and column.name == "reason" and row.reason in QUIET else column.style
