"""What messages look like on the wires of different systems: a few templates, and no client library.

A message, as the benchmark means it, starts with when it was sent (nanoseconds) and which one it is (the publisher in
the upper 16 bits, its count in the lower 48), 8 bytes each. The rest follows from the second number, so that a
subscriber knows all of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

STAMP = struct.Struct("!QQ")
_PERIOD = 251  # a prime: neighbours never look alike, whatever a system's buffers are aligned to
_PATTERN = bytes(range(_PERIOD)) * (2**20 // _PERIOD + 2)


@dataclass(frozen=True)
class Wire:
    """How to speak to a system, with messages that are all of the same length."""

    size: int  # bytes of the message itself
    before: bytes = b""  # what precedes a message that is published
    delivered_before: bytes = b""  # what precedes it when it is delivered
    after: bytes = b""  # what follows it, in both cases
    publisher_hello: bytes = b""
    subscriber_hello: bytes = b""
    noise: bytes = b""  # what a subscriber may hear between messages

    @property
    def published_length(self) -> int:
        """Bytes that a publisher sends for one message."""
        return len(self.before) + self.size + len(self.after)

    @property
    def delivered_length(self) -> int:
        """Bytes that a subscriber receives for one message."""
        return len(self.delivered_before) + self.size + len(self.after)

    def published(self, number: int, now: int) -> bytes:
        """The message with that number, sent at `now`, as a publisher sends it."""
        return self.before + STAMP.pack(now, number) + self.filling(number) + self.after

    def filling(self, number: int) -> bytes:
        """What that message has after its stamp."""
        start = number % _PERIOD
        return _PATTERN[start : start + self.size - STAMP.size]


def relay(size: int) -> Wire:
    """The relay's default framing: the length in 4 bytes. See docs/protocol.md."""
    length = struct.pack("!I", size)
    return Wire(size, before=length, delivered_before=length)


def web_socket(size: int) -> Wire:
    """The relay's WebSocket: a binary message each (RFC 6455, section 5.2)."""
    if size < 126:
        header = struct.pack("!BB", 0x82, size)
    elif size < 2**16:
        header = struct.pack("!BBH", 0x82, 126, size)
    else:
        header = struct.pack("!BBQ", 0x82, 127, size)
    hello = (
        b"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return Wire(size, before=struct.pack("!I", size), delivered_before=header, subscriber_hello=hello)


def raw(size: int) -> Wire:
    """Nothing but the bytes."""
    return Wire(size)


def nats(size: int) -> Wire:
    """The protocol of NATS clients. The server sends a PING some seconds after a client came."""
    return Wire(
        size,
        before=b"PUB a %d\r\n" % size,
        delivered_before=b"MSG a 1 %d\r\n" % size,
        after=b"\r\n",
        publisher_hello=b'CONNECT {"verbose":false}\r\nPING\r\n',
        subscriber_hello=b'CONNECT {"verbose":false}\r\nSUB a 1\r\nPING\r\n',
        noise=b"PING\r\n",
    )


def redis(size: int) -> Wire:
    """RESP 2, as Redis speaks it to subscribers. It answers every PUBLISH with a number."""
    return Wire(
        size,
        before=b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$%d\r\n" % size,
        delivered_before=b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n" % size,
        after=b"\r\n",
        subscriber_hello=b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n",
    )
