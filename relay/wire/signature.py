"""Recognizes other protocols by the first bytes of a connection: a hint for peers that took the wrong port."""

from __future__ import annotations

import re

SIGNATURES = {
    b"GET ": "an HTTP request",
    b"HEAD": "an HTTP request",
    b"POST": "an HTTP request",
    b"PUT ": "an HTTP request",
    b"\x16\x03\x01": "a TLS handshake",
    b"\x16\x03\x03": "a TLS handshake",
    b"SSH-": "an SSH client",
}
"""First bytes of a connection, and what they look like (RFC 9110, 9.3; RFC 8446, 5.1; RFC 4253, 4.2)."""

OPENINGS = {
    rb"[A-Z]{3,7} [^ \r\n]+ HTTP/1\.[01]\r?\n": "an HTTP request",
    rb"\x16\x03[\x01\x03]..\x01": "a TLS handshake",
    rb"SSH-(?:2\.0|1\.99)-": "an SSH client",
}
"""What clients of other protocols send first, as patterns (RFC 9112, 3; RFC 8446, 4 and 5.1; RFC 4253, 4.2 and 5.1)."""
MOST = 4096
"""Bytes of a message that are looked at by `opens`."""


def looks_like(start: bytes) -> str | None:
    """What `start`, the first bytes that a peer sent, looks like; None if it is not in `SIGNATURES`."""
    return next((what for first, what in SIGNATURES.items() if start.startswith(first)), None)


def opens(first: bytes) -> str | None:
    """What a connection is whose first message is `first`, if that is of another protocol; None if it is a message.

    It is stricter than `looks_like`, because a message may well begin with `GET `, as the lines of a log do.
    """
    return next((what for pattern, what in OPENINGS.items() if re.match(pattern, first[:MOST], re.DOTALL)), None)
