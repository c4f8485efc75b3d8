"""Lists of connections for operators: the open ones in pages, so that no answer takes long, and the last that ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import merge, nlargest
from itertools import islice
from operator import attrgetter

from relay.core.cursor import Lag, Tally
from relay.core.state import State
from relay.peers.connection import Connection
from relay.peers.ended_connection import REMEMBERED, EndedConnection
from relay.peers.registry import Registry

SLOWEST = 10
"""Lagging subscribers that the status page shows, and that workers report every second."""
ENDED = 20
"""Ended connections, of the same kind."""
PAGE = 1000
"""Connections in one page: making it takes some 10 ms, during which the relay does nothing else."""


@dataclass(frozen=True, slots=True)
class Row:
    """A connection that is open."""

    number: int
    """Identifies the connection; each has a larger number than those before it."""
    role: str
    feed: str
    """How messages are written for a subscriber: `tcp`, `ws` or `events`. Always `tcp` for a publisher."""
    peer: str
    since: float
    """When it was accepted, in seconds since 1970, UTC."""
    state: State
    tally: Tally
    lag: Lag | None
    """None for a live subscriber and for publishers."""
    name: str
    """What the peer called itself in its hello; empty if it did not."""
    in_session: bool
    """Whether it has a session."""
    position: int | None
    """Position of the message that a subscriber is given next, too early by at most a batch; None for publishers."""
    unacknowledged: int | None
    """Messages that a publisher with a session has sent and was not told of; None for others."""
    subject: str
    """The subject of the certificate that the peer showed; empty if it showed none."""


def page(
    roles: Sequence[Registry],
    after: int,
    clock: Callable[[], float],
    most: int = PAGE,
    others: Sequence[Row] = (),
) -> tuple[list[Row], int | None]:
    """The open connections with numbers above `after`, at most `most`, in ascending order, and the next page's `after`.

    `clock`: the hub's. `others`: of other processes, by number. The second value is None if this is the last page.
    Going through the pages shows each connection that stays open meanwhile exactly once.
    """
    following = ((one for one in role.open if one.number > after) for role in roles)
    own = islice(merge(*following, key=attrgetter("number")), most + 1)
    more = (row for row in others if row.number > after)
    found = list(islice(merge((_row(one, clock) for one in own), more, key=attrgetter("number")), most + 1))
    rows = found[:most]
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
        connection.name,
        connection.in_session,
        connection.next,
        connection.unacknowledged,
        connection.subject,
    )


def laggards(roles: Sequence[Registry], clock: Callable[[], float], most: int) -> list[tuple[Lag, Connection]]:
    """The open connections that lag by the most bytes, at most `most`, each with its lag. `clock`: the hub's."""
    lagging = ((lag, one) for role in roles for one in role.open if (lag := one.lag(clock)) is not None)
    return nlargest(most, lagging, key=lambda pair: pair[0].bytes)


def slowest(roles: Sequence[Registry], clock: Callable[[], float], most: int) -> list[Row]:
    """The rows of those that lag by the most bytes, as `laggards` finds them."""
    return [_row(one, clock) for _, one in laggards(roles, clock, most)]


def ended(
    roles: Sequence[Registry], most: int = REMEMBERED, others: Sequence[EndedConnection] = ()
) -> list[EndedConnection]:
    """The last connections of all roles that ended, at most `most`, the newest first.

    `others`: of other processes, the oldest first.
    """
    newest = (reversed(one) for one in (others, *(role.latest for role in reversed(roles))))
    return list(islice(merge(*newest, key=attrgetter("until"), reverse=True), most))
