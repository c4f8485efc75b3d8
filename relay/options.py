"""The options of `twistd relay`, checked when they are read: a bad one ends the start with one line that names it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.endpoints import serverFromString
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

import twisted
from relay import __version__
from relay.framing import FRAMINGS, Framing
from relay.hub import Slow

PUBLISH = "tcp:8001"
SUBSCRIBE = "tcp:8002"
UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LEAST_BUFFER = 2**20
"""Bytes: below it there would be little but bookkeeping in the buffer."""
LEAST_SEND_BUFFER = 4096
"""Bytes: with less, the kernel would wake us for every few packets."""
MOST_KEEPALIVE = 32_767
"""Seconds: the most that Linux takes (MAX_TCP_KEEPIDLE in its net/tcp.h)."""
LARGEST_MESSAGES = 8
"""How many of the largest messages the buffer must hold: what one turn brings has to fit well inside it."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Config:
    """What the relay was asked to do. Sizes are in bytes, times in seconds."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    framing: type[Framing]
    max_message: int
    buffer: int
    slow: Slow
    stall_timeout: float
    replay: int
    max_connections: int | None
    """None: as many as the descriptors are enough for."""
    max_per_address: int
    frame_timeout: float
    keepalive: int
    send_buffer: int
    drain_timeout: float


def size(text: str) -> int:
    """Bytes, from `65536`, `64KiB`, `64 MiB` or `1GiB`."""
    match = re.fullmatch(r"(\d+) ?(|KiB|MiB|GiB)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: give bytes, or a number with KiB, MiB or GiB, as in 64MiB")
    return int(match[1]) * UNITS[match[2]]


def show_size(number: int) -> str:
    """The shortest way to write a size: `64 MiB`, `99,999 bytes`."""
    unit = max((unit for unit in UNITS if number and number % UNITS[unit] == 0), key=UNITS.__getitem__, default="")
    return f"{number // UNITS[unit]:,} {unit or 'bytes'}"


def count(text: str) -> int:
    """A whole number from 0."""
    if not re.fullmatch(r"\d+", text.strip()):
        raise ValueError(f"{text!r} is not a whole number from 0")
    return int(text)


def _count_or_auto(text: str) -> int | None:
    return None if text.strip() == "auto" else count(text)


def seconds(text: str) -> float:
    """Seconds from 0, with or without a fraction."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{text!r} is not a number of seconds from 0")
    return number


def one_of(choices: dict[str, Value]) -> Callable[[str], Value]:
    """What a name stands for."""

    def choose(text: str) -> Value:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return choices[text]

    return choose


def _option(name: str, convert: Callable[[str], Value]) -> Callable[[str], Value]:
    """`convert`, with errors that name the option."""

    def converted(text: str) -> Value:
        try:
            return convert(text)
        except ValueError as error:
            raise UsageError(f"--{name}: {error}") from None

    return converted


def _parameter(name: str, default: str, convert: Callable[[str], Any], text: str) -> list[Any]:
    """One line of `optParameters`. Any: each option has a type of its own."""
    return [name, None, default, text, _option(name, convert)]


class Options(UsageOptions):
    """Options of `twistd relay`."""

    synopsis = "[options]"
    longdesc = (
        "A broadcast daemon: every message that a publisher sends is delivered, whole and in order, to every "
        "subscriber. SIZES are in bytes, or with KiB, MiB or GiB, as in 64MiB."
    )
    optParameters = [  # noqa: RUF012  # Twisted's own
        _parameter(
            "framing",
            "int32",
            one_of(FRAMINGS),
            "how messages are told apart, on both sides: int32 (a 4-byte big-endian length before each), "
            "line (a newline after each, which stays on the wire), raw (every read is a message)",
        ),
        _parameter("max-message", "99999", size, "longest message accepted, a SIZE without length or newline"),
        _parameter("buffer", "64MiB", size, "memory for the newest messages, kept for subscribers that lag, a SIZE"),
        _parameter(
            "slow",
            "disconnect",
            one_of({slow.value: slow for slow in Slow}),
            "what happens to a subscriber that falls further behind than the buffer reaches: disconnect it, "
            "skip what it lacks, or block the publishers so that it does not come to that",
        ),
        _parameter(
            "stall-timeout",
            "30",
            seconds,
            "seconds after which a subscriber that takes nothing, while something waits for it, is cut; 0: never",
        ),
        _parameter(
            "replay",
            "0",
            count,
            "messages before the newest that a new subscriber starts with, at most what a quarter of the buffer holds",
        ),
        _parameter(
            "max-connections",
            "auto",
            _count_or_auto,
            "connections of both roles together, after which new ones are closed at once; "
            "auto: what the limit of open files allows, at most 65,536",
        ),
        _parameter("max-per-address", "0", count, "the same for connections from one address; 0: no such limit"),
        _parameter(
            "frame-timeout",
            "30",
            seconds,
            "seconds in which a publisher must complete a message that it began, or is cut; 0: for ever",
        ),
        _parameter(
            "keepalive",
            "60",
            count,
            "seconds of silence after which TCP asks, six times in a minute, whether a peer is still there; 0: never",
        ),
        _parameter(
            "send-buffer",
            "256KiB",
            size,
            "what the kernel may hold for one subscriber before it can send it, a SIZE: it is outside of the buffer",
        ),
        _parameter(
            "drain-timeout",
            "5",
            seconds,
            "seconds that subscribers have, when the relay stops, to read what is there for them",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        for name, _, default, _, convert in self.optParameters:
            self[name] = convert(default)  # Twisted converts only what is given
        self._endpoints: dict[str, list[str]] = {"publish": [], "subscribe": []}

    def opt_publish(self, endpoint: str) -> None:
        self._add_endpoint("publish", endpoint)

    def opt_subscribe(self, endpoint: str) -> None:
        self._add_endpoint("subscribe", endpoint)

    opt_publish.__doc__ = f"ENDPOINT where publishers connect; may be given several times. [default: {PUBLISH}]"
    opt_subscribe.__doc__ = f"ENDPOINT where subscribers connect; may be given several times. [default: {SUBSCRIBE}]"

    def _add_endpoint(self, name: str, endpoint: str) -> None:
        from twisted.internet import reactor

        try:
            serverFromString(reactor, endpoint)
        except Exception as error:  # a parser of Twisted or of a plugin raises what it likes
            raise UsageError(
                f"--{name}: {endpoint!r} is not an endpoint ({error}): give one such as tcp:8001, "
                "tcp:8001:interface=127.0.0.1 or unix:/run/relay.sock"
            ) from None
        self._endpoints[name].append(endpoint)

    def parseArgs(self, *surplus: str) -> None:
        if surplus:
            raise UsageError(f"unexpected argument {surplus[0]!r}")

    def opt_version(self) -> None:
        """Show the versions of the relay and of Twisted, and exit."""
        print(f"relay {__version__}, Twisted {twisted.__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Check what only shows when all options are known."""
        if self["max-message"] < 1:
            raise UsageError("--max-message: at least 1 byte")
        if self["max-connections"] == 0:
            raise UsageError("--max-connections: at least 1, or auto")
        if not LEAST_SEND_BUFFER <= self["send-buffer"] < 2**31:
            raise UsageError(f"--send-buffer: at least {show_size(LEAST_SEND_BUFFER)}, and less than 2 GiB")
        if self["keepalive"] > MOST_KEEPALIVE:
            raise UsageError(f"--keepalive: at most {MOST_KEEPALIVE:,} seconds")
        if self["buffer"] < LEAST_BUFFER:
            raise UsageError(f"--buffer: {show_size(self['buffer'])} is too small: at least {show_size(LEAST_BUFFER)}")
        if self["buffer"] < LARGEST_MESSAGES * self["max-message"]:
            raise UsageError(
                f"--buffer: {show_size(self['buffer'])} is too small for --max-message {self['max-message']:,}: "
                f"at least {LARGEST_MESSAGES} times that, {LARGEST_MESSAGES * self['max-message']:,} bytes"
            )

    def config(self) -> Config:
        """What was asked for, once `parseOptions` has checked it."""
        return Config(
            publish=tuple(self._endpoints["publish"] or [PUBLISH]),
            subscribe=tuple(self._endpoints["subscribe"] or [SUBSCRIBE]),
            framing=self["framing"],
            max_message=self["max-message"],
            buffer=self["buffer"],
            slow=self["slow"],
            stall_timeout=self["stall-timeout"],
            replay=self["replay"],
            max_connections=self["max-connections"],
            max_per_address=self["max-per-address"],
            frame_timeout=self["frame-timeout"],
            keepalive=self["keepalive"],
            send_buffer=self["send-buffer"],
            drain_timeout=self["drain-timeout"],
        )
