"""A system while it is measured: its process, the time and memory that it has used, and its end."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tester.bench.certificates import make
from tester.bench.load import LoadError
from tester.bench.phase import Site
from tester.bench.systems import Start, System
from tester.tls import Tls

HOST = "127.0.0.1"
PATIENCE = 30.0  # seconds that a system has to start listening, and to end
PORTS = range(20_000, 30_000)  # below those for outgoing connections: from 32,768 on Linux, from 49,152 on macOS


class ServerError(Exception):
    """A system did not start, or ended too soon. The text may have several lines, with the system's own output."""


@dataclass(frozen=True)
class Server:
    """A system that listens. `pid`: its process, None if that is not known."""

    system: System
    site: Site
    pid: int | None

    def cpu(self) -> float | None:
        """Seconds of processor time that all its threads and workers have used so far; None if that is not known."""
        texts = self._read("stat")
        # proc(5); the program's name in brackets may have any character
        every = [text.rpartition(")")[2].split() for text in texts]
        return sum(int(one[11]) + int(one[12]) for one in every) / os.sysconf("SC_CLK_TCK") if texts else None

    def peak_memory(self) -> int | None:
        """The most bytes of memory that were resident at any time, of all processes; None if that is not known."""
        found = [re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE) for text in self._read("status")]
        return sum(int(one[1]) for one in found if one) * 1024 if any(found) else None

    def _read(self, name: str) -> list[str]:
        """What /proc has under `name` for the process, and for those that it has started and that are still there."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return [Path(f"/proc/{process}/{name}").read_text() for process in (self.pid, *children)]
        except OSError:
            return []


@contextmanager
def running(system: System, size: int, tls: bool = False) -> Iterator[Server]:
    """Start the system on free ports of this machine, and end it with the `with` block."""
    publish, subscribe = free_ports()
    if system.one_port:
        subscribe = publish
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
        certificate = make(Path(folder), HOST) if tls else None
        start = Start(system.find() or system.program, publish, subscribe, size, Path(folder), certificate)
        command = system.command(start)
        output = Path(folder, "output")
        with output.open("wb") as file:
            # A process group of its own, so that Ctrl-C does not reach the system before it is told to end.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder, process_group=0
            )
        try:
            for port in (publish, subscribe):
                if not listens(port, process):
                    raise ServerError(f"{system.name} did not start:\n{_tail(output)}")
            if not _prints(system.ready, output, process):
                raise ServerError(f"{system.name} is not ready:\n{_tail(output)}")
            trust = Tls(certificate.authority) if certificate else None
            site = Site((HOST, publish), (HOST, subscribe), system.wire(size), trust)
            yield Server(system, site, process.pid)
        except LoadError:
            if process.poll() is None:
                raise
            raise ServerError(f"{system.name} ended:\n{_tail(output)}") from None
        finally:
            end(process)


def _prints(words: str, output: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until `words` are in `output`. False if `process` ends before that, or it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if words in output.read_text(errors="replace"):
            return True
        time.sleep(0.02)
    return False


def _tail(output: Path) -> str:
    return output.read_text(errors="replace")[-2000:].rstrip()


def free_ports() -> tuple[int, int]:
    """Two ports of 127.0.0.1 on which nobody listens, below those that the kernel uses for outgoing connections.

    Any of those could be taken before the system listens on it, even by the connection that tries whether it does.
    """
    free: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        free.append(port)
        if len(free) == 2:
            return free[0], free[1]
    raise ServerError("no port is free")


def listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something listens on `port`. False if `process` ends before that, or it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process: ask it to, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
