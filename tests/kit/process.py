"""A real relay for the tests that need one: `twistd -n relay` as a process of its own, on ports that were free."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Self

TWISTD = str(Path(sys.executable).with_name("twistd"))
DEADLINE = 30.0  # seconds: how long a test waits for what must happen; never reached when all is well


def wait_until(true: Callable[[], bool], what: str, timeout: float = DEADLINE) -> float:
    """Look again and again until something is true; returns after how many seconds it was."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < timeout, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - begin


class Lines:
    """What a process prints, read by a thread as it comes, so that its pipe is never full."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def text(self) -> str:
        """All that was printed so far."""
        with self._changed:
            return "\n".join(self._lines)

    def find(self, pattern: str) -> list[re.Match[str]]:
        """The matches of `pattern` in what was printed so far, at most one a line."""
        with self._changed:
            return [match for line in self._lines if (match := re.search(pattern, line))]

    def count(self, pattern: str) -> int:
        """How many events the log of a relay tells of: each in a line, or in the count of those that were left out.

        Of lines that peers can cause there are only some in a second, and then one that tells how many more there were.
        """
        left_out = self.find(rf"\] ([\d,]+) more lines like this were left out: .*?(?:{pattern})")
        return len(self.find(pattern)) - len(left_out) + sum(int(found[1].replace(",", "")) for found in left_out)

    def wait_for(self, pattern: str, count: int = 1, timeout: float = DEADLINE) -> re.Match[str]:
        """Wait until `count` lines match `pattern`; returns the match of the last of them."""

        def seen() -> bool:
            return self._ended or sum(1 for line in self._lines if re.search(pattern, line)) >= count

        with self._changed:
            self._changed.wait_for(seen, timeout)
        found = self.find(pattern)
        if len(found) < count:
            raise AssertionError(f"{pattern!r} was printed {len(found)} times, not {count}:\n{self.text}")
        return found[count - 1]

    def wait_for_end(self, timeout: float = DEADLINE) -> int:
        """Wait until the process has ended and all its output is read; returns its exit status."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status


def start(*command: str, **options: object) -> Lines:
    """Start a program whose standard output and standard error are read together, line by line."""
    process = subprocess.Popen(  # type: ignore[call-overload]  # **options are Popen's own
        command,
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        **options,
    )
    return Lines(process)


def start_program(module: str, *arguments: object) -> Lines:
    """Start a program of the kit, whose standard input is a pipe. What it runs is not the relay: it is not measured."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = (sys.executable, "-m", module, *map(str, arguments))
    return start(*command, stdin=subprocess.PIPE, env=environment)


@contextmanager
def or_killed(started: Lines) -> Iterator[None]:
    """Where what is done with a program that was started fails, it is killed: nobody else can."""
    try:
        yield
    except BaseException:
        started.process.kill()
        raise


class Relay:
    """`with Relay("--framing", "line") as relay:` runs a relay, known by `publish_port` and `subscribe_port`.

    Both ports are on 127.0.0.1 and chosen by the kernel; the log is in `log`.
    """

    def __init__(
        self, *options: str, publish: str = "tcp:0", subscribe: str = "tcp:0", twistd: tuple[str, ...] = ()
    ) -> None:
        """`options` are the relay's, `twistd` those of the program that runs it. `publish`: `none` for a mirror."""
        self.log = start(
            *(TWISTD, "-n", "--pidfile=", *twistd, "relay"),
            *("--publish", publish if publish == "none" else f"{publish}:interface=127.0.0.1"),
            *("--subscribe", f"{subscribe}:interface=127.0.0.1"),
            *("--drain-timeout", "2"),  # for tests whose peers do not close in time: they are no better for longer
            *options,
        )
        self.pid = self.log.process.pid
        with or_killed(self.log):
            self._wait_for_start(publish != "none")

    def _wait_for_start(self, publishers: bool) -> None:
        """Wait until it is there, and learn its ports. `publishers`: whether it has one for them."""
        if publishers:
            self.publish_port = int(self.log.wait_for(r"publishers on 127\.0\.0\.1:(\d+)")[1])
        self.subscribe_port = int(self.log.wait_for(r"subscribers on 127\.0\.0\.1:(\d+)")[1])
        self.log.wait_for("relaying messages of up to")  # the start is over: what it has open is counted by some tests

    def stop(self) -> int:
        """End the process as an operator would, with SIGTERM; returns its exit status."""
        self.log.process.terminate()
        try:
            return self.log.wait_for_end()
        finally:
            self.log.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.log.process.poll() is None:
            self.stop()


def roomy(port: int, room: int) -> socket.socket:
    """A connection whose own kernel is asked to take so many bytes that it does not read, few or many."""
    peer = socket.socket()
    peer.settimeout(DEADLINE)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    peer.connect(("127.0.0.1", port))
    return peer


def _own_ports() -> Iterator[int]:
    """Ports for this process, each once in a round: of those below Linux's net.ipv4.ip_local_port_range, or a part.

    With pytest-xdist each worker has a part of its own, so that no two tests are given the same one before they use it.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(10_000 + part, 32_768, workers)
    begin = random.randrange(len(ports))
    return cycle((*ports[begin:], *ports[:begin]))


_ports = _own_ports()


def free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody who asks for any: a relay can come back to it."""
    for port in _ports:
        with closing(socket.socket()) as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always a next one")


def lasting(*options: str) -> Relay:
    """A relay to whose ports another is to come back."""
    return Relay(*options, publish=f"tcp:{free_port()}", subscribe=f"tcp:{free_port()}")


def killed(relay: Relay, *options: str) -> Relay:
    """The relay that comes back after this one was killed."""
    relay.log.process.kill()
    relay.log.process.wait()
    return Relay(*options, publish=f"tcp:{relay.publish_port}", subscribe=f"tcp:{relay.subscribe_port}")


def children(pid: int) -> list[int]:
    """The processes that a process has started, oldest first."""
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
