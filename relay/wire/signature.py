"""What speaks some other protocol, told by the first bytes that it sends: for those who took the wrong port."""

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
"""First bytes of a connection, and what sends them (RFC 9110, 9.3; RFC 8446, 5.1; RFC 4253, 4.2)."""


def looks_like(start: bytes) -> str | None:
    """What a peer took this port for, by the first bytes that it sent; None if they tell nothing."""
    return next((what for first, what in SIGNATURES.items() if start.startswith(first)), None)
