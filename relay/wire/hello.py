"""The hello: the one control frame that a peer sends, and the first thing that it sends.

A hello is read strictly: a key that is known must have a value of its type and within its limits. Keys that are not
known are ignored, so that later versions can add some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import takewhile

from relay.wire import control
from relay.wire.control import BadControl
from relay.wire.counted import Int32
from relay.wire.headed import Headed
from relay.wire.position import Position

VERSION = 1
"""The version of the protocol, the value of the key `relay`."""
MAX_NAME = 128
"""Most characters of a name: enough for a host name or a UUID with something before it, and one line of a log."""
MIN_HEARTBEAT, MAX_HEARTBEAT = 1, 3600
"""Seconds between two heartbeats, at least and at most."""
MAX_VIA = 100
"""Relays that are named as the origins of messages, at most: what a control frame has room for, with all else."""
MAX_NUMBER = 10**18
"""No number of messages or seconds reaches this: a limit on what a peer can make us compute with."""


@dataclass(frozen=True, slots=True)
class SubscriberHello:
    """A subscriber's hello. At most one of `after`, `replay` and `since` is not None; none of them: from now on."""

    after: Position | None = None
    """Go on behind this position."""
    replay: int | None = None
    """Begin with the last so many messages."""
    since: float | datetime | None = None
    """Begin with what was published since then: an age in seconds, or a time with its zone."""
    heartbeat: float = 0
    """Seconds between two heartbeats, from `MIN_HEARTBEAT` to `MAX_HEARTBEAT`; 0 for none."""
    name: str = ""
    """What to call the subscriber in the log; empty for nothing."""
    via: tuple[str, ...] = ()
    """If this is a relay, its id: it wants to be told whose messages come. Empty for anybody else."""
    mirror: int | None = None
    """If this is a mirror, the bytes of messages that it can keep: without `after` it begins with the newest that are
    about so many. It wants to be told the epochs, and how far it is behind. None for anybody else."""

    def write(self) -> bytes:
        """The hello as the body of a control frame."""
        return control.write(
            {
                "relay": VERSION,
                "type": "subscribe",
                "after": None if self.after is None else str(self.after),
                "replay": self.replay,
                "since": self.since.isoformat() if isinstance(self.since, datetime) else self.since,
                "heartbeat": self.heartbeat or None,
                "name": self.name or None,
                "via": self.via or None,
                "mirror": self.mirror,
            }
        )

    @classmethod
    def read(cls, values: Mapping[str, object]) -> SubscriberHello:
        """The hello with these keys and values. Raises BadControl if one of those that matter is wrong."""
        starts = [key for key in ("after", "replay", "since") if values.get(key) is not None]
        if len(starts) > 1:
            raise BadControl(f"give one of after, replay and since, not {' and '.join(starts)}")
        return cls(
            after=_position(values.get("after")),
            replay=_count(values.get("replay"), "replay: how many messages, a whole number"),
            since=_since(values.get("since")),
            heartbeat=_heartbeat(values.get("heartbeat")),
            name=_name(values.get("name")),
            via=read_via(values.get("via")),
            mirror=_count(values.get("mirror"), "mirror: how many bytes, a whole number"),
        )


@dataclass(frozen=True, slots=True)
class PublisherHello:
    """A publisher's hello."""

    heartbeat: float = 0
    """Seconds between two heartbeats, from `MIN_HEARTBEAT` to `MAX_HEARTBEAT`; 0 for none."""
    name: str = ""
    """The name under which messages are counted over all its connections; empty to count those of this one."""
    via: tuple[str, ...] = ()
    """If this is a relay, its id and those of all whose messages it sends. Empty for anybody else."""

    def write(self) -> bytes:
        """The hello as the body of a control frame."""
        return control.write(
            {
                "relay": VERSION,
                "type": "publish",
                "heartbeat": self.heartbeat or None,
                "name": self.name or None,
                "via": self.via or None,
            }
        )

    @classmethod
    def read(cls, values: Mapping[str, object]) -> PublisherHello:
        """The hello with these keys and values. Raises BadControl if one of those that matter is wrong."""
        return cls(
            heartbeat=_heartbeat(values.get("heartbeat")),
            name=_name(values.get("name")),
            via=read_via(values.get("via")),
        )


Hello = SubscriberHello | PublisherHello


def read_hello(body: bytes) -> Hello:
    """The hello in the body of a control frame. Raises BadControl if it is none."""
    values = control.read(body)
    version = values.get("relay")
    if type(version) is not int or version != VERSION:
        raise BadControl(f'a hello has "relay": {VERSION}, the version of the protocol that this relay speaks')
    match values.get("type"):
        case "subscribe":
            return SubscriberHello.read(values)
        case "publish":
            return PublisherHello.read(values)
    raise BadControl('a hello has "type": "subscribe" or "type": "publish"')


def _common(one: bytes, other: bytes) -> bytes:
    """What two heads begin with alike."""
    return bytes(byte for byte, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


BEGINNINGS = {
    carrier: reduce(_common, (carrier.head(control.CONTROL + size) for size in (0, 1, control.MAX_CONTROL)))
    for carrier in control.CARRIERS
}
"""What all control frames begin with in each framing: a peer that begins otherwise is silent from its first byte. Of
`varint` that is nothing: it has the lowest bits first."""


class Opening:
    """Reads the beginning of what a peer sends, until it is known whether that is a hello."""

    def __init__(self, carrier: type[Headed] = Int32) -> None:
        """`carrier`: the framing in which the hello is written."""
        self._carrier = carrier
        self._start = bytearray()
        self.silent = False
        """Whether the peer has begun without a hello."""
        self.body: bytes | None = None
        """The body of the control frame with which the peer began, once it is complete."""

    @property
    def partial(self) -> int:
        """Bytes of a hello that is not complete."""
        return 0 if self.silent or self.body is not None else len(self._start)

    def receive(self, data: bytes) -> bytes:
        """Take the next bytes, until `silent` or `body` is set. Returns those that do not belong to a hello."""
        start = self._start
        start += data
        if not start:
            return b""
        begin = BEGINNINGS[self._carrier]
        self.silent = start[: len(begin)] != begin[: len(start)]
        if not self.silent and (end := self._end()):
            return self._take(end)
        return self._take(0) if self.silent else b""

    def _end(self) -> int:
        """Where the control frame ends, once it is whole, with its body in `body`; 0 until then, or if it is none."""
        carrier, start = self._carrier, bytes(self._start)
        try:
            measured = carrier.measure(start, 0)
        except ValueError:
            measured = 0, 0
        if measured is None:
            return 0
        head, length = measured
        end = head + length - control.CONTROL
        whole = end + len(carrier.trailer)
        self.silent = not control.is_control(length)
        if self.silent or len(start) < whole:
            return 0
        self.silent = start[end:whole] != carrier.trailer
        self.body = None if self.silent else start[head:end]
        return 0 if self.silent else whole

    def _take(self, begin: int) -> bytes:
        rest = bytes(self._start[begin:])
        self._start = bytearray()
        return rest


def _position(value: object) -> Position | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError("a position is a string such as 5289cfdd2847-17")
        return Position.parse(value)
    except ValueError as error:
        raise BadControl(f"after: {error}") from None


def _count(value: object, what: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise BadControl(what)
    return value


def _since(value: object) -> float | datetime | None:
    if value is None:
        return None
    if type(value) in (int, float) and 0 <= value < MAX_NUMBER:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value.upper())  # RFC 3339 allows a lower-case t and z, Python only the t
        except ValueError:
            time = None
        if time is not None and time.tzinfo is not None:
            return time
    raise BadControl("since: an age in seconds, or a time such as 2026-11-25T08:30:00Z (RFC 3339)")


def _heartbeat(value: object) -> float:
    if value is None or (type(value) in (int, float) and value == 0):
        return 0
    if type(value) not in (int, float) or not MIN_HEARTBEAT <= value <= MAX_HEARTBEAT:  # type: ignore[operator]
        raise BadControl(f"heartbeat: seconds, from {MIN_HEARTBEAT} to {MAX_HEARTBEAT:,}; 0 for none")
    return value  # type: ignore[return-value]


def read_via(value: object) -> tuple[str, ...]:
    """Ids of relays, from what JSON has for them. Raises BadControl if it is anything else."""
    if value is None:
        return ()
    ids = value if isinstance(value, list) and len(value) <= MAX_VIA else [None]
    if not all(isinstance(one, str) and re.fullmatch("[0-9a-f]{1,32}", one) for one in ids):
        raise BadControl(f"via: at most {MAX_VIA} ids of relays, each of them up to 32 hexadecimal digits")
    return tuple(ids)


def _name(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise BadControl(f"name: at most {MAX_NAME} printable characters")
    return value
