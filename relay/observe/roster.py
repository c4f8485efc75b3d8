"""Who is connected, and who was: what an operator is told of each connection, in pages, so that none takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter

from relay.core.cursor import Lag, Tally
from relay.peers.connection import Accepted, Connection
from relay.peers.ended import REMEMBERED, Ended

PAGE = 1000
"""Connections in one page: to tell of them takes some 10 ms, in which the relay does nothing else."""


@dataclass(frozen=True, slots=True)
class Row:
    """A connection that is open."""

    number: int
    """Given once in a run, to each connection a larger one than to those before it."""
    role: str
    feed: str
    """How messages are written for it: `tcp`, `ws`, `events`; `tcp` of publishers."""
    peer: str
    since: float
    """In seconds since 1970, UTC."""
    state: str
    """`handshake`, `closing`; a publisher: `open`, `blocked`; a subscriber: `live`, `lagging`."""
    tally: Tally
    lag: Lag | None
    """None of a subscriber that is live, and of publishers."""
    subject: str
    """Of the certificate that it showed."""


def page(
    roles: Sequence[Accepted], after: int, clock: Callable[[], float], most: int = PAGE
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
        _state(connection),
        connection.tally,
        connection.lag(clock),
        connection.subject,
    )


def _state(connection: Connection) -> str:
    if connection.reason is not None:
        return "closing"
    return "handshake" if connection.shaking else connection.state


def ended(roles: Sequence[Accepted], most: int = REMEMBERED) -> list[Ended]:
    """The last that ended, of all roles, the newest first."""
    newest = (reversed(role.latest) for role in reversed(roles))
    return list(islice(merge(*newest, key=attrgetter("until"), reverse=True), most))
