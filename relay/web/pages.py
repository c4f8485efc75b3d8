"""What the web port answers: a request in, an answer out, and nothing of the network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from relay.ended import Ended
from relay.reasons import CloseReason
from relay.roster import Row, ended, page
from relay.stats import Stats
from relay.web.token import opens

METHODS = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every answer: it is for nobody else, it is what it says, and a browser does nothing with it."""
CHALLENGE = (("WWW-Authenticate", 'Basic realm="relay", charset="UTF-8"'), ("WWW-Authenticate", "Bearer"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. What it brought is the peer's, and may be anything."""

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, list[str]] = field(default_factory=dict)
    accept: str = ""
    authorization: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; to a HEAD, without the body."""

    status: int
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def text(status: int, line: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A line for people."""
    return Answer(status, f"{line}\n".encode(), TEXT, headers)


class Pages:
    """Everything that can be asked for, by path."""

    def __init__(
        self,
        stats: Stats,
        metrics: Callable[[str], tuple[bytes, str]],
        unready: Callable[[], str],
        token: Callable[[], bytes | None],
    ) -> None:
        """`unready` says why nobody should connect now, empty if all is well. `token` is what a request has to show."""
        self._stats = stats
        self._metrics = metrics
        self._unready = unready
        self._token = token
        self._pages: dict[str, Callable[[Asked], Answer]] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics_page,
            "/connections": self._connections,
        }

    def answer(self, asked: Asked) -> Answer:
        """Any request has an answer."""
        if asked.path != "/healthz" and not opens(asked.authorization, self._token()):
            return text(401, "a token is needed", CHALLENGE)
        found = self._pages.get(asked.path)
        if found is None:
            return text(404, f"there is {', '.join(self._pages)}")
        if asked.method not in METHODS:
            return text(405, "only GET and HEAD", (("Allow", ", ".join(METHODS)),))
        return found(asked)

    def _healthz(self, asked: Asked) -> Answer:
        return text(200, "ok")

    def _readyz(self, asked: Asked) -> Answer:
        reason = self._unready()
        return text(503, reason) if reason else text(200, "ok")

    def _metrics_page(self, asked: Asked) -> Answer:
        body, kind = self._metrics(asked.accept)
        return Answer(200, body, kind)

    def _connections(self, asked: Asked) -> Answer:
        """`?after=NUMBER`: the page that begins after that connection; `?ended`: the last that ended."""
        if "ended" in asked.query:
            return _json({"ended": [_ended(one) for one in ended(self._stats.roles)]})
        after = asked.query.get("after", ["0"])[-1]
        if not re.fullmatch("[0-9]{1,18}", after):
            return text(400, "after: the number of a connection")
        rows, more = page(self._stats.roles, int(after), self._stats.clock)
        return _json({"connections": [_open(row) for row in rows], "next": more})


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode() + b"\n", JSON)


def _time(seconds: float) -> str:
    """As in RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _open(row: Row) -> dict[str, object]:
    lag = row.lag
    return _common(row) | {
        "state": row.state,
        "lag": lag and {"messages": lag.messages, "bytes": lag.bytes, "seconds": round(lag.seconds, 3)},
    }


def _ended(one: Ended) -> dict[str, object]:
    reason: CloseReason = one.reason
    return _common(one) | {"until": _time(one.until), "reason": reason}


def _common(one: Row | Ended) -> dict[str, object]:
    return {
        "number": one.number,
        "role": one.role,
        "peer": one.peer,
        "since": _time(one.since),
        "messages": one.tally.messages,
        "bytes": one.tally.bytes,
        "skipped": one.tally.skipped,
        "tls_subject": one.subject or None,
    }
