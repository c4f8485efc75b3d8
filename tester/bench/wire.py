"""What messages look like on the wires of different systems: templates, without client libraries.

The benchmark's messages begin with two numbers of 8 bytes each: the time of sending in nanoseconds, and the message's
number, with the publisher in the upper 16 bits and that publisher's count in the lower 48. The rest of a message
follows from its number, so that a subscriber can check every byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from relay.wire.control import frame
from relay.wire.framings import find_framing
from relay.wire.headed import Headed
from relay.wire.hello import PublisherHello, SubscriberHello

STAMP = struct.Struct("!QQ")
HEARTBEAT = 80
"""Bytes of a heartbeat with the largest position there is, rounded up."""
_PERIOD = 251  # a prime, so that successive messages never look alike, whatever the alignment of a system's buffers
_PATTERN = bytes(range(_PERIOD)) * (2**20 // _PERIOD + 2)
_TEXT = _PATTERN.translate(bytes(32 + byte % 95 for byte in range(256)))


@dataclass(frozen=True)
class Wire:
    """How to speak to a system, with messages that all have the same length."""

    size: int  # bytes of the message itself
    before: bytes = b""  # precedes each message that is published
    delivered_before: bytes = b""  # precedes each message that is delivered
    after: bytes = b""  # follows each message, in both directions
    publisher_hello: bytes = b""  # what a publisher sends first
    subscriber_hello: bytes = b""  # what a subscriber sends first
    noise: bytes = b""  # what a subscriber may receive between messages
    heartbeat: int = 0  # bytes, at most, of a heartbeat that a subscriber may receive between messages; 0: none comes
    acks: bool = False  # whether publishers are told what was accepted
    text: bool = False  # whether messages are printable, with time and number in digits: for framings with delimiters

    @property
    def published_length(self) -> int:
        """Bytes that a publisher sends for one message."""
        return len(self.before) + self.size + len(self.after)

    @property
    def delivered_length(self) -> int:
        """Bytes that a subscriber receives for one message."""
        return len(self.delivered_before) + self.size + len(self.after)

    @property
    def stamp_size(self) -> int:
        """Bytes of the time and number with which a message begins."""
        return STAMP.size * (1 + self.text)

    def published(self, number: int, now: int) -> bytes:
        """The message called `number`, as a publisher sends it; `now`: the time of sending, in nanoseconds."""
        stamp = STAMP.pack(now, number)
        return self.before + (stamp.hex().encode() if self.text else stamp) + self.filling(number) + self.after

    def filling(self, number: int) -> bytes:
        """What the message called `number` has after its time and number."""
        start = number % _PERIOD
        return (_TEXT if self.text else _PATTERN)[start : start + self.size - self.stamp_size]

    def stamp(self, data: bytes, at: int) -> tuple[int, int]:
        """Time and number of the message that begins `at` there, without what frames it."""
        stamp = data[at : at + self.stamp_size]
        time, number = STAMP.unpack(bytes.fromhex(stamp.decode()) if self.text else stamp)
        return time, number


def relay(size: int, framing: str = "int32") -> Wire:
    """The relay's framings, but `raw`, which has no messages. See docs/protocol.md."""
    kind = find_framing(framing)
    framed = kind.frame(bytes(size) if issubclass(kind, Headed) else b"x" * size)
    after = kind.trailer if issubclass(kind, Headed) else framed[size:]
    before = framed[: len(framed) - size - len(after)]
    return Wire(size, before=before, delivered_before=before, after=after, text=not issubclass(kind, Headed))


def session(size: int, *, subscribers: bool, publishers: bool, heartbeat: float) -> Wire:
    """The relay's default framing with sessions: of `subscribers`, of `publishers`, or of both.

    `heartbeat`: seconds between two, 0 for none.
    """
    return replace(
        relay(size),
        publisher_hello=frame(PublisherHello(heartbeat).write()) if publishers else b"",
        subscriber_hello=frame(SubscriberHello(heartbeat=heartbeat).write()) if subscribers else b"",
        heartbeat=HEARTBEAT if subscribers else 0,
        acks=publishers,
    )


def web_socket(size: int) -> Wire:
    """The relay's WebSocket: subscribers get binary messages (RFC 6455, section 5.2); publishers use TCP."""
    if size < 126:
        header = struct.pack("!BB", 0x82, size)
    elif size < 2**16:
        header = struct.pack("!BBH", 0x82, 126, size)
    else:
        header = struct.pack("!BBQ", 0x82, 127, size)
    hello = (
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return Wire(size, before=struct.pack("!I", size), delivered_before=header, subscriber_hello=hello)


def raw(size: int) -> Wire:
    """The messages without any framing."""
    return Wire(size)


def nats(size: int) -> Wire:
    """The protocol of NATS clients. The server sends a PING some seconds after a client has connected."""
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
    """Redis' protocol, RESP 2. The server answers every PUBLISH with a number."""
    return Wire(
        size,
        before=b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$%d\r\n" % size,
        delivered_before=b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n" % size,
        after=b"\r\n",
        subscriber_hello=b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n",
    )
