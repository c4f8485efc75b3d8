"""A relay that another command becomes, which has prepared its surroundings."""

from __future__ import annotations

import shutil
import socket
from contextlib import suppress
from typing import Self

import pytest

from tests.kit.fakes import frame
from tests.kit.peers import connection
from tests.kit.process import DEADLINE, TWISTD, Lines, Relay, free_port, or_killed, start, wait_until
from tests.kit.resets import end_with_reset


def tool(name: str, package: str) -> str:
    """The path of a program; skips where it is missing."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name} (Debian: {package})")
    return path


class Under(Relay):
    """A relay that is started by another command, which becomes it, on ports that were free; for its log see `log`."""

    def __init__(
        self, *command: str, options: tuple[str, ...] = (), twistd: tuple[str, ...] = (), **popen: object
    ) -> None:
        """`command` gets that of the relay as its last arguments; `popen` is for `subprocess.Popen`."""
        self.publish_port, self.subscribe_port = free_port(), free_port()
        whole = (
            *(*command, TWISTD, "-n", "--pidfile=", *twistd, "relay"),
            *("--publish", f"tcp:{self.publish_port}:interface=127.0.0.1"),
            *("--subscribe", f"tcp:{self.subscribe_port}:interface=127.0.0.1"),
            *options,
        )
        self.log = self.begin(whole, popen)
        self.pid = self.log.process.pid

    def begin(self, command: tuple[str, ...], popen: dict[str, object]) -> Lines:
        return start(*command, **popen)

    def __enter__(self) -> Self:
        with or_killed(self.log):
            self._wait_until_it_relays()
        return self

    def _wait_until_it_relays(self) -> None:
        def listens() -> bool:
            assert self.log.process.poll() is None, self.log.text
            return not refuses(self.publish_port) and not refuses(self.subscribe_port)

        wait_until(listens, "it listens")
        with connection(self.publish_port) as publisher, connection(self.subscribe_port) as peer:
            peer.setblocking(False)
            end_with_reset(peer)

            def relays() -> bool:
                publisher.sendall(frame(b""))
                with suppress(BlockingIOError):
                    return bool(peer.recv(1))
                return False

            wait_until(relays, "it relays")


def refuses(port: int) -> bool:
    """Whether nobody listens there. If somebody does, our connection ends with a reset, which is noticed at once."""
    with socket.socket() as peer:
        peer.settimeout(DEADLINE)
        end_with_reset(peer)
        return peer.connect_ex(("127.0.0.1", port)) != 0
