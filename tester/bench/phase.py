"""What the benchmark's processes are asked to do, and what they report. All of it travels through pipes."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tester.bench.secure import Secure
from tester.bench.wire import Wire
from tester.tls import Tls, TlsError

Stream = socket.socket | Secure


INTERVAL = 0.0001
"""Seconds between two looks at what is due, unless told otherwise."""


@dataclass(frozen=True)
class Phase:
    """One load for a while."""

    seconds: float
    rate: float | None  # messages/s of all publishers together; None: as many as are taken
    interval: float = INTERVAL  # seconds between two writes; what is due by then goes out together
    verify: bool = False
    timed: bool = False  # whether it is measured how late messages are
    until_heard: bool = False  # whether it ends as soon as every subscriber has received something


@dataclass(frozen=True)
class Site:
    """Where the system is and how it is spoken to."""

    publish: tuple[str, int]
    subscribe: tuple[str, int]
    wire: Wire
    tls: Tls | None = None  # with what connections are made; None: without TLS


@dataclass(frozen=True)
class Connected:
    """All connections of a process are there, over this version of TLS and with this cipher; both empty without."""

    tls: str = ""
    cipher: str = ""


class Settled:
    """Nothing of earlier phases is on its way any more."""


@dataclass(frozen=True)
class Failed:
    """A process cannot go on, for this reason."""

    reason: str


@dataclass(frozen=True)
class Sent:
    """A phase, as the publishers' process saw it. Times are of the monotonic clock, in seconds."""

    started: float
    cpu: float  # seconds
    messages: int


@dataclass(frozen=True)
class Received:
    """A phase, as a process with subscribers saw it."""

    finished: float
    cpu: float  # seconds
    octets: int
    incomplete: int  # subscribers that did not get everything
    damaged: int = 0  # messages that were not what was expected next
    orders: frozenset[int] = frozenset()  # a checksum for each order that messages came in
    delays: Counter[int] = field(default_factory=Counter)  # microseconds, and how many messages took so long


Report = Connected | Settled | Failed | Sent | Received


def dial(address: tuple[str, int], hello: bytes, tls: Tls | None) -> Stream:
    """A connection over which `hello` was said. Raises OSError, or TlsError where it will never be."""
    plain = socket.create_connection(address, 30)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.settimeout(None)
    if tls is None:
        plain.sendall(hello)
        return plain
    try:
        secure = Secure(plain, address[0], tls)
        secure.sendall(hello)
    except TlsError as error:
        raise TlsError(f"{address[0]}:{address[1]}: {error}") from None
    return secure


def connected(streams: Sequence[Stream]) -> Connected:
    """What there is to say about connections that are there."""
    secure = [stream for stream in streams if isinstance(stream, Secure)]
    return Connected(secure[0].version, secure[0].cipher) if secure else Connected()
