"""Recognizes other protocols by the first bytes of a connection: a hint for peers that took the wrong port."""

from __future__ import annotations

import re

from relay.wire.printable import printable

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


def wrong_framing(start: bytes, limit: int, counted: bool) -> str:
    """What a stream seems to be that the framing cannot read, for an operator; empty without an idea.

    `start`: where a message should begin (see `MessageTooLong.start`). `limit`: bytes that a message may have.
    `counted`: whether the framing is one with lengths, so that `start` is one; else it is one with terminators.
    """
    if not counted:
        return _wrong_terminator(start)
    if re.match(rb"[0-9]{1,5} |[0-9]{4}", start):
        return "it looks like lengths in digits, as syslog counts octets, which no framing here reads"
    if _is_text(start):
        return f"it begins with the text {start.decode()!r}: text needs --framing line"
    if 0 < int.from_bytes(start, "little") <= limit:
        return "it looks like lengths with the lowest byte first; int32 has the highest first"
    if start[0] == 0 < start[1] and _is_text(start[2:]):
        return "it looks like lengths of 2 bytes; int32 has 4"
    return ""


def _is_text(data: bytes) -> bool:
    return data.isascii() and data.decode().isprintable()


def _wrong_terminator(start: bytes) -> str:
    if start.startswith(b"\0\0"):
        return "it looks like lengths of 4 bytes, as --framing int32 has them"
    if b"\r" in start:
        return "its lines seem to end with a carriage return, and line needs a line feed"
    if b"\0" in start:
        return "its messages seem to end with a zero byte, and line needs a line feed"
    return f"it begins with {printable(start)!r}, and no line feed came"
