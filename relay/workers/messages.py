"""What a relay and its workers tell each other, as values and as bytes.

Both are processes of one relay, with the same code, on one machine, connected by a pair of sockets that nobody else
has. So the bytes are those of pickle.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.logger import LogLevel

from relay.config.config import Config
from relay.core.journal import Chunk
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.observe.roster import Row
from relay.observe.stats import Snapshot
from relay.peers.ended_connection import EndedConnection
from relay.wire.close_reason import CloseReason

# To a worker


@dataclass(frozen=True)
class Kept:
    """What the relay's journal has. Sizes are in bytes; positions and the rest as `relay.core.journal` has them."""

    oldest: int
    begin: int
    limit: int
    size: int
    oldest_time: float


@dataclass(frozen=True)
class Settings:
    """How a worker is to be: a configuration that is in force in the relay."""

    config: Config
    files: Mapping[str, bytes]
    """What the relay found in the files of certificates, which may have changed since."""


@dataclass(frozen=True)
class Begin:
    """The first thing that a worker is told."""

    version: str
    """The relay's, which must be the worker's own: files may have changed since the relay was started."""
    settings: Settings
    numbers: int
    """The number of its first connection."""
    descriptors: tuple[int, ...]
    """Of the sockets to listen on, in the order in which the configuration has the endpoints."""
    kept: Kept | None
    """None if the relay has no journal."""


@dataclass(frozen=True)
class Lent:
    """A chunk of the journal that was asked for, or why it cannot be had."""

    position: int
    epoch: str
    """What was asked for."""
    chunk: Chunk | None
    gone: bool = False
    """Whether the message is older than the journal."""
    error: str = ""


@dataclass(frozen=True)
class Found:
    """The answer to a `Find`."""

    number: int
    position: int | None
    """None if the journal cannot be read."""
    error: str = ""


@dataclass(frozen=True)
class Connect:
    """A socket for messages came with this, and another one will when it ends."""


@dataclass(frozen=True)
class Change:
    """Apply other settings."""

    settings: Settings


@dataclass(frozen=True)
class Ask:
    """Report."""

    number: int
    """The report's number, from 1 on."""
    after: int | None = None
    """List the open connections with larger numbers too, and those that ended; None: list none."""


@dataclass(frozen=True)
class Refuse:
    """End the newest connection from `host`, because there are too many in all processes together."""

    host: str | None
    reason: CloseReason


@dataclass(frozen=True)
class Stop:
    """Accept nothing more, give subscribers what is left for them within `timeout` seconds, and end."""

    timeout: float


# From a worker


@dataclass(frozen=True)
class Connected:
    """The worker has the socket that came last."""


@dataclass(frozen=True)
class Borrow:
    """The worker needs the chunk of the journal that has the message at `position`."""

    position: int
    epoch: str
    """In force at the worker: it may not have heard yet that the journal has begun anew, with other messages."""


@dataclass(frozen=True)
class Find:
    """The worker needs the position of the first message published at `time` or later, in seconds since 1970."""

    number: int
    time: float


@dataclass(frozen=True)
class Ready:
    """The worker has the messages, and accepts connections."""


@dataclass(frozen=True)
class Counted:
    """Connections that were admitted and released since the last time: their hosts, None for one without an address."""

    admitted: tuple[str | None, ...]
    released: tuple[str | None, ...]


@dataclass(frozen=True)
class Held:
    """Whether publishers must wait for the slowest of the worker's subscribers (`--slow block`)."""

    held: bool


@dataclass(frozen=True)
class Logged:
    """An event of the worker's log."""

    level: str
    fields: dict[str, object]
    """What the event has besides, as values that any process can read."""
    traceback: str
    """Of a failure; empty without one."""


@dataclass(frozen=True)
class Report:
    """What the worker does."""

    snapshot: Snapshot
    cpu: float
    """Seconds of processor time that it has taken."""
    memory: int
    """Bytes that are resident."""
    rows: tuple[Row, ...] = ()
    """Its open connections, if they were asked for."""
    slowest: tuple[Row, ...] = ()
    """Those that lag by the most bytes."""
    ended: tuple[EndedConnection, ...] = ()
    """The last that have ended: many if connections were asked for, and else a few."""
    number: int = 0
    """As in `Ask`; 0 if it was not asked for."""


ToWorker = Begin | Kept | Lent | Found | Connect | Change | Ask | Refuse | Stop
FromWorker = Borrow | Find | Connected | Ready | Counted | Held | Logged | Report
Message = ToWorker | FromWorker


def slow_policy(name: str) -> SlowPolicy:
    """The one object that stands for the policy."""
    return SLOW_POLICIES[name]


def log_level(name: str) -> Any:  # Any: Twisted declares no type
    """The one object that stands for the level."""
    return LogLevel.lookupByName(name)


class _Pickler(pickle.Pickler):
    """Has the other process find what there is one object of."""

    def reducer_override(self, value: object) -> Any:  # Any: as pickle declares it
        if isinstance(value, SlowPolicy):
            return slow_policy, (value.name,)
        if isinstance(value, type(LogLevel.info)):
            return log_level, (value.name,)
        return NotImplemented


def encode(message: Message) -> bytes:
    """`message` as bytes."""
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(message)
    return file.getvalue()


def decode(data: bytes) -> Message:
    """What `encode` wrote."""
    message: Message = pickle.loads(data)
    return message
