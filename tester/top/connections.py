"""Who is slow and who was disconnected: the rows of `/connections` that are worth a look.

The pages have all connections, in the order in which they began, and those that lag are anywhere among them. A page
costs the relay some 10 ms in which it does nothing else. So pages are turned only while somebody is missing, and never
more than a few: with thousands of connections, those that lag may not all be found.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tester.top.figures import NotARelayError

PAGES = 3  # of 1,000 connections: some 30 ms of the relay's time, each time
KEPT = 200  # rows: more than any screen has
LARGEST = 2**63


@dataclass(frozen=True, slots=True)
class Connection:
    """What is told of any connection. Text is whatever it is: to be made harmless before it is shown."""

    number: int
    role: str
    feed: str
    """Empty if the relay knows of none."""
    peer: str
    since: datetime
    messages: int
    bytes: int
    subject: str
    """Of its certificate; empty if it showed none."""


@dataclass(frozen=True, slots=True)
class Lagging:
    """A subscriber that lacks something."""

    connection: Connection
    state: str
    messages: int
    """That it lacks,"""
    bytes: int
    """which are so many,"""
    seconds: float
    """and the age of the first of them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that is gone."""

    connection: Connection
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Slowest:
    """The subscribers that lag, most bytes behind first: of those that were looked at."""

    rows: tuple[Lagging, ...] = ()
    found: int = 0
    """How many there were."""
    looked: int = 0
    """Among how many connections."""
    everywhere: bool = True
    """Whether those are all that there is to look at."""


Get = Callable[[str], bytes]  # the body of a page


def slowest(get: Get, lagging: int) -> Slowest:
    """Those of `lagging` subscribers that a few pages have. Raises NotARelayError."""
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
    """The last connections that ended, the newest first. Raises NotARelayError."""
    content = _content(get("/connections?ended"))
    return tuple(map(_ended, _rows(content.get("ended"))[:KEPT]))


Fields = dict[str, Any]  # Any: JSON, which is looked at before it is used


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
    if not isinstance(found, int | float) or not abs(found) < LARGEST:  # which NaN is not either
        raise NotARelayError(f"/connections: {name}")
    return found


def _time(row: Fields, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(row, name))
        return found.astimezone()  # as the person in front of the screen counts it
    except (ValueError, OverflowError):
        raise NotARelayError(f"/connections: {name}") from None
