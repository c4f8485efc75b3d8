"""Who is connected, and who was: what an operator is told of each connection, in pages, so that none takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter

from relay.core.cursor import Lag, Tally
from relay.core.state import State
from relay.peers.connection import Connection
from relay.peers.ended_connection import REMEMBERED, EndedConnection
from relay.peers.registry import Registry

PAGE = 1000
"""Connections in one page: to tell of them takes some 10 ms, in which the relay does nothing else."""


@dataclass(frozen=True, slots=True)
class Row:
    """A connection that is open."""

    number: int
    """Given once, to each connection a larger one than to those before it."""
    role: str
    feed: str
    """How messages are written for it: `tcp`, `ws`, `events`; `tcp` of publishers."""
    peer: str
    since: float
    """In seconds since 1970, UTC."""
    state: State
    tally: Tally
    lag: Lag | None
    """None of a subscriber that is live, and of publishers."""
    subject: str
    """Of the certificate that it showed."""


def page(
    roles: Sequence[Registry], after: int, clock: Callable[[], float], most: int = PAGE
) -> tuple[list[Row], int | None]:
    """Those connections of all roles that follow the one of that number; and after which the next page begins.

    Whoever turns the pages so sees each connection that is open all the while exactly once.
    """
    following = ((one for one in role.open if one.number > after) for role in roles)
    found = list(islice(merge(*following, key=attrgetter("number")), most + 1))
    rows = [_row(connection, clock) for connection in found[:most]]
    return rows, rows[-1].number if len(found) > most else None


def _row(connection: Connection, clock: Callable[[], float]) -> Row:
    return Row(
        connection.number,
        connection.role,
        connection.feed,
        connection.peer,
        connection.since,
        connection.state,
        connection.tally,
        connection.lag(clock),
        connection.subject,
    )


def ended(roles: Sequence[Registry], most: int = REMEMBERED) -> list[EndedConnection]:
    """The last that ended, of all roles, the newest first."""
    newest = (reversed(role.latest) for role in reversed(roles))
    return list(islice(merge(*newest, key=attrgetter("until"), reverse=True), most))
