"""Requests to the web port, and its responses, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""What a browser may load for a response that is no page."""
ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""Headers of every response: it is for nobody else, and it is what it says."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request. What it brought is the peer's, and may be anything."""

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, list[str]] = field(default_factory=dict)
    version: str = "HTTP/1.1"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def header(self, name: str) -> str:
        """The only or the last one of that name; empty if there is none."""
        wanted = name.lower().encode()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return values[-1].decode("latin-1") if values else ""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back; to a HEAD, without the body."""

    status: int
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    loads: str = NOTHING
    """What a browser may load for it: a Content-Security-Policy."""


def line(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A line for people."""
    return Response(status, f"{text}\n".encode(), TEXT, headers)
