"""What a relay says to a peer with a session, as values, and as the bodies of control frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.wire import control
from relay.wire.control import BadControl
from relay.wire.hello import read_via
from relay.wire.position import Epoch, Position


@dataclass(frozen=True, slots=True)
class SubscriberWelcome:
    """The answer to a subscriber's hello. What came before it does not belong to the session."""

    next: Position
    """Position of the first message behind the welcome."""
    oldest: int
    """Number of the oldest message that could be had."""
    lost: int | None
    """Messages between the hello's `after` and `next` that are gone; None if nobody knows how many."""
    max_message: int
    """Bytes that a message may have."""
    server: str
    """What the relay is, for people: `relay 0.2.0`."""
    ahead: int = 0
    """Messages up to the hello's `after` that the relay's disk never got: others have their numbers now."""
    via: tuple[str, ...] = ()
    """For a relay: the ids of all relays whose messages come. Empty for anybody else."""
    epochs: tuple[Epoch, ...] = ()
    """For a mirror: the newest epochs that the relay knows, the oldest first. Empty for anybody else."""
    behind: int = 0
    """For a mirror: the messages from `next` on that there are already."""

    def write(self) -> bytes:
        return control.write(
            {
                "type": "welcome",
                "next": str(self.next),
                "oldest": self.oldest,
                "lost": self.lost,
                "max_message": self.max_message,
                "server": self.server,
                "ahead": self.ahead or None,
                "via": self.via or None,
                "epochs": self.epochs or None,
                "behind": self.behind or None,
            }
        )


@dataclass(frozen=True, slots=True)
class PublisherWelcome:
    """The answer to a publisher's hello. The first message behind the hello is number `accepted` + 1."""

    accepted: int
    """Messages accepted so far: of the name, or 0 without one."""
    known: bool
    """Whether the relay knew the name. If not, the name is new, or forgotten, or the relay was restarted."""
    ack: str
    """What accepted means: `relayed`, in the log and handed to whoever is live; `written`, `synced`: in the journal."""
    epoch: str
    """The epoch in which the messages get their positions."""
    max_message: int
    """Bytes that a message may have."""
    server: str
    """What the relay is, for people."""

    def write(self) -> bytes:
        return control.write(
            {
                "type": "welcome",
                "accepted": self.accepted,
                "known": self.known,
                "ack": self.ack,
                "epoch": self.epoch,
                "max_message": self.max_message,
                "server": self.server,
            }
        )


@dataclass(frozen=True, slots=True)
class Ack:
    """To a publisher: all its messages up to number `accepted` are accepted."""

    accepted: int

    def write(self) -> bytes:
        return b'{"type":"ack","accepted":%d}' % self.accepted


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The relay lives. To a subscriber: the next message is number `next`. To a publisher: as an ack."""

    next: Position | None = None
    """For a subscriber; None for a publisher."""
    accepted: int | None = None
    """For a publisher; None for a subscriber."""
    behind: tuple[int, float] | None = None
    """For a mirror: the messages and the seconds that it is behind. None for anybody else."""

    def write(self) -> bytes:
        if self.behind is not None:
            return control.write({"type": "heartbeat", "next": str(self.next), "behind": self.behind})
        if self.next is not None:
            return b'{"type":"heartbeat","next":"%b-%d"}' % (self.next.epoch.encode(), self.next.number)
        return control.write({"type": "heartbeat", "accepted": self.accepted})


@dataclass(frozen=True, slots=True)
class Gap:
    """To a subscriber: `lost` messages are missing here, and the next one is number `next`."""

    lost: int
    next: Position

    def write(self) -> bytes:
        return control.write({"type": "gap", "lost": self.lost, "next": str(self.next)})


@dataclass(frozen=True, slots=True)
class Via:
    """To a relay that subscribes: from now on messages of these relays come, and of no others."""

    relays: tuple[str, ...]

    def write(self) -> bytes:
        return control.write({"type": "via", "relays": self.relays})


@dataclass(frozen=True, slots=True)
class Bye:
    """The relay ends the connection, between two messages."""

    reason: str
    """Why: a close reason, in the words of the log."""
    next: Position | None = None
    """For a subscriber: what would have come next."""
    accepted: int | None = None
    """For a publisher: as an ack."""
    retry: float | None = None
    """Seconds after which to come back; None if it is up to the peer."""

    def write(self) -> bytes:
        return control.write(
            {
                "type": "bye",
                "reason": self.reason,
                "next": None if self.next is None else str(self.next),
                "accepted": self.accepted,
                "retry": self.retry,
            }
        )


@dataclass(frozen=True, slots=True)
class Error:
    """The peer did something wrong, and the connection ends."""

    message: str
    """What was wrong, and what to do about it, for people."""

    def write(self) -> bytes:
        return control.write({"type": "error", "message": self.message})


Answer = SubscriberWelcome | PublisherWelcome | Ack | Heartbeat | Gap | Via | Bye | Error


def read_answer(body: bytes) -> Answer | None:
    """The answer in the body of a control frame; None for a type that is not known, which is to be ignored.

    Raises BadControl if it cannot be understood.
    """
    values = control.read(body)
    reader = _READERS.get(str(values.get("type")))
    try:
        return None if reader is None else reader(values)
    except (KeyError, TypeError, ValueError) as error:
        raise BadControl(f"{values.get('type')} that cannot be understood: {error!r}") from None


def _welcome(values: Mapping[str, object]) -> Answer:
    limit, server = _number(values, "max_message"), str(values.get("server", ""))
    if "next" in values:
        lost = None if values.get("lost") is None else _number(values, "lost")
        ahead = _number(values, "ahead") if "ahead" in values else 0
        via, epochs = read_via(values.get("via")), _epochs(values.get("epochs"))
        oldest, behind = _number(values, "oldest"), _number(values, "behind") if "behind" in values else 0
        return SubscriberWelcome(_position(values), oldest, lost, limit, server, ahead, via, epochs, behind)
    known, ack, epoch = values["known"] is True, str(values["ack"]), str(values["epoch"])
    return PublisherWelcome(_number(values, "accepted"), known, ack, epoch, limit, server)


def _heartbeat(values: Mapping[str, object]) -> Answer:
    if "next" in values:
        return Heartbeat(next=_position(values), behind=_behind(values.get("behind")))
    return Heartbeat(accepted=_number(values, "accepted"))


def _bye(values: Mapping[str, object]) -> Answer:
    retry = values.get("retry")
    return Bye(
        str(values["reason"]),
        _position(values) if "next" in values else None,
        _number(values, "accepted") if "accepted" in values else None,
        float(retry) if isinstance(retry, int | float) else None,
    )


def _epochs(value: object) -> tuple[Epoch, ...]:
    pairs = value if isinstance(value, list) else []
    positions = [Position.parse(f"{name}-{first}") for name, first in pairs]
    return tuple(Epoch(position.epoch, position.number) for position in positions)


def _behind(value: object) -> tuple[int, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("behind is not messages and seconds")
    messages, seconds = value
    return int(messages), float(seconds)


def _position(values: Mapping[str, object]) -> Position:
    return Position.parse(str(values["next"]))


def _number(values: Mapping[str, object], key: str) -> int:
    value = values[key]
    if type(value) is not int or value < 0:
        raise ValueError(f"{key} is not a number of messages")
    return value


_READERS: dict[str, Callable[[Mapping[str, object]], Answer]] = {
    "welcome": _welcome,
    "ack": lambda values: Ack(_number(values, "accepted")),
    "heartbeat": _heartbeat,
    "gap": lambda values: Gap(_number(values, "lost"), _position(values)),
    "via": lambda values: Via(read_via(values["relays"])),
    "bye": _bye,
    "error": lambda values: Error(str(values["message"])),
}
"""For each type of answer, what makes its value from the keys of a control frame."""
