"""The relay's configuration: a value for every setting, in its own type, checked as a whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from twisted.logger import LogLevel

from relay.config.setting import Given
from relay.config.settings import SETTINGS
from relay.config.values import BackboneUrl, Network, Remote, show_size
from relay.core.slow import SlowPolicy
from relay.core.timing import SWEEP
from relay.wire.counted import Int32
from relay.wire.delimited import Delimited
from relay.wire.framing import Framing
from relay.wire.framings import FRAMINGS, framing_name

MIN_BUFFER = 2**20
"""Bytes: a smaller buffer would hold little but bookkeeping."""
MIN_SHARED_BUFFER = 2 * MIN_BUFFER
"""The same with a backbone: proposals of 256 KiB wait, are on their way, and come from other relays."""
MIN_MESSAGES = 8
"""Messages of the maximum length that the buffer must have room for: what arrives in one turn has to fit in easily."""
MIN_JOURNAL = 64 * 2**20
"""Bytes: with less, segments would be too small to be worth a file."""
REPLICAS = (1, 3, 5)
"""Servers that can keep a stream."""
MIN_AGE = 300.0
"""Seconds: relays write snapshots of an idle stream once a minute."""
MIN_SEND_BUFFER = 4096
"""Bytes: with less, the kernel would wake the relay for every few packets."""
MAX_SEND_BUFFER = 2**31 - 1
"""Bytes: the kernel takes the size as a C int."""
MAX_KEEPALIVE = 32_767
"""Seconds: the most that Linux takes (MAX_TCP_KEEPIDLE in its net/tcp.h)."""

Fault = tuple[str, str]
"""The name of a setting, and what is wrong with its value."""


class Faults(ValueError):  # noqa: N818  # a list of faults, not one error
    """Everything that is wrong with a configuration."""

    def __init__(self, lines: list[str]) -> None:
        """`lines`: one for each fault, at least one. The text of the exception is the first."""
        self.lines = lines
        more = f" (and {len(lines) - 1} more: --check lists them)" if len(lines) > 1 else ""
        super().__init__(lines[0] + more)


@dataclass(frozen=True)
class Config:
    """A value for each setting. Sizes are in bytes and times in seconds; a file is a path, empty for none."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    framing: type[Framing]
    max_message: int
    buffer: int
    slow: SlowPolicy
    stall_timeout: float
    replay: int
    max_connections: int | None
    """None: as many as the limit of open files allows."""
    max_per_address: int
    allow_publishers: tuple[Network, ...]
    """Empty: all addresses are allowed."""
    allow_subscribers: tuple[Network, ...]
    """Empty: all addresses are allowed."""
    frame_timeout: float
    too_long: str
    publisher_names: int
    keepalive: int
    idle_seconds: float
    idle_message: str
    send_buffer: int
    drain_timeout: float
    journal: str
    """A folder; empty for none."""
    journal_size: int
    journal_age: float
    journal_sync: float
    """0: as fast as the disk can."""
    backbone: BackboneUrl | None
    """None: none."""
    backbone_credentials: str
    backbone_ca: str
    backbone_certificate: str
    backbone_replicas: int
    backbone_size: int
    backbone_age: float
    publish_tls: tuple[str, ...]
    subscribe_tls: tuple[str, ...]
    certificate: str
    private_key: str
    publisher_ca: str
    subscriber_ca: str
    tls_timeout: float
    pull: tuple[Remote, ...]
    push: tuple[Remote, ...]
    mirror: Remote | None
    """None: the relay is no mirror."""
    workers: int
    """Processes that take subscribers; 0 for none."""
    reach_ca: str
    """Empty: the authorities that the system trusts."""
    reach_certificate: str
    reach_private_key: str
    web: tuple[str, ...]
    web_token_file: str
    web_host: tuple[str, ...]
    web_origin: tuple[str, ...]
    log_format: str
    log_level: LogLevel

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where the relay listens, for whatever role."""
        return (*self.publish, *self.publish_tls, *self.subscribe, *self.subscribe_tls, *self.web)


def configure(given: Mapping[str, Given], known: Sequence[str] = ()) -> Config:
    """Make a configuration. `given`: what was given, by name of the setting; the other settings have their defaults.

    Raises Faults with everything that is wrong: first with the faults that are `known` before, and the values that
    cannot be parsed; and only if there are none with values that contradict each other.
    """
    values: dict[str, Any] = {}  # Any: each setting has a type of its own
    faults = list(known)
    for setting in SETTINGS:
        where, texts = given.get(setting.name, Given(f"--{setting.name}", [setting.default]))
        try:
            values[setting.field] = setting.value(texts)
        except ValueError as error:
            faults.append(f"{where}: {error}")
    if faults:
        raise Faults(faults)
    if values["mirror"] and "publish" not in given:
        values["publish"] = ()  # the default is for a relay that somebody publishes to
    return check(Config(**values), {name: where for name, (where, _) in given.items()})


def check(config: Config, places: Mapping[str, str] = MappingProxyType({})) -> Config:
    """Return `config` if it is consistent; raise Faults if it is not.

    `places`: where settings were given, by name, for the messages; a setting that is missing there was an option.
    """
    faults = [f"{places.get(name, '--' + name)}: {what}" for name, what in _contradictions(config)]
    if faults:
        raise Faults(faults)
    return config


def where(config: Config) -> dict[str, str]:
    """Where each role connects, in words for people: by `publish` and `subscribe`."""
    return {
        "publish": " or ".join(config.publish + config.publish_tls),
        "subscribe": " or ".join(config.subscribe + config.subscribe_tls),
    }


def shown_settings(config: Config) -> dict[str, object]:
    """The settings that the status page shows, by name, as values that JSON can represent."""
    values = {setting.name: getattr(config, setting.field) for setting in SETTINGS if setting.shown}
    own = {"slow": config.slow.name, "framing": framing_name(config.framing), "log-level": config.log_level.name}
    return values | own


def _contradictions(config: Config) -> Iterator[Fault]:
    """Faults that can only be found once all values are known."""
    yield from _wrong_amounts(config)
    yield from _wrong_store(config)
    if config.mirror:
        yield from _wrong_mirror(config)
    elif not (config.publish or config.publish_tls):
        yield "publish", "publishers can't connect anywhere"
    if not (config.subscribe or config.subscribe_tls):
        yield "subscribe", "subscribers can't connect anywhere"
    if (config.publish_tls or config.subscribe_tls) and not config.certificate:
        yield "certificate", "TLS needs one"
    yield from _wrong_remotes(config)
    if config.workers:
        yield from _wrong_workers(config)
    if config.backbone and config.journal:
        yield "journal", "not with --backbone: there the stream keeps the messages, and the order is the stream's"
    if config.backbone and framing_name(config.framing) not in FRAMINGS:
        yield "framing", "one of the relay's own with --backbone: the other relays must know it"
    yield from _without_endpoint(config)


def _wrong_amounts(config: Config) -> Iterator[Fault]:
    longest = MIN_MESSAGES * config.max_message
    if config.max_message < 1:
        yield "max-message", "at least 1 byte"
    if config.buffer < MIN_BUFFER:
        yield "buffer", f"{show_size(config.buffer)} is too small: at least {show_size(MIN_BUFFER)}"
    elif config.backbone and config.buffer < MIN_SHARED_BUFFER:
        yield (
            "buffer",
            f"{show_size(config.buffer)} is too small with --backbone: at least {show_size(MIN_SHARED_BUFFER)}",
        )
    elif config.buffer < longest:
        yield (
            "buffer",
            f"{show_size(config.buffer)} is too small for messages of {config.max_message:,} bytes: "
            f"at least {MIN_MESSAGES} times that, {longest:,} bytes",
        )
    if config.too_long == "discard" and not issubclass(config.framing, Delimited):
        yield "too-long", f"with the framing {framing_name(config.framing)} nobody knows where the next message begins"
    yield from _wrong_idle_message(config)
    if config.max_connections == 0:
        yield "max-connections", "at least 1, or auto"
    if not MIN_SEND_BUFFER <= config.send_buffer <= MAX_SEND_BUFFER:
        yield "send-buffer", f"at least {show_size(MIN_SEND_BUFFER)}, and less than 2 GiB"
    if config.keepalive > MAX_KEEPALIVE:
        yield "keepalive", f"at most {MAX_KEEPALIVE:,} seconds"


def _wrong_remotes(config: Config) -> Iterator[Fault]:
    for name, remotes in (("pull", config.pull), ("push", config.push)):
        for one, count in Counter(remotes).items():
            if count > 1:
                yield name, f"{one} is there twice, and every message would be too"
            if one.session and config.framing is not Int32:
                yield name, f"{one}: a session with another relay needs --framing int32; without session: any will do"


def _wrong_mirror(config: Config) -> Iterator[Fault]:
    for name in ("publish", "publish-tls", "pull"):
        if getattr(config, name.replace("-", "_")):
            yield name, "not with --mirror: a mirror has the messages of the other relay, and no others"
    if config.push:
        yield "push", "not with --mirror: let the relay push that it mirrors"
    if config.backbone:
        yield "backbone", "not with --mirror: the order of messages is that of the other relay"
    if config.framing is not Int32:
        yield "mirror", "it needs --framing int32"


def _wrong_workers(config: Config) -> Iterator[Fault]:
    if config.framing is not Int32:
        yield "workers", "workers need --framing int32: they have a session with this process"
    if not shared_endpoints(config):
        yield "workers", "there is no TCP endpoint for subscribers that they could listen on"


def shared_endpoints(config: Config) -> tuple[tuple[str, str], ...]:
    """The endpoints on which workers listen, if there are workers: the name of the setting, and the endpoint."""
    named = (("subscribe", config.subscribe), ("subscribe-tls", config.subscribe_tls))
    return tuple((name, one) for name, every in named for one in every if re.match("(haproxy:)?tcp6?:", one))


def _outgoing(config: Config) -> list[Remote]:
    """The other relays and servers that the relay connects to."""
    return [*config.pull, *config.push, *filter(None, [config.mirror])]


def _with_tls(remotes: Sequence[Remote]) -> list[Remote]:
    return [one for one in remotes if one.endpoint.startswith("tls:")]


def _by_tcp(endpoints: Sequence[str]) -> list[str]:
    """Those whose peers may have an address: all but Unix sockets."""
    return [one for one in endpoints if not re.match("(haproxy:)?unix:", one)]


def _wrong_store(config: Config) -> Iterator[Fault]:
    """Wrong amounts of what keeps messages, if it is wanted."""
    if config.journal and config.journal_size < MIN_JOURNAL:
        yield "journal-size", f"{show_size(config.journal_size)} is too small: at least {show_size(MIN_JOURNAL)}"
    if not config.backbone:
        return
    if config.backbone_size < MIN_JOURNAL:
        yield "backbone-size", f"{show_size(config.backbone_size)} is too small: at least {show_size(MIN_JOURNAL)}"
    if config.backbone_replicas not in REPLICAS:
        yield "backbone-replicas", "1, 3 or 5: with an even number, one more server may not fail"
    if 0 < config.backbone_age < MIN_AGE:
        yield "backbone-age", f"0, or at least {MIN_AGE:.0f} seconds: a relay must find a snapshot that is younger"


def _wrong_idle_message(config: Config) -> Iterator[Fault]:
    if not config.idle_seconds:
        if config.idle_message:
            yield "idle-message", "it is sent only with idle-seconds"
        return
    if config.idle_seconds < SWEEP:
        yield "idle-seconds", f"at least {SWEEP:g}, or 0"
    message = config.idle_message.encode()
    if len(message) > config.max_message:
        yield "idle-message", f"it is longer than a message may be, {config.max_message:,} bytes"
    try:
        config.framing.frame(message)
    except ValueError as error:
        yield "idle-message", f"it cannot be sent with the framing {framing_name(config.framing)}: {error}"


BACKBONE = tuple(setting.name for setting in SETTINGS if setting.table == "backbone" and setting.name != "backbone")
"""Settings that are about a backbone."""


def _differs(config: Config, name: str) -> bool:
    """Whether a setting has another value than its default."""
    [setting] = [one for one in SETTINGS if one.name == name]
    return bool(getattr(config, setting.field) != setting.value([setting.default]))


def _without_endpoint(config: Config) -> Iterator[Fault]:
    """Settings that have no effect, because there is no endpoint for the connections that they are about.

    Those that lack the same endpoint are one fault.
    """
    publish, subscribe = config.publish + config.publish_tls, config.subscribe + config.subscribe_tls
    tls, outgoing = config.publish_tls + config.subscribe_tls, _outgoing(config)
    for names, endpoints, kind in (
        (("certificate", "private-key"), tls, "TLS endpoint"),
        (("publisher-ca",), config.publish_tls, "TLS endpoint"),
        (("subscriber-ca",), config.subscribe_tls, "TLS endpoint"),
        (("reach-ca", "reach-certificate", "reach-private-key"), _with_tls(outgoing), "connection with TLS"),
        (("tls-timeout",), (*tls, *_with_tls(outgoing)), "TLS endpoint"),
        (("allow-publishers",), _by_tcp(publish), "TCP port for publishers"),
        (("allow-subscribers",), _by_tcp(subscribe + config.web), "TCP port for subscribers"),
        (("publisher-names",), publish, "port for publishers"),
        (("max-per-address",), _by_tcp(config.endpoints), "TCP port"),
        (("keepalive",), (*_by_tcp(config.endpoints), *outgoing), "TCP connection"),
        (("journal-size", "journal-age", "journal-sync"), config.journal, "journal"),
        (BACKBONE, config.backbone, "backbone"),
        (("web-token-file", "web-host", "web-origin"), config.web, "web port"),
    ):
        given = [name for name in names if _differs(config, name)]
        if given and not endpoints:
            others = "".join(f" and {name}" for name in given[1:])
            yield given[0], f"there is no {kind} that it{others} could be for"
