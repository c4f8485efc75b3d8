"""The commands to the benchmark's processes, and their reports. All of these go through pipes."""

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
"""Seconds between two writes, by default."""


@dataclass(frozen=True)
class Phase:
    """A load to be put on the system for a time."""

    seconds: float
    rate: float | None  # messages per second of all publishers together; None: as many as the system takes
    interval: float = INTERVAL  # seconds between two writes; messages that are due by then are written together
    verify: bool = False  # whether to check every byte received
    timed: bool = False  # whether to measure how long messages take
    until_heard: bool = False  # whether to end as soon as every subscriber has received something


@dataclass(frozen=True)
class Site:
    """Where the system is, and how to speak to it."""

    publish: tuple[str, int]
    subscribe: tuple[str, int]
    wire: Wire
    tls: Tls | None = None  # what to connect with; None: without TLS


@dataclass(frozen=True)
class Connected:
    """All connections of a process are made. `tls`: the version of TLS. `cipher`: its name. Both empty without TLS."""

    tls: str = ""
    cipher: str = ""


class Settled:
    """Nothing of earlier phases is still arriving at a process with subscribers."""


@dataclass(frozen=True)
class Failed:
    """A process cannot go on; `reason` says why."""

    reason: str


@dataclass(frozen=True)
class Sent:
    """What the publishers' process reports of a phase."""

    started: float  # by the monotonic clock, in seconds
    cpu: float  # processor time, in seconds
    messages: int
    acks: Counter[int] = field(default_factory=Counter)  # microseconds, and how many writes were acknowledged in them
    unacknowledged: int = 0  # messages that should have been acknowledged


@dataclass(frozen=True)
class Received:
    """What a process with subscribers reports of a phase."""

    finished: float  # when something was last received, by the monotonic clock, in seconds
    cpu: float  # processor time, in seconds
    octets: int  # bytes that its subscribers together received
    incomplete: int  # subscribers that did not get everything
    damaged: int = 0  # messages that were not the next one of their publisher
    orders: frozenset[int] = frozenset()  # a checksum for each order in which subscribers saw the messages
    delays: Counter[int] = field(default_factory=Counter)  # microseconds, and how many messages took them


Report = Connected | Settled | Failed | Sent | Received


def dial(address: tuple[str, int], hello: bytes, tls: Tls | None) -> Stream:
    """Connect and send `hello`. Raises OSError, or TlsError if the next attempt would fail as well."""
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
    """The report that `streams`, all connections of a process, are made."""
    secure = [stream for stream in streams if isinstance(stream, Secure)]
    return Connected(secure[0].version, secure[0].cipher) if secure else Connected()
