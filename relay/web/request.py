"""Requests to the web port, and its responses, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from relay.observe.stats import NOT_LISTED, Listed

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of responses that are not pages: a browser loads nothing for them."""
ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""Headers of every response: only the browser that asked may use it, and only as the type that it says it is."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request. The peer chose everything in it: nothing can be relied on."""

    method: str = "GET"
    path: str = "/"
    query: Mapping[str, list[str]] = field(default_factory=dict)
    version: str = "HTTP/1.1"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    listed: Listed = NOT_LISTED
    """Connections of other processes, if it asks for connections. The relay has put them there."""

    @property
    def hosts(self) -> int:
        """How many headers `Host` there are."""
        return sum(key.lower() == b"host" for key, _ in self.headers)

    def header(self, name: str) -> str:
        """The value of the header `name`, the last one if there are several; empty if there is none."""
        wanted = name.lower().encode()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return values[-1].decode("latin-1") if values else ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response. For a HEAD request, the body is not sent."""

    status: int
    body: bytes
    kind: str = TEXT
    """Its content type."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names and values of headers besides those that all responses have."""
    loads: str = NOTHING
    """Its Content-Security-Policy: what a browser may load for it."""


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a response, for those that Twisted does not write."""
    names = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{names}\r\n".encode()


def line(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response with one line of text for people."""
    return Response(status, f"{text}\n".encode(), TEXT, headers)
