"""What the web port answers: takes requests and returns responses, without any I/O on the network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib.resources import files

from relay.observe.roster import PAGE, ended, page
from relay.observe.stats import Listed, Stats
from relay.web.host import misdirected, without_host
from relay.web.request import JSON, Request, Response, line
from relay.web.status import connection_json, ended_json
from relay.web.streams import Takeover
from relay.web.token import opens

METHODS = ("GET", "HEAD")
WHILE_STOPPING = ("/healthz", "/metrics")
"""Paths that are still answered while the relay stops, for those who monitor it."""
COSTLY = ("/metrics", "/connections", "/status")
"""Paths whose answers take milliseconds if there are thousands of connections."""
RETRY_AFTER = 1
"""Seconds after which a client that a stopping relay turned away may try again: often another relay runs by then."""
CHALLENGE = (("WWW-Authenticate", 'Basic realm="relay", charset="UTF-8"'), ("WWW-Authenticate", "Bearer"))
PAGE_LOADS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The status page's Content-Security-Policy: a browser loads only what comes from the relay itself."""
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/page.svg": ("page.svg", "image/svg+xml"),
}
"""The files of the status page, by path: their names in the folder `page`, and their content types."""


class Pages:
    """Answers requests, by path."""

    def __init__(
        self,
        stats: Stats,
        metrics: Callable[[str], tuple[bytes, str]],
        unready: Callable[[], str],
        token: Callable[[], bytes | None],
        hosts: Callable[[], Collection[str]],
        streams: Mapping[str, Callable[[Request], Response | Takeover]],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`metrics`: takes the header `Accept`, and returns the text of a scrape and its content type.

        `unready`: returns why nobody should connect now, empty if the relay is ready. `token`: returns the token that
        a request has to show, None if it needs none. `hosts`: returns the names under which the relay is asked if no
        token is needed, besides those that are safe. `streams`: by path, what answers with a stream that does not end.
        `stopping`: returns whether the relay has begun to stop; from then on only `WHILE_STOPPING` is answered.
        """
        self._stats = stats
        self._metrics = metrics
        self._unready = unready
        self._token = token
        self._hosts = hosts
        self._stopping = stopping
        folder = files("relay.web") / "page"
        self._pages: dict[str, Callable[[Request], Response | Takeover]] = {
            **{
                path: partial(_file, Response(200, (folder / name).read_bytes(), kind, loads=PAGE_LOADS))
                for path, (name, kind) in FILES.items()
            },
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics_text,
            "/connections": self._connections,
            **streams,
        }
        self._streams = frozenset(streams)

    def gather(self, request: Request, then: Callable[[Listed], object]) -> None:
        """Call `then` when the answer to a costly `request` can be given: other processes may have to report first.

        `then` is given what has to be in the request as `Request.listed`.
        """
        after = request.query.get("after", ["0"])[-1]
        lists = request.path == "/connections" and re.fullmatch("[0-9]{1,18}", after)
        self._stats.elsewhere.refresh(int(after) if lists else None, then)

    def respond(self, request: Request) -> Response | Takeover:
        """The answer to a request, whatever it asks for."""
        token = self._token()
        refusal = without_host(request) or (misdirected(request, self._hosts()) if token is None else None)
        if refusal:
            return refusal
        if self._stopping() and request.path not in WHILE_STOPPING:
            return line(503, self._unready() or "stopping", (("Retry-After", str(RETRY_AFTER)),))
        authorization = request.header("Authorization").encode("latin-1")
        if request.path != "/healthz" and not opens(authorization, token):
            return line(401, "a token is needed", CHALLENGE)
        found = self._pages.get(request.path)
        if found is None:
            return line(404, f"there is {', '.join(self._pages)}")
        if request.method not in METHODS:
            return line(405, "only GET and HEAD", (("Allow", ", ".join(METHODS)),))
        if request.method == "HEAD" and request.path in self._streams:
            return line(405, "only GET: it does not end", (("Allow", "GET"),))
        return found(request)

    def _healthz(self, request: Request) -> Response:
        return line(200, "ok")

    def _readyz(self, request: Request) -> Response:
        reason = self._unready()
        return line(503, reason) if reason else line(200, "ok")

    def _metrics_text(self, request: Request) -> Response:
        body, kind = self._metrics(request.header("Accept"))
        return Response(200, body, kind)

    def _connections(self, request: Request) -> Response:
        """Open connections with numbers above `?after=NUMBER`, or the last that ended (`?ended`): `?most=COUNT`."""
        most = request.query.get("most", [str(PAGE)])[-1]
        if not re.fullmatch("[0-9]{1,4}", most) or not 0 < int(most) <= PAGE:
            return line(400, f"most: how many connections, from 1 to {PAGE}")
        if "ended" in request.query:
            gone = ended(self._stats.registries, int(most), request.listed.ended)
            return _json({"ended": [ended_json(one) for one in gone]})
        after = request.query.get("after", ["0"])[-1]
        if not re.fullmatch("[0-9]{1,18}", after):
            return line(400, "after: the number of a connection")
        rows, more = page(self._stats.registries, int(after), self._stats.clock, int(most), request.listed.rows)
        return _json({"connections": [connection_json(row) for row in rows], "next": more})


def _file(response: Response, request: Request) -> Response:
    """Answer any request with the same response: a file of the status page."""
    return response


def _json(content: object) -> Response:
    return Response(200, json.dumps(content).encode() + b"\n", JSON)
