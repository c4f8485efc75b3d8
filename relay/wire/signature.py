"""Recognizes other protocols by the first bytes of a connection: a hint for peers that took the wrong port."""

from __future__ import annotations

import re

from relay.wire.counted import Int32
from relay.wire.digits import Netstring, Octet
from relay.wire.framing import BadFrame
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


COUNTED = {"int32": Int32, "netstring": Netstring, "octet": Octet}
"""Framings that a message of another kind hardly ever is by chance, because they have lengths of several bytes."""


def takes_apart(message: bytes, limit: int) -> str:
    """The name of the framing whose whole messages `message` is, as a relay without framing gets them; or empty.

    `limit`: bytes that such a message may have.
    """
    for name, framing in COUNTED.items():
        stream = framing(limit)
        try:
            if stream.receive(message) and not stream.partial:
                return name
        except BadFrame:
            pass
    return ""


FRAMED = (
    ("octet", rb"[1-9][0-9]{0,4} |[1-9][0-9]{3}", "lengths in digits, as syslog counts octets"),
    ("netstring", rb"(0|[1-9][0-9]{0,4}):", "netstrings"),
    ("int32", rb"\0\0", "lengths of 4 bytes"),
    ("int16", rb"\0[^\0][ -~]{2}", "lengths of 2 bytes"),
    ("varint", rb"[\x01-\x7f][\x08\x0a\x10\x12]..", "lengths of one byte, as Protocol Buffers write them"),
    ("nul", rb"[ -~\t\r\n]+\0", "text that ends with a zero byte"),
    ("line", rb"[ -~\t\r]+\n", "text that ends with a line feed"),
    ("cr", rb"[ -~\t]+\r", "text that ends with a carriage return"),
)
"""Framings, the beginnings by which they are known, and what these look like: those that are least like others first.
A field of 1 or 2 begins every message of Protocol Buffers that has them, a number or bytes: hence the second byte."""


def wrong_framing(start: bytes, limit: int, framing: str) -> str:
    """What a stream seems to be that the relay's framing cannot read, for an operator; empty without an idea.

    `start`: where a message should begin (see `BadFrame.start`). `limit`: bytes that a message may have. `framing`: the
    name of the relay's.
    """
    for other, pattern, what in FRAMED:
        if other != framing and re.match(pattern, start, re.DOTALL):
            return f"it looks like {what}: --framing {other}"
    shown = printable(start, whole=False)
    if framing in ("line", "cr", "nul"):
        return f"it begins with {shown!r}, and no {DELIMITERS[framing]} came"
    if re.match(rb"[ -~]{4}", start):
        return f"it begins with the text {shown!r}: text needs --framing line"
    if framing == "int32" and 0 < int.from_bytes(start, "little") <= limit:
        return "it looks like lengths with the lowest byte first; int32 has the highest first"
    return ""


DELIMITERS = {"line": "line feed", "cr": "carriage return", "nul": "zero byte"}
