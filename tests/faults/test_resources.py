"""Faults of what the system gives: descriptors, memory, disk, time and the processor.

Where a test says nothing else, a healthy publisher and subscriber run beside the fault and notice nothing of it.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import unpack
from termios import FIONREAD

import pytest

from tests.kit.crowd import Beside
from tests.kit.fakes import frame
from tests.kit.healthy import HEALTHY_FRAME, descriptors, processor_time
from tests.kit.peers import (
    MESSAGE,
    connection,
    ends,
    receive,
    refused,
    slow_subscriber,
    subscribers,
    wait_for_message,
)
from tests.kit.process import DEADLINE, TWISTD, Lines, Relay, start, wait_until
from tests.kit.under import Under, tool

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, which Linux has")

FAKETIME = next(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1"), None)


def limited(count: int) -> tuple[str, ...]:
    """A command that runs another with a hard limit of open files."""
    return ("/bin/sh", "-c", f'ulimit -n {count} && exec "$@"', "sh")


def publish_in_step(relay: Relay, reader: socket.socket, count: int) -> None:
    """Publish so many messages no faster than a subscriber reads, who may be sent others too."""
    with connection(relay.publish_port) as publisher:
        ahead = 0
        for _ in range(count // 64):
            publisher.sendall(MESSAGE * 64)
            ahead += len(MESSAGE) * 64
            while ahead > 0:
                part = reader.recv(2**20)
                assert part, "the subscriber was cut"
                ahead -= len(part)


# Descriptors


@pytest.mark.alone
def test_the_limit_of_connections_follows_that_of_open_files() -> None:
    """Of 164 descriptors the relay keeps 64 for itself, as documented in `relay.peers.admission`."""
    with Under(*limited(164)) as relay, Beside(relay), ExitStack() as stack:
        before = descriptors(relay.pid)
        holders = [stack.enter_context(connection(relay.subscribe_port)) for _ in range(100 - 2)]
        for holder in holders:
            receive(holder, 4)
        # Before, it may not have noticed yet that those were gone who looked whether it was there.
        wait_until(lambda: descriptors(relay.pid) <= before + len(holders), "each takes one")
        for _ in range(50):
            assert refused(relay.subscribe_port)
        relay.log.wait_for("refused: connection limit")
        bursts = []
        for _ in range(200):  # at both ports, which the reserve has to hold
            for port in (relay.publish_port, relay.subscribe_port):
                burst = stack.enter_context(socket.socket())
                burst.setblocking(False)
                burst.connect_ex(("127.0.0.1", port))
                bursts.append(burst)
        for burst in bursts:  # each is refused before a slot is free, which it would be given
            burst.settimeout(DEADLINE)
            assert ends(burst)
        assert not relay.log.find("cannot accept connections")
        holders[0].close()
        wait_until(lambda: not refused(relay.subscribe_port), "a slot is free again")


def test_a_limit_of_open_files_that_is_too_low_for_max_connections_ends_the_start_with_one_line() -> None:
    relay = start(*limited(1000), TWISTD, "-n", "--pidfile=", "relay", "--max-connections", "100000")
    assert relay.wait_for_end() == 1
    last = relay.text.splitlines()[-1]
    assert re.search("relay cannot start: .*max-connections.*the limit of open files allows 936", last)
    assert "Traceback" not in relay.text


@pytest.mark.alone
@pytest.mark.parametrize("error", ["ENFILE", "ENOBUFS"])
def test_a_system_that_has_no_room_is_asked_again_a_second_later_and_not_at_once(error: str) -> None:
    """The kernel's answer is changed by strace, for the next two that the relay would accept."""
    strace = tool("strace", "strace")
    with Relay() as relay, Beside(relay):
        tracer = start(
            *(strace, "-f", "-e", "trace=accept4,accept", "-e", f"inject=accept4,accept:error={error}:when=1..2"),
            *("-p", str(relay.pid)),
        )
        try:
            tracer.wait_for("attached|not permitted|could not|cannot")
            if not tracer.find("attached"):
                pytest.skip(f"strace may not trace here: {tracer.text}")
            used, begin = processor_time(relay.pid), time.monotonic()
            with connection(relay.subscribe_port) as peer:
                receive(peer, 4)  # in the end it is accepted
                waited = time.monotonic() - begin
            tracer.wait_for("INJECTED", 2)
        finally:
            tracer.process.send_signal(signal.SIGINT)  # it lets go of the relay
            tracer.wait_for_end()
        assert 1.9 <= waited < 4.0
        assert processor_time(relay.pid) - used < 0.5 * waited
        lines = relay.log.find(
            rf"cannot accept connections: {os.strerror(getattr(__import__('errno'), error))}; .* 1 s"
        )
        assert len(lines) == 2


@pytest.mark.alone
def test_a_stuck_subscriber_costs_the_kernel_less_than_a_mebibyte() -> None:
    """By the kernel's own count of what waits in the relay's send queues (`skmem` in ss(8))."""
    ss, count = tool("ss", "iproute2"), 10
    with Relay() as relay, Beside(relay), ExitStack() as stack, subscribers(relay) as [reader]:
        for _ in range(count):
            stack.enter_context(slow_subscriber(relay))
        publish_in_step(relay, reader, 8 * 1024)
        sockets = subprocess.run(
            [ss, "-tmn", "state", "established", f"( sport = :{relay.subscribe_port} )"],
            capture_output=True, text=True, check=True, timeout=DEADLINE,
        ).stdout  # fmt: skip
    queued = [int(size) for size in re.findall(r"skmem:\(.*?,w(\d+),", sockets)]
    stuck = [size for size in queued if size]
    assert len(stuck) >= count
    assert max(stuck) < 2**20, stuck


# The log


class Piped(Under):
    """A relay whose standard output is a pipe of `SIZE` bytes, read by a process that the test may stop."""

    SIZE = 4096
    LINE = 200
    """Bytes of which no line has more."""

    def begin(self, command: tuple[str, ...], popen: dict[str, object]) -> Lines:
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, self.SIZE)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=write, stderr=write, text=True, errors="backslashreplace"
        )
        os.close(write)
        self.reader = subprocess.Popen(["cat"], stdin=read, stdout=subprocess.PIPE, text=True)
        self._pipe = read
        process.stdout = self.reader.stdout
        return Lines(process)

    @property
    def full(self) -> bool:
        """Whether the pipe has no room for another line."""
        [waiting] = unpack("i", fcntl.ioctl(self._pipe, FIONREAD, b"1234"))
        return bool(waiting + self.LINE > self.SIZE)

    def stop(self) -> int:
        self.reader.send_signal(signal.SIGCONT)
        os.close(self._pipe)
        status = super().stop()
        self.reader.wait(DEADLINE)
        return status


@pytest.mark.alone
def test_a_log_that_nobody_reads_stops_the_relay_when_the_pipe_is_full_and_nothing_is_lost() -> None:
    """It is blocking: lines are written where they are made, in the reactor's thread, and a full pipe holds that until
    somebody reads it. The 20 lines of a kind in a second are what keeps a peer from causing it quickly; a pipe of Linux
    holds 64 KiB, some 600 lines. Messages wait with their publishers meanwhile and arrive when the log is read again:
    the healthy pair is not measured for its delay here."""
    with Piped() as relay, Beside(relay, p99=DEADLINE):
        relay.reader.send_signal(signal.SIGSTOP)

        def full() -> bool:
            with connection(relay.publish_port) as publisher:
                publisher.sendall(frame(b""))  # of one that says nothing the log says nothing
            return relay.full

        wait_until(full, "the pipe is full")
        with connection(relay.subscribe_port) as peer:
            peer.settimeout(1.0)
            with pytest.raises(TimeoutError):
                while True:  # the line that does not fit may be the next one
                    connection(relay.publish_port).close()
                    peer.recv(2**20)
            used = processor_time(relay.pid)
            with pytest.raises(TimeoutError):
                peer.recv(1)
        assert processor_time(relay.pid) - used < 0.1
        relay.reader.send_signal(signal.SIGCONT)
        wait_for_message(relay)


@pytest.mark.alone
def test_a_full_device_behind_standard_output_stops_no_message() -> None:
    with open("/dev/full", "w") as full:
        with Unlogged(full) as relay, Beside(relay):
            for _ in range(50):
                with connection(relay.subscribe_port) as peer:
                    receive(peer, 4)
        assert relay.log.process.returncode == 0


class Unlogged(Under):
    """A relay whose log goes to a file that the test has open."""

    def __init__(self, file: object) -> None:
        self._file = file
        super().__init__()

    def begin(self, command: tuple[str, ...], popen: dict[str, object]) -> Lines:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.PIPE,
            text=True,  # type: ignore[call-overload]
        )
        process.stdout, process.stderr = process.stderr, None
        return Lines(process)


@pytest.mark.alone
def test_a_full_disk_under_the_log_file_stops_no_message_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    unshare = tool("unshare", "util-linux")
    script = f'mount -t tmpfs -o size=64k relay {tmp_path} && exec "$@"'
    if subprocess.run([unshare, "-m", "sh", "-c", script, "sh", "true"], check=False).returncode:
        pytest.skip("may not mount a file system of its own here")
    log = tmp_path / "relay.log"
    with Under(unshare, "-m", "sh", "-c", script, "sh", twistd=("--logfile", str(log))) as relay, Beside(relay):
        inside = Path(f"/proc/{relay.pid}/root{log}")
        filler = inside.with_name("filler")
        wait_until(lambda: "relaying messages" in inside.read_text(), "its log is there")
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"x" * 4096)
        for _ in range(100):  # what is left of the last page is full soon
            with connection(relay.subscribe_port) as peer:
                receive(peer, 4)
        filler.unlink()

        def told() -> bool:
            with connection(relay.subscribe_port) as peer:
                receive(peer, 4)
                return f"{peer.getsockname()[1]} connected" in inside.read_text()

        wait_until(told, "the log goes on")


# Time


def test_nobody_is_cut_for_time_that_the_relay_slept() -> None:
    """Stopped for longer than the timeouts: one that is stuck, one that lags and goes on reading afterwards, and a
    publisher in the middle of a message. The stuck one is cut later, after the timeout of the relay's own time."""
    timeout, asleep, count = 5.0, 10.0, 16 * 1024
    with (
        Relay("--stall-timeout", f"{timeout:g}", "--frame-timeout", f"{timeout:g}") as relay,
        subscribers(relay) as [reader],
        slow_subscriber(relay) as stuck,
        slow_subscriber(relay) as lagging,
        connection(relay.publish_port) as partial,
        ThreadPoolExecutor() as pool,
    ):
        stuck_since = time.monotonic()
        publish_in_step(relay, reader, count)
        reader.close()
        partial.sendall(frame(b"begun")[:-1])
        with Beside(relay, p99=asleep + 5):
            with connection(relay.subscribe_port) as peer:
                receive(peer, 100 * HEALTHY_FRAME)  # half a second: their time runs
            before = time.monotonic() - stuck_since
            relay.log.process.send_signal(signal.SIGSTOP)
            time.sleep(asleep)  # this is the fault
            relay.log.process.send_signal(signal.SIGCONT)
            woken = time.monotonic()
            partial.sendall(frame(b"begun")[-1:])
            reading = pool.submit(receive, lagging, len(MESSAGE) * count)
            end = relay.log.wait_for("disconnected: (stalled|frame timeout)", timeout=timeout + 5)
            assert time.monotonic() - woken > timeout - before - 1.0  # that much is between two looks
            assert f":{stuck.getsockname()[1]} disconnected: stalled" in end.string
            assert reading.result(DEADLINE) == MESSAGE * count
            receive(lagging, HEALTHY_FRAME)
        assert len(relay.log.find("disconnected: (stalled|frame timeout)")) == 1
        assert not relay.log.find("incomplete message dropped")


@contextmanager
def faked(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A file that says how far the wall clock of a process is off, and the environment that makes it so."""
    if FAKETIME is None:
        pytest.skip("needs libfaketime (Debian: libfaketime)")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    yield (
        offset,
        {
            **os.environ,
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )


@pytest.mark.alone
@pytest.mark.parametrize("step", ["+1d", "-1d"])
def test_a_wall_clock_that_jumps_by_a_day_neither_fires_a_timer_nor_stops_one(step: str, tmp_path: Path) -> None:
    """The dates in the log show that it did jump."""
    timeout = 2.0
    with (
        faked(tmp_path) as (offset, environment),
        Under(options=("--stall-timeout", f"{timeout:g}"), env=environment) as relay,
        slow_subscriber(relay) as stuck,
        Beside(relay),
    ):
        with subscribers(relay) as [reader]:
            publish_in_step(relay, reader, 4 * 1024)
        begin = time.monotonic()
        offset.write_text(step)
        end = relay.log.wait_for("disconnected: stalled")
        passed = time.monotonic() - begin
        assert f":{stuck.getsockname()[1]} disconnected" in end.string
        assert timeout - 1.0 <= passed <= timeout + 3.0
        dates = {line[:10] for line in relay.log.text.splitlines() if re.match(r"\d{4}-\d\d-\d\dT", line)}
        assert len(dates) >= 2, "the clock did not jump"


@pytest.mark.alone
def test_busy_neighbours_on_the_processor_delay_nobody() -> None:
    """As many as there are cores, at the same niceness."""
    neighbours = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        with Relay() as relay, Beside(relay), connection(relay.subscribe_port) as subscriber:
            receive(subscriber, 800 * HEALTHY_FRAME)  # four seconds
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
