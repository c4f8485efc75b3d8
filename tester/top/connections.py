"""The slow subscribers and the connections that ended, from the relay's `/connections`.

Its pages list all open connections, oldest first, and subscribers that lag may be anywhere among them. A page costs the
relay some 10 ms, during which it does nothing else. So a page is asked for only while a lagging subscriber has not been
found yet, and never more than `PAGES`: with thousands of connections, not all may be found.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tester.top.figures import NotARelayError

PAGES = 3  # of 1,000 connections each: some 30 ms of the relay's time for each view
KEPT = 200  # rows: more than any screen has
LARGEST = 2**63  # numbers up to this are believed


@dataclass(frozen=True, slots=True)
class Connection:
    """What the relay tells of any connection. Its texts may be anything: make them `harmless` before showing them."""

    number: int
    role: str
    feed: str
    """Empty if the relay does not tell it."""
    peer: str
    since: datetime
    messages: int
    bytes: int
    subject: str
    """The subject of its certificate; empty if it showed none."""
    name: str = ""
    """What it called itself; empty if it did not."""
    session: bool = False
    """Whether it speaks, or spoke, a session."""


@dataclass(frozen=True, slots=True)
class Lagging:
    """A subscriber that lacks messages."""

    connection: Connection
    state: str
    messages: int
    """How many messages it lacks."""
    bytes: int
    """How many bytes it lacks."""
    seconds: float
    """The age of the first message that it lacks."""
    position: int | None = None
    """Position of the message that it is given next; None if the relay does not tell it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that has ended."""

    connection: Connection
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Slowest:
    """The lagging subscribers among the connections that were looked at, those that lack the most bytes first."""

    rows: tuple[Lagging, ...] = ()
    """At most `KEPT`."""
    found: int = 0
    """How many lagging subscribers were found."""
    looked: int = 0
    """How many connections were looked at."""
    everywhere: bool = True
    """Whether nothing is missing because the search ended early."""


Get = Callable[[str], bytes]  # takes a path of the web port, and returns the body of the response


def slowest(get: Get, lagging: int) -> Slowest:
    """The lagging subscribers on the first pages. `lagging`: how many there are. Raises NotARelayError."""
    found: list[Lagging] = []
    looked, after = 0, 0
    for _ in range(PAGES if lagging else 0):
        rows, more = _page(get(f"/connections?after={after}" if after else "/connections"))
        looked += len(rows)
        found += [_lagging(row) for row in rows if row.get("lag") is not None]
        if more is None or len(found) >= lagging:
            after = 0
            break
        after = more
    found.sort(key=lambda row: row.bytes, reverse=True)
    return Slowest(tuple(found[:KEPT]), len(found), looked, everywhere=not after)


def ended(get: Get) -> tuple[Ended, ...]:
    """The last connections that ended, newest first. Raises NotARelayError."""
    content = _content(get("/connections?ended"))
    return tuple(map(_ended, _rows(content.get("ended"))[:KEPT]))


Fields = dict[str, Any]  # Any: JSON, whose values are checked before they are used


def _content(body: bytes) -> Fields:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise NotARelayError("/connections: not a JSON object")
    return content


def _page(body: bytes) -> tuple[list[Fields], int | None]:
    content = _content(body)
    more = content.get("next")
    return _rows(content.get("connections")), None if more is None else int(_number(content, "next"))


def _rows(found: object) -> list[Fields]:
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise NotARelayError("/connections: no list of connections")
    return found


def _lagging(row: Fields) -> Lagging:
    lag = row["lag"]
    if not isinstance(lag, dict):
        raise NotARelayError("/connections: lag")
    return Lagging(
        connection=_connection(row),
        state=_text(row, "state"),
        messages=int(_number(lag, "messages")),
        bytes=int(_number(lag, "bytes")),
        seconds=_number(lag, "seconds"),
        position=None if row.get("position") is None else int(_number(row, "position")),
    )


def _ended(row: Fields) -> Ended:
    return Ended(connection=_connection(row), until=_time(row, "until"), reason=_text(row, "reason"))


def _connection(row: Fields) -> Connection:
    return Connection(
        number=int(_number(row, "number")),
        role=_text(row, "role"),
        feed=_text(row, "feed", missing=""),
        peer=_text(row, "peer"),
        since=_time(row, "since"),
        messages=int(_number(row, "messages")),
        bytes=int(_number(row, "bytes")),
        subject=_text(row, "tls_subject", missing=""),
        name=_text(row, "name", missing=""),
        session=row.get("session") is True,
    )


def _text(row: Fields, name: str, missing: str | None = None) -> str:
    found = row.get(name)
    if found is None:
        found = missing
    if not isinstance(found, str):
        raise NotARelayError(f"/connections: {name}")
    return found


def _number(row: Fields, name: str) -> float:
    found = row.get(name)
    if not isinstance(found, int | float) or not abs(found) < LARGEST:  # this rejects NaN, too
        raise NotARelayError(f"/connections: {name}")
    return found


def _time(row: Fields, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(row, name))
        return found.astimezone()  # to the time zone of the person at the screen
    except (ValueError, OverflowError):
        raise NotARelayError(f"/connections: {name}") from None
