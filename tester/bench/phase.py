"""What the benchmark's processes are asked to do, and what they report. All of it travels through pipes."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import dataclass, field

from tester.bench.wire import Wire


@dataclass(frozen=True)
class Phase:
    """One load for a while."""

    seconds: float
    rate: float | None  # messages/s of all publishers together; None: as many as are taken
    verify: bool = False
    timed: bool = False  # whether it is measured how late messages are
    until_heard: bool = False  # whether it ends as soon as every subscriber has received something


@dataclass(frozen=True)
class Site:
    """Where the system is and how it is spoken to."""

    publish: tuple[str, int]
    subscribe: tuple[str, int]
    wire: Wire


class Connected:
    """All connections of a process are there."""


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


def dial(address: tuple[str, int], hello: bytes) -> socket.socket:
    """A connection over which `hello` was said."""
    connection = socket.create_connection(address, 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(None)
    connection.sendall(hello)
    return connection
