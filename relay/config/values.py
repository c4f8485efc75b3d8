"""How the texts of settings are parsed: each function takes a text, and raises ValueError for one it cannot parse."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple, TypeVar

from twisted.internet.endpoints import clientFromString, serverFromString

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
MAX_WORKERS = 256
"""Processes: more than the cores of most machines."""
MAX_PORT = 65_535

SESSION = "session:"
"""What stands before the endpoint of a relay with which to have a session."""

Network = IPv4Network | IPv6Network
Value = TypeVar("Value")


def size(text: str) -> int:
    """A size in bytes, from a text such as `65536`, `64KiB`, `64 MiB` or `1GiB`."""
    match = re.fullmatch(r"(\d+) ?(|KiB|MiB|GiB)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size: give bytes, or a number with KiB, MiB or GiB, as in 64MiB")
    return int(match[1]) * UNITS[match[2]]


def show_size(number: int) -> str:
    """The shortest way to write a size: `64 MiB`, `99,999 bytes`."""
    unit = max((unit for unit in UNITS if number and number % UNITS[unit] == 0), key=UNITS.__getitem__, default="")
    return f"{number // UNITS[unit]:,} {unit or 'bytes'}"


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch(r"\d+", text.strip()):
        raise ValueError(f"{text!r} is not a whole number from 0")
    return int(text)


def count_or_auto(text: str) -> int | None:
    """A whole number, 0 or more, or None for `auto`."""
    return None if text.strip() == "auto" else count(text)


def seconds(text: str) -> float:
    """A number of seconds, 0 or more, with or without a fraction."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{text!r} is not a number of seconds from 0")
    return number


def seconds_or_always(text: str) -> float:
    """A number of seconds, 0 or more; `always` is 0."""
    return 0.0 if text == "always" else seconds(text)


def one_of(choices: Mapping[str, Value]) -> Callable[[str], Value]:
    """A function that parses the names in `choices`; it returns what the name stands for."""

    def choose(text: str) -> Value:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return choices[text]

    return choose


class BackboneUrl(NamedTuple):
    """Where a stream of NATS JetStream is."""

    servers: tuple[str, ...]
    """URLs of servers of one cluster."""
    stream: str

    def __str__(self) -> str:
        hosts = ",".join(server.partition("://")[2].rpartition("@")[2] for server in self.servers)
        return f"{self.servers[0].partition('://')[0]}://{hosts}/{self.stream}"


def backbone_url(text: str) -> BackboneUrl | None:
    """Servers of NATS and a stream, from a text such as `nats://one:4222,two:4222/STREAM`; None for an empty text."""
    if not text:
        return None
    match = re.fullmatch(r"(nats|tls)://([^/\s]+)/([A-Za-z0-9_-]{1,64})", text)
    hosts = match[2].split(",") if match else []
    if match is None or not all(
        re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", host) for host in hosts
    ):
        raise ValueError(f"{text!r} is no backbone: give servers and a stream, as in nats://one:4222,two:4222/RELAY")
    return BackboneUrl(tuple(f"{match[1]}://{host}" for host in hosts), match[3])


def endpoint(text: str) -> str:
    """The text itself, if it is one of Twisted's endpoint strings, which say where to listen."""
    from twisted.internet import reactor

    try:
        serverFromString(reactor, text)
    except Exception as error:  # a parser of Twisted or of a plugin raises what it likes
        raise ValueError(f"{text!r} is not an endpoint ({_fault(error)}): {_way_out(text)}") from None
    _check_port(text, text, r"(?:haproxy:)?tcp6?:(?:port=)?([0-9]+)")
    return text


@dataclass(frozen=True)
class Remote:
    """Another relay or server, to connect to."""

    endpoint: str
    """Where: one of Twisted's endpoint strings for clients."""
    session: bool
    """Whether it is a relay with which to have a session."""

    def __str__(self) -> str:
        return f"{SESSION if self.session else ''}{self.endpoint}"


def remote(text: str) -> Remote:
    """Another relay or server, from an endpoint string that says where to connect, with or without `session:`."""
    from twisted.internet import reactor

    endpoint = text.removeprefix(SESSION)
    try:
        clientFromString(reactor, endpoint)
    except Exception as error:  # as for `endpoint`
        address = re.fullmatch(r"[\w.-]+:\d+", endpoint)
        way_out = (
            f"did you mean {text[: -len(endpoint)]}tcp:{endpoint}?"
            if address
            else "give one such as tcp:relay.example:8002, session:tls:relay.example:8002 or unix:/run/relay.sock"
        )
        raise ValueError(f"{text!r} is not an endpoint to connect to ({_fault(error)}): {way_out}") from None
    if endpoint.startswith("ssl:"):  # Twisted's own does not look whose certificate it is shown
        raise ValueError(f"{text!r} would take any certificate: use tls:HOST:PORT")
    _check_port(text, endpoint, r"(?:tcp|tls):[^:=]+:(?:port=)?([0-9]+)")
    return Remote(endpoint, endpoint != text)


def mirrored(text: str) -> Remote | None:
    """The relay to mirror: as `remote`, always with a session; None for `none` or an empty text."""
    return None if text in ("", "none") else Remote(remote(text).endpoint, session=True)


def workers(text: str) -> int:
    """How many processes: a number, or `auto` for one for each core that this process may use, but one."""
    if text.strip() == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores - 1)
    found = count(text)
    if found > MAX_WORKERS:
        raise ValueError(f"at most {MAX_WORKERS}: more processes than cores only cost memory")
    return found


def _check_port(text: str, endpoint: str, pattern: str) -> None:
    """Raise ValueError, which names `text`, if the port that `pattern` finds in `endpoint` is none."""
    number = re.match(pattern, endpoint)
    if number and int(number[1]) > MAX_PORT:
        raise ValueError(f"{text!r} is not an endpoint: a port is a number from 0 to {MAX_PORT:,}")


def _way_out(text: str) -> str:
    """What to give instead of `text`, which is no endpoint."""
    kind = text.partition(":")[0]
    address = re.fullmatch(r"(?:(localhost|[0-9.]+):)?([0-9]+)", text)
    if address:
        host = f":interface={address[1]}" if address[1] else ""
        return f"did you mean tcp:{address[2]}{host.replace('localhost', '127.0.0.1')}?"
    if kind == "ssl":
        return "for TLS give tcp:8001 to --publish-tls or --subscribe-tls, and --certificate"
    if kind == "systemd":
        return "sockets come from a unit of systemd, as those that relay systemd-units prints"
    return "give one such as tcp:8001, tcp:8001:interface=127.0.0.1 or unix:/run/relay.sock"


def _fault(error: Exception) -> str:
    """What is wrong with an endpoint, in words that do not need Twisted's source."""
    words = str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, KeyError):
        return f"no socket with the name {words} was handed over"
    if isinstance(error, IndexError):
        return "no such socket was handed over"
    if missing := re.search(r"missing 1 required positional argument: '(\w+)'", words):
        return f"its {missing[1]} is missing"
    if "multiple values for argument" in words or "positional argument" in words:
        return r"a colon within an address is written \:, as in tcp6:8001:interface=\:\:1"
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", words):
        return f"it has no part {unknown[1]!r}"
    if wrong := re.fullmatch(r"invalid literal for int\(\) with base (?:10|8): (.*)", words):
        return f"{wrong[1]} is not a number of that kind"
    return words


def host(text: str) -> str:
    """The name of a host, without scheme and port, in lower case."""
    found = text.strip().lower().rstrip(".")
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", found):
        raise ValueError(f"{text!r} is not the name of a host: give one such as relay.example.org")
    return found


def origin(text: str) -> str:
    """An origin of web pages, as browsers write it (RFC 6454, section 6.2): scheme, host, and port if necessary."""
    found = text.strip().lower().rstrip("/")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/@\s]+", found):
        raise ValueError(f"{text!r} is not an origin: give one such as https://example.org")
    return found


def network(text: str) -> Network:
    """A network such as `192.0.2.0/24` or `2001:db8::/32`, or a single address."""
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise ValueError(f"{error}: give networks such as 192.0.2.0/24 or 2001:db8::/32") from None
