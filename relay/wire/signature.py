"""Recognizes other protocols by the first bytes of a connection: a hint for peers that took the wrong port."""

from __future__ import annotations

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


def looks_like(start: bytes) -> str | None:
    """What `start`, the first bytes that a peer sent, looks like; None if it is not in `SIGNATURES`."""
    return next((what for first, what in SIGNATURES.items() if start.startswith(first)), None)
