"""What the web port answers: a request in, an answer out, and nothing of the network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files

from relay.observe.roster import PAGE, ended, page
from relay.observe.stats import Stats
from relay.web.asked import JSON, Answer, Asked, line
from relay.web.status import told, told_end
from relay.web.streams import Takeover
from relay.web.token import opens

METHODS = ("GET", "HEAD")
CHALLENGE = (("WWW-Authenticate", 'Basic realm="relay", charset="UTF-8"'), ("WWW-Authenticate", "Bearer"))


PAGE_LOADS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""What a browser may load for the status page: what comes from here."""
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.svg": ("page.svg", "image/svg+xml"),
}
"""The status page, in the folder `page`."""


class Pages:
    """Everything that can be asked for, by path."""

    def __init__(
        self,
        stats: Stats,
        metrics: Callable[[str], tuple[bytes, str]],
        unready: Callable[[], str],
        token: Callable[[], bytes | None],
        streams: Mapping[str, Callable[[Asked], Answer | Takeover]],
    ) -> None:
        """`unready` says why nobody should connect now, empty if all is well. `token` is what a request has to show.

        `streams` are those that do not end, by path.
        """
        self._stats = stats
        self._metrics = metrics
        self._unready = unready
        self._token = token
        folder = files("relay.web") / "page"
        self._pages: dict[str, Callable[[Asked], Answer | Takeover]] = {
            **{
                path: partial(_file, Answer(200, (folder / name).read_bytes(), kind, loads=PAGE_LOADS))
                for path, (name, kind) in FILES.items()
            },
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics_text,
            "/connections": self._connections,
            **streams,
        }
        self._streams = frozenset(streams)

    def answer(self, asked: Asked) -> Answer | Takeover:
        """Any request has an answer."""
        authorization = asked.header("Authorization").encode("latin-1")
        if asked.path != "/healthz" and not opens(authorization, self._token()):
            return line(401, "a token is needed", CHALLENGE)
        found = self._pages.get(asked.path)
        if found is None:
            return line(404, f"there is {', '.join(self._pages)}")
        if asked.method not in METHODS:
            return line(405, "only GET and HEAD", (("Allow", ", ".join(METHODS)),))
        if asked.method == "HEAD" and asked.path in self._streams:
            return line(405, "only GET: it does not end", (("Allow", "GET"),))
        return found(asked)

    def _healthz(self, asked: Asked) -> Answer:
        return line(200, "ok")

    def _readyz(self, asked: Asked) -> Answer:
        reason = self._unready()
        return line(503, reason) if reason else line(200, "ok")

    def _metrics_text(self, asked: Asked) -> Answer:
        body, kind = self._metrics(asked.header("Accept"))
        return Answer(200, body, kind)

    def _connections(self, asked: Asked) -> Answer:
        """`?after=NUMBER`: the page that begins after that connection; `?ended`: the last that ended; `?most=COUNT`."""
        most = asked.query.get("most", [str(PAGE)])[-1]
        if not re.fullmatch("[0-9]{1,4}", most) or not 0 < int(most) <= PAGE:
            return line(400, f"most: how many connections, from 1 to {PAGE}")
        if "ended" in asked.query:
            return _json({"ended": [told_end(one) for one in ended(self._stats.roles, int(most))]})
        after = asked.query.get("after", ["0"])[-1]
        if not re.fullmatch("[0-9]{1,18}", after):
            return line(400, "after: the number of a connection")
        rows, more = page(self._stats.roles, int(after), self._stats.clock, int(most))
        return _json({"connections": [told(row) for row in rows], "next": more})


def _file(answer: Answer, asked: Asked) -> Answer:
    """A file of the status page."""
    return answer


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode() + b"\n", JSON)
