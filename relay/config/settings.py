"""What the relay can be told: every setting once, with its default, its meaning, and how its text is understood.

The command line, the configuration file and the tests of the documentation are all made from `SETTINGS`. A `Config` is
what came of them: checked, and with every value in its own type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from twisted.logger import LogLevel

from relay.config.values import (
    Network,
    count,
    count_or_auto,
    endpoint,
    network,
    one_of,
    origin,
    seconds,
    show_size,
    size,
)
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.wire.framing import FRAMINGS, Framing

LEAST_BUFFER = 2**20
"""Bytes: below it there would be little but bookkeeping in the buffer."""
LEAST_SEND_BUFFER = 4096
"""Bytes: with less, the kernel would wake us for every few packets."""
MOST_KEEPALIVE = 32_767
"""Seconds: the most that Linux takes (MAX_TCP_KEEPIDLE in its net/tcp.h)."""
LARGEST_MESSAGES = 8
"""How many of the largest messages the buffer must hold: what one turn brings has to fit well inside it."""


class Faults(ValueError):  # noqa: N818  # it is what is wrong
    """A configuration that can't be used: one line for each thing that is wrong with it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        more = f" (and {len(lines) - 1} more: --check lists them)" if len(lines) > 1 else ""
        super().__init__(lines[0] + more)


@dataclass(frozen=True)
class Config:
    """What the relay was asked to do. Sizes are in bytes, times in seconds, files are paths, or empty for none."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    framing: type[Framing]
    max_message: int
    buffer: int
    slow: SlowPolicy
    stall_timeout: float
    replay: int
    max_connections: int | None
    """None: as many as the descriptors are enough for."""
    max_per_address: int
    allow_publishers: tuple[Network, ...]
    """Empty: all."""
    allow_subscribers: tuple[Network, ...]
    frame_timeout: float
    keepalive: int
    send_buffer: int
    drain_timeout: float
    publish_tls: tuple[str, ...]
    subscribe_tls: tuple[str, ...]
    certificate: str
    private_key: str
    publisher_ca: str
    subscriber_ca: str
    tls_timeout: float
    web: tuple[str, ...]
    web_token_file: str
    web_origin: tuple[str, ...]
    log_format: str
    log_level: LogLevel


@dataclass(frozen=True)
class Setting:
    """One thing that can be set."""

    name: str
    """On the command line after two hyphens, and in the configuration file."""
    default: str
    convert: Callable[[str], Any]  # Any: each has a type of its own
    """Raises ValueError for a text that it does not understand."""
    help: str
    many: bool = False
    """May have several values, separated by commas or given one by one; `none` is none."""
    table: str = ""
    """Where it stands in the configuration file; empty: at its top."""
    reload: bool = False
    """Whether a change is in force without a restart."""

    @property
    def field(self) -> str:
        """Its name in `Config`."""
        return self.name.replace("-", "_")

    def values(self, texts: Iterable[str]) -> Any:
        """The value, from what was given for it: of a setting that has one value, the last counts."""
        if not self.many:
            *_, text = texts
            return self.convert(text)
        parts = [part.strip() for text in texts for part in (text.split(",") if self.convert is network else [text])]
        return tuple(self.convert(part) for part in parts if part not in ("", "none"))


LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}

SETTINGS = (
    Setting(
        "publish", "tcp:8001", endpoint, "ENDPOINT where publishers connect; may be repeated; none: nowhere", many=True
    ),
    Setting("subscribe", "tcp:8002", endpoint, "ENDPOINT where subscribers connect; as above", many=True),
    Setting(
        "framing",
        "int32",
        one_of(FRAMINGS),
        "how messages are told apart, on both sides: int32 (a 4-byte big-endian length before each), "
        "line (a newline after each, which stays on the wire), raw (every read is a message)",
    ),
    Setting("max-message", "99999", size, "longest message accepted, a SIZE without length or newline"),
    Setting("buffer", "64MiB", size, "memory for the newest messages, kept for subscribers that lag, a SIZE"),
    Setting(
        "slow",
        "disconnect",
        one_of(SLOW_POLICIES),
        "what happens to a subscriber that falls further behind than the buffer reaches: disconnect it, "
        "skip what it lacks, or block the publishers so that it does not come to that",
        reload=True,
    ),
    Setting(
        "stall-timeout",
        "60",
        seconds,
        "seconds after which a subscriber that takes nothing, while something waits for it, is cut; 0: never",
        reload=True,
    ),
    Setting(
        "replay",
        "0",
        count,
        "messages before the newest that a new subscriber starts with, at most what a quarter of the buffer holds",
    ),
    Setting(
        "max-connections",
        "auto",
        count_or_auto,
        "connections of both roles together, after which new ones are closed at once; "
        "auto: what the limit of open files allows, at most 65,536",
        table="limits",
        reload=True,
    ),
    Setting(
        "max-per-address",
        "0",
        count,
        "the same for connections from one address; 0: no such limit",
        table="limits",
        reload=True,
    ),
    Setting(
        "allow-publishers",
        "none",
        network,
        "addresses that publishers may connect from, NETWORKS with commas between; all if there is none",
        many=True,
        table="limits",
        reload=True,
    ),
    Setting(
        "allow-subscribers",
        "none",
        network,
        "addresses that subscribers may connect from; as above",
        many=True,
        table="limits",
        reload=True,
    ),
    Setting(
        "frame-timeout",
        "30",
        seconds,
        "seconds in which a publisher must complete a message that it began, or is cut; 0: for ever",
        table="limits",
        reload=True,
    ),
    Setting(
        "keepalive",
        "60",
        count,
        "seconds of silence after which TCP asks, six times in a minute, whether a peer is still there; 0: never",
        table="limits",
    ),
    Setting(
        "send-buffer",
        "256KiB",
        size,
        "what the kernel may hold for one subscriber before it can send it, a SIZE: it is outside of the buffer",
        table="limits",
    ),
    Setting(
        "drain-timeout",
        "5",
        seconds,
        "seconds that subscribers have, when the relay stops, to read what is there for them",
        table="limits",
        reload=True,
    ),
    Setting(
        "publish-tls",
        "none",
        endpoint,
        "ENDPOINT where publishers connect with TLS, besides those of --publish; may be repeated",
        many=True,
        table="tls",
    ),
    Setting("subscribe-tls", "none", endpoint, "the same for subscribers", many=True, table="tls"),
    Setting("certificate", "", str, "FILE with the certificate and its chain (PEM)", table="tls", reload=True),
    Setting(
        "private-key",
        "",
        str,
        "FILE with the private key (PEM); if not given, it is in the file of the certificate",
        table="tls",
        reload=True,
    ),
    Setting(
        "publisher-ca",
        "",
        str,
        "FILE with the authorities (PEM) of which publishers must have a certificate, where there is TLS",
        table="tls",
        reload=True,
    ),
    Setting("subscriber-ca", "", str, "the same for subscribers", table="tls", reload=True),
    Setting(
        "tls-timeout",
        "5",
        seconds,
        "seconds in which a TLS handshake must be complete, or the peer is cut; 0: for ever",
        table="tls",
        reload=True,
    ),
    Setting(
        "web",
        "none",
        endpoint,
        "ENDPOINT of the web port: status page, metrics, messages for browsers; may be repeated; "
        "needs pip install 'relay[web]'",
        many=True,
        table="web",
    ),
    Setting(
        "web-token-file",
        "",
        str,
        "FILE with the token without which the web port tells nobody more than that the relay lives",
        table="web",
    ),
    Setting(
        "web-origin",
        "none",
        origin,
        "ORIGIN of web pages, such as https://example.org, that may have the messages by /ws and /events, "
        "besides the relay's own; may be repeated",
        many=True,
        table="web",
        reload=True,
    ),
    Setting(
        "log-format", "text", one_of({"text": "text", "json": "json"}), "text, or json: an object a line", table="log"
    ),
    Setting("log-level", "info", one_of(LEVELS), "the least important events logged", table="log", reload=True),
)

SHOWN = (
    *("framing", "max-message", "buffer", "slow", "stall-timeout", "replay", "max-per-address", "frame-timeout"),
    *("keepalive", "send-buffer", "drain-timeout", "log-level"),
)
"""Settings that say how the relay treats those who connect; the others are nobody's business but its operator's."""


def shown_settings(config: Config) -> dict[str, object]:
    """These, by name, as JSON can have them."""
    values = {setting.name: getattr(config, setting.field) for setting in SETTINGS if setting.name in SHOWN}
    return values | {
        "slow": config.slow.name,
        "framing": config.framing.__name__.lower(),
        "log-level": config.log_level.name,
    }


TYPES: dict[object, tuple[tuple[type, ...], str]] = {
    size: ((int, str), "a whole number or text"),
    count: ((int,), "a whole number"),
    count_or_auto: ((int, str), 'a whole number or "auto"'),
    seconds: ((int, float), "a number"),
}
"""What a value may be in the configuration file, and how that is called; text, if it is not here."""


def texts(setting: Setting, value: object) -> list[str]:
    """A value of the configuration file, as it would be given on the command line; raises ValueError."""
    types, expected = TYPES.get(setting.convert, ((str,), "text"))
    values = value if setting.many and isinstance(value, list) else [value]
    for one in values:
        if type(one) not in types:
            raise ValueError(f"{one!r} is not {expected}")
    return [str(one) for one in values] or ["none"]


def configure(given: Mapping[str, tuple[str, list[str]]]) -> Config:
    """Make a configuration of what was given: for each setting where it was given, for messages, and its texts.

    Raises Faults with everything that is wrong.
    """
    values: dict[str, Any] = {}  # Any: each has a type of its own
    faults = []
    for setting in SETTINGS:
        where, given_texts = given.get(setting.name, ("--" + setting.name, [setting.default]))
        try:
            values[setting.field] = setting.values(given_texts)
        except ValueError as error:
            faults.append(f"{where}: {error}")
    if faults:
        raise Faults(faults)
    return check(Config(**values), {name: where for name, (where, _) in given.items()})


def check(config: Config, places: Mapping[str, str] = MappingProxyType({})) -> Config:
    """Return a configuration that does not contradict itself. Raises Faults, with the places where things were set."""
    faults = [f"{places.get(name, '--' + name)}: {what}" for name, what in _contradictions(config)]
    if faults:
        raise Faults(faults)
    return config


def _contradictions(config: Config) -> Iterable[tuple[str, str]]:
    """What only shows when all is known: settings, and what is wrong with them."""
    if config.max_message < 1:
        yield "max-message", "at least 1 byte"
    if config.buffer < LEAST_BUFFER:
        yield "buffer", f"{show_size(config.buffer)} is too small: at least {show_size(LEAST_BUFFER)}"
    elif config.buffer < LARGEST_MESSAGES * config.max_message:
        yield (
            "buffer",
            f"{show_size(config.buffer)} is too small for messages of {config.max_message:,} bytes: "
            f"at least {LARGEST_MESSAGES} times that, {LARGEST_MESSAGES * config.max_message:,} bytes",
        )
    if config.max_connections == 0:
        yield "max-connections", "at least 1, or auto"
    if not LEAST_SEND_BUFFER <= config.send_buffer < 2**31:
        yield "send-buffer", f"at least {show_size(LEAST_SEND_BUFFER)}, and less than 2 GiB"
    if config.keepalive > MOST_KEEPALIVE:
        yield "keepalive", f"at most {MOST_KEEPALIVE:,} seconds"
    if not (config.publish or config.publish_tls):
        yield "publish", "publishers can't connect anywhere"
    if not (config.subscribe or config.subscribe_tls):
        yield "subscribe", "subscribers can't connect anywhere"
    if (config.publish_tls or config.subscribe_tls) and not config.certificate:
        yield "certificate", "TLS needs one"
    for name, file, endpoints in (
        ("publisher-ca", config.publisher_ca, config.publish_tls),
        ("subscriber-ca", config.subscriber_ca, config.subscribe_tls),
    ):
        if file and not endpoints:
            yield name, "there is no TLS endpoint that it could be for"
    for name, value in (("web-token-file", config.web_token_file), ("web-origin", config.web_origin)):
        if value and not config.web:
            yield name, "there is no web port that it could be for"
