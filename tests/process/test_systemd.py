"""The relay as systemd runs it, without systemd: this test holds the listening sockets and reads the notify socket.

RELAY_RESTARTS=50 in the environment restarts it that often under load.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from struct import Struct
from zlib import crc32

import pytest

from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, TWISTD, Lines, children, start

RESTARTS = int(os.environ.get("RELAY_RESTARTS", "5"))
SUBSCRIBERS, PUBLISHERS = 20, 2
LENGTH = Struct("!I")
HEAD = Struct("!IIIQI")
"""Of a message under load: publisher, its connection, the generation, the message's number there, CRC of the rest."""
ACTIVATE = """
import os, sys
for target, given in enumerate(sys.argv[1].split(","), 3):
    os.dup2(int(given), target)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does between fork and exec: the sockets become descriptors 3, 4, and $LISTEN_PID the new process."""


class Manager:
    """The service manager: starts relays that tell it how they are, and listens for them if asked to."""

    def __init__(self, directory: str) -> None:
        self.path = str(Path(directory, "notify"))
        self.told: list[str] = []
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self.path)
        self._notify.settimeout(DEADLINE)
        self.publish, self.subscribe = (socket.create_server(("127.0.0.1", 0), backlog=4096) for _ in range(2))
        self.publish_port, self.subscribe_port = (s.getsockname()[1] for s in (self.publish, self.subscribe))
        self.relays: list[Lines] = []

    def start(self, *options: str, activate: bool = False, **environment: str) -> Lines:
        """A relay with that in its environment, on ports of its own, or on those that are listened on here."""
        command = [TWISTD, "-n", "--pidfile=", "relay"]
        environment = {**os.environ, "NOTIFY_SOCKET": self.path, **environment}
        given: list[int] = []
        if activate:
            command += ["--publish", "systemd:domain=INET:name=publish"]
            command += ["--subscribe", "systemd:domain=INET:name=subscribe"]
            given = [fcntl.fcntl(s, fcntl.F_DUPFD, 10) for s in (self.publish, self.subscribe)]
            command = [sys.executable, "-ISc", ACTIVATE, ",".join(map(str, given)), *command]
            environment |= {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "publish:subscribe"}
        elif "--publish" not in options:
            command += ["--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1"]
        relay = start(*command, *options, env=environment, pass_fds=given)
        for descriptor in given:
            os.close(descriptor)
        self.relays.append(relay)
        return relay

    def wait_for(self, pattern: str, timeout: float = DEADLINE) -> str:
        """Read until a datagram matches; returns it. All that come are added to `told`."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._notify.settimeout(left)
            try:
                self.told.append(self._notify.recv(4096).decode())
            except TimeoutError:
                break
            if re.search(pattern, self.told[-1]):
                return self.told[-1]
        raise AssertionError(f"{pattern!r} was not told: {self.told}")

    def drain(self) -> list[str]:
        """What was told since the last read."""
        self._notify.settimeout(0)
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._notify.recv(4096).decode())
        self.told += found
        return found

    def close(self) -> None:
        for relay in self.relays:
            if relay.process.poll() is None:
                relay.process.kill()
                relay.wait_for_end()
        for each in (self._notify, self.publish, self.subscribe):
            each.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as directory:  # pytest's own may be too deep for the path of a socket
        made = Manager(directory)
        try:
            yield made
        finally:
            made.close()


def connect(relay: Lines, role: str) -> socket.socket:
    return socket.create_connection(
        ("127.0.0.1", int(relay.wait_for(rf"listening for {role} on \S+:(\d+)")[1])), DEADLINE
    )


def test_it_is_ready_when_every_port_listens_and_not_before(manager: Manager) -> None:
    relay = manager.start()
    assert manager.wait_for("") == "READY=1"
    publisher, subscriber = connect(relay, "publishers"), connect(relay, "subscribers")
    with publisher, subscriber:
        relay.wait_for("subscriber .* connected")
        publisher.sendall(frame(b"one"))
        assert subscriber.recv(100) == frame(b"one")


def test_one_that_cannot_start_is_never_ready(manager: Manager) -> None:
    taken = f"tcp:{manager.subscribe_port}:interface=127.0.0.1"
    relay = manager.start("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", taken)
    assert relay.wait_for_end() == 1
    assert manager.drain() == []


def test_the_status_has_the_connections_and_the_rate(manager: Manager) -> None:
    relay = manager.start()
    manager.wait_for(r"STATUS=0 publishers, 0 subscribers; 0 messages/s")
    with connect(relay, "publishers") as publisher, connect(relay, "subscribers"), connect(relay, "subscribers"):
        relay.wait_for("subscriber .* connected", 2)
        publisher.sendall(frame(b"x") * 10_000)
        told = manager.wait_for(r"STATUS=1 publishers, 2 subscribers; [1-9]")
        rate = re.search(r"; ([\d,]+) messages/s$", told)
        assert rate is not None, told
        assert 10_000 / 10 < int(rate[1].replace(",", "")) <= 10_000  # over the seconds since the last status


def test_stopping_is_told_before_the_drain_with_the_time_that_it_may_need(manager: Manager) -> None:
    relay = manager.start("--drain-timeout", "100")
    manager.wait_for("READY=1")
    with connect(relay, "subscribers"):  # which does not close its side, so that the drain goes on
        relay.wait_for("subscriber .* connected")
        relay.process.send_signal(signal.SIGTERM)
        told = manager.wait_for("STOPPING=1").splitlines()
        assert relay.process.poll() is None
    [extension] = [line for line in told if line.startswith("EXTEND_TIMEOUT_USEC=")]
    assert int(extension.partition("=")[2]) > 100 * 10**6
    assert relay.wait_for_end() == 0


def test_a_reload_is_told_with_its_beginning_and_its_end(manager: Manager) -> None:
    relay = manager.start()
    manager.wait_for("READY=1")
    before = time.monotonic_ns() // 1000
    relay.process.send_signal(signal.SIGHUP)
    told = manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    since = int(told.partition("MONOTONIC_USEC=")[2])
    assert before <= since <= time.monotonic_ns() // 1000
    assert relay.process.poll() is None


@pytest.mark.alone
def test_the_watchdog_is_fed_by_a_relay_that_runs_and_by_no_other(manager: Manager) -> None:
    deadline = 1.0
    relay = manager.start(WATCHDOG_USEC=str(int(deadline * 1e6)))  # the pid is for whoever starts it through a wrapper
    manager.wait_for("READY=1")
    begun = time.monotonic()
    for _ in range(5):
        manager.wait_for("WATCHDOG=1", deadline)
    assert time.monotonic() - begun < 5 * deadline
    relay.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, relay.process.pid, os.WSTOPPED)
    manager.drain()
    with pytest.raises(AssertionError, match="was not told"):
        manager.wait_for("WATCHDOG=1", 2 * deadline)
    relay.process.send_signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")


def test_a_watchdog_for_another_process_is_not_fed(manager: Manager) -> None:
    manager.start(WATCHDOG_USEC="10000", WATCHDOG_PID="1")
    manager.wait_for("READY=1")
    with pytest.raises(AssertionError, match="was not told"):
        manager.wait_for("WATCHDOG=1", 0.5)  # fifty times the deadline


def test_one_that_the_watchdog_ends_says_where_it_was(manager: Manager) -> None:
    relay = manager.start(PYTHONFAULTHANDLER="1")
    manager.wait_for("READY=1")
    relay.process.send_signal(signal.SIGABRT)
    assert relay.wait_for_end() == -signal.SIGABRT
    relay.wait_for("Fatal Python error: Aborted")
    relay.wait_for(r"line \d+ in run")


def test_a_manager_that_does_not_listen_hurts_nobody(manager: Manager) -> None:
    relay = manager.start(NOTIFY_SOCKET="/nowhere", WATCHDOG_USEC="10000")
    with connect(relay, "publishers") as publisher, connect(relay, "subscribers") as subscriber:
        relay.wait_for("subscriber .* connected")
        publisher.sendall(frame(b"one"))
        assert subscriber.recv(100) == frame(b"one")
    relay.process.terminate()
    assert relay.wait_for_end() == 0
    assert "Traceback" not in relay.text


def test_with_workers_it_is_ready_when_they_accept_and_speaks_for_them(manager: Manager) -> None:
    relay = manager.start("--workers", "2", WATCHDOG_USEC="1000000")
    manager.wait_for("READY=1")
    workers = children(relay.process.pid)
    assert len(workers) == 2
    with connect(relay, "publishers") as publisher, connect(relay, "subscribers") as subscriber:
        relay.wait_for("subscriber .* connected")
        publisher.sendall(frame(b"one"))
        assert subscriber.recv(100) == frame(b"one")
    os.kill(workers[0], signal.SIGKILL)
    relay.wait_for("worker . has ended by SIGKILL")
    relay.process.send_signal(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    relay.process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert relay.wait_for_end() == 0
    assert not {"READY=1", "STOPPING=1"} & set(manager.drain())  # nobody else speaks to the manager


def test_who_connects_before_the_first_start_is_served(manager: Manager) -> None:
    with (
        socket.create_connection(("127.0.0.1", manager.publish_port), DEADLINE) as publisher,
        socket.create_connection(("127.0.0.1", manager.subscribe_port), DEADLINE) as subscriber,
    ):
        relay = manager.start("--replay", "1", activate=True)
        publisher.sendall(frame(b"early"))
        assert subscriber.recv(100) == frame(b"early")
        assert relay.wait_for(r"listening for publishers on \S+:(\d+)")[1] == str(manager.publish_port)


def test_a_socket_that_outlives_the_relay_has_the_keep_alive_of_the_next_one(manager: Manager) -> None:
    for seconds, expected in (("60", True), ("0", False)):
        relay = manager.start("--keepalive", seconds, activate=True)
        manager.wait_for("READY=1")
        assert bool(manager.subscribe.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is expected
        relay.process.terminate()
        assert relay.wait_for_end() == 0


class Load:
    """Publishers, subscribers, and one that connects all the time, who all come back by themselves."""

    def __init__(self, manager: Manager, orderly: bool) -> None:
        """If it is `orderly`, the relay never ends in the middle of a message."""
        self.generation = 0
        """Raised by the test after each restart; every message has it."""
        self.seen = [-1] * SUBSCRIBERS
        """The generation of the newest message that each subscriber has."""
        self.connects = self.refused = self.messages = 0
        self.wrong: list[str] = []
        self._manager = manager
        self._orderly = orderly
        self._stop = threading.Event()
        self._lock = threading.Lock()
        tasks: list[Callable[[], None]] = [self._connect_and_leave]
        tasks += [partial(self._publish, number) for number in range(PUBLISHERS)]
        tasks += [partial(self._subscribe, number) for number in range(SUBSCRIBERS)]
        self._threads = [threading.Thread(target=self._guard, args=(task,), daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()

    def _guard(self, task: Callable[[], None]) -> None:
        """Run a task again and again: each time it connects anew."""
        while not self._stop.is_set():
            try:
                task()
            except (ConnectionResetError, BrokenPipeError, TimeoutError):
                pass  # the relay is restarted, or there is nothing to read; reported where it should not be
            except Exception as error:
                self.wrong.append(repr(error))
                return

    def _connection(self, port: int) -> socket.socket:
        with self._lock:
            self.connects += 1
        try:
            return socket.create_connection(("127.0.0.1", port), DEADLINE)
        except ConnectionRefusedError:
            with self._lock:
                self.refused += 1
            raise

    def _connect_and_leave(self) -> None:
        for port in (self._manager.publish_port, self._manager.subscribe_port):
            self._connection(port).close()
        self._stop.wait(0.005)

    def _publish(self, publisher: int) -> None:
        with self._connection(self._manager.publish_port) as relay:
            connection = relay.getsockname()[1]
            number = 0
            while not self._stop.wait(0.002):
                number += 1
                text = bytes(number % 5000)
                relay.sendall(frame(HEAD.pack(publisher, connection, self.generation, number, crc32(text)) + text))

    def _subscribe(self, subscriber: int) -> None:
        newest: dict[tuple[int, int], int] = {}
        with (
            self._connection(self._manager.subscribe_port) as relay,
            relay.makefile("rb", buffering=2**16) as stream,
        ):
            while not self._stop.is_set() and (header := stream.read(LENGTH.size)):
                length = LENGTH.unpack(header)[0] if len(header) == LENGTH.size else 1
                message = stream.read(length)
                if len(message) < length:
                    if self._orderly:
                        self.wrong.append("the stream ended inside a message")
                    return
                publisher, connection, generation, number, check = HEAD.unpack_from(message)
                if crc32(message[HEAD.size :]) != check:
                    self.wrong.append("a message is damaged")
                before = newest.get((publisher, connection), number - 1)
                if number != before + 1:
                    self.wrong.append(f"message {number} of a connection follows {before}")
                newest[publisher, connection] = number
                self.seen[subscriber] = max(self.seen[subscriber], generation)
                self.messages += 1

    def wait_until_all_have(self, generation: int) -> None:
        deadline = time.monotonic() + DEADLINE
        while min(self.seen) < generation and not self.wrong:
            assert time.monotonic() < deadline, f"who is not back: {self.seen}, at generation {generation}"
            time.sleep(0.01)
        assert not self.wrong, self.wrong[:3]

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(DEADLINE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_restarts_under_load_refuse_nobody_and_all_come_back(manager: Manager, number: signal.Signals) -> None:
    relay = manager.start(activate=True)
    manager.wait_for("READY=1")
    load = Load(manager, orderly=number == signal.SIGTERM)
    away: list[float] = []
    try:
        load.wait_until_all_have(0)
        for generation in range(1, RESTARTS + 1):
            begun = time.monotonic()
            relay.process.send_signal(number)
            assert relay.wait_for_end() == (0 if number == signal.SIGTERM else -number)
            assert "Traceback" not in relay.text, relay.text
            manager.drain()
            relay = manager.start(activate=True)
            manager.wait_for("READY=1")
            away.append(time.monotonic() - begun)
            load.generation = generation
            load.wait_until_all_have(generation)
    finally:
        load.stop()
        relay.process.terminate()
        relay.wait_for_end()
        load.join()
    print(
        f"{RESTARTS} restarts by {number.name}: {load.connects:,} connections, {load.refused} refused; "
        f"{load.messages:,} messages received; away for {min(away):.2f} to {max(away):.2f} s"
    )
    assert load.refused == 0
    assert load.connects > 10 * RESTARTS
    assert not load.wrong, load.wrong[:3]
