"""A healthy publisher and a healthy subscriber, to run beside a fault: nothing of it may reach them.

They are a process of their own (`python -m tests.kit.healthy PUBLISH_PORT SUBSCRIBE_PORT`), so that what a test does to
the relay does not slow them down. It publishes a small message every few milliseconds, each with its number and the
time, and checks every one that arrives: once, in order, whole. It says "ready" when the first has arrived. When its
standard input ends it publishes no more, waits for the rest, and prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO

from tests.kit.process import DEADLINE, Relay, start_program
from tests.kit.resets import reset

HEADER = Struct("!I")
STAMP = Struct("!QQ")
"""A message's number, and when it was sent, in nanoseconds of the monotonic clock."""
PADDING = b"." * 84
FRAME = HEADER.size + STAMP.size + len(PADDING)
EVERY = 0.005
"""Seconds between two messages."""
LEAST = 100
"""Messages that are sent at least, however short the fault is."""
LATE = 0.02
"""Seconds by which a machine delays everybody that is too busy for a measurement. On two cores with a load average of 8
it was 0.006 to 0.009, and with 13 from 0.04 to 0.06: a relay, which needs more time, waited tenths of a second."""
MARK = b"healthy!"
"""How its messages begin, on a relay where others publish too."""
HEALTHY_FRAME = FRAME + len(MARK)
"""Bytes of one of the healthy publisher's messages, with its length."""


@dataclass(frozen=True)
class Found:
    """What the healthy subscriber saw of what the healthy publisher sent. Delays are in seconds."""

    sent: int
    received: int
    others: int
    """Messages of other publishers among them."""
    disorder: str
    """Empty, or what was wrong first."""
    median: float
    p99: float
    longest: float
    late: float
    """How much later than it should have the publisher went on, once it had waited: 99 of 100 times at most so much.

    That is the machine's doing: it was busy with others. A relay and a subscriber have to be woken as well.
    """


class Pair:
    """The two, in this process."""

    def __init__(self, publish_port: int, subscribe_port: int) -> None:
        self._subscriber = socket.create_connection(("127.0.0.1", subscribe_port))
        self._publisher = socket.create_connection(("127.0.0.1", publish_port))
        for peer in (self._subscriber, self._publisher):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = self.received = self.others = 0
        self.disorder = ""
        self.delays: list[float] = []
        self.late: list[float] = []
        self.first = threading.Event()
        self.all = threading.Event()
        self._stop = threading.Event()
        self._reading = threading.Thread(target=self._receive, daemon=True)
        self._reading.start()
        # The relay may take the publisher's connection before the subscriber's: until it answers, nothing counts.
        while not self.first.wait(0.05):
            self._publisher.sendall(self._message(0))
        self._sending = threading.Thread(target=self._send, daemon=True)
        self._sending.start()

    def _message(self, number: int) -> bytes:
        data = STAMP.pack(number, time.monotonic_ns()) + PADDING
        return HEADER.pack(len(MARK) + len(data)) + MARK + data

    def _send(self) -> None:
        due = time.monotonic() + EVERY
        while not self._stop.wait(EVERY) or self.sent < LEAST:
            self.late.append(time.monotonic() - due)
            self.sent += 1
            self._publisher.sendall(self._message(self.sent))
            due = time.monotonic() + EVERY
        self._publisher.sendall(self._message(2**63))  # no more follow

    def _receive(self) -> None:
        try:
            self._check_all()
        except OSError as error:
            self._wrong(str(error))
        self.all.set()

    def _check_all(self) -> None:
        with self._subscriber.makefile("rb", buffering=2**20) as stream:
            while header := stream.read(HEADER.size):
                (length,) = HEADER.unpack(header)
                message = stream.read(length)
                if len(message) != length:
                    self._wrong(f"the stream ended inside a message, {len(message)} of {length} bytes")
                    break
                if not message.startswith(MARK):
                    self.others += 1
                    continue
                number, when = STAMP.unpack_from(message, len(MARK))
                self.first.set()
                if number == 2**63:
                    break
                if number == 0:
                    continue
                self.received += 1
                self.delays.append((time.monotonic_ns() - when) / 1e9)
                if number != self.received:
                    self._wrong(f"message {number:,} came as the {self.received:,}th")
                if message[len(MARK) + STAMP.size :] != PADDING:
                    self._wrong(f"message {number:,} is damaged")
            else:
                self._wrong("the stream ended")

    def _wrong(self, what: str) -> None:
        self.disorder = self.disorder or what

    def finish(self, timeout: float) -> Found:
        """Publish no more, and wait for the rest."""
        self._stop.set()
        self._sending.join()
        if not self.all.wait(timeout):
            self._wrong("the last message did not come")
        reset(self._subscriber)
        delays, late = sorted(self.delays) or [0.0], sorted(self.late)
        return Found(
            self.sent,
            self.received,
            self.others,
            self.disorder,
            median=delays[len(delays) // 2],
            p99=delays[len(delays) * 99 // 100],
            longest=delays[-1],
            late=late[len(late) * 99 // 100],
        )


class Healthy:
    """`with Healthy(relay) as healthy:` runs the two while the fault happens, and says at the end what it did to them.

    The process of the relay has to live through it without a traceback, its descriptors have to be as many in the end
    as they were before, and its memory never more than `buffer` and 60 MB above what it was at the beginning.
    """

    def __init__(self, relay: Relay, *, buffer: int = 64 * 2**20, p99: float = 0.1) -> None:
        """`buffer` is the relay's, in bytes; `p99` in seconds is what 99 of 100 messages may take at most.

        They may take longer by what the machine delays everybody: twice, for the relay and for the subscriber. If that
        is more than `LATE`, they say nothing of the relay, and are not judged.
        """
        self.found: Found | None = None
        """Known after the end."""
        side_by_side = "PYTEST_XDIST_WORKER" in os.environ
        assert p99 > 0.1 or not side_by_side, "this measures time: mark the test with pytest.mark.alone"
        self._relay = relay
        self._buffer = buffer
        self._p99 = p99

    def __enter__(self) -> Healthy:
        relay = self._relay
        self._descriptors = descriptors(relay.pid)
        self._opened = opened(relay.pid)
        self._memory = memory(relay.pid, "VmRSS")
        self._pair = start_program("tests.kit.healthy", relay.publish_port, relay.subscribe_port)
        self._pair.wait_for("ready")
        return self

    def stop(self) -> Found:
        """Have the two finish now, while the fault goes on."""
        if self.found is None:
            assert self._pair.process.stdin is not None
            self._pair.process.stdin.close()
            assert self._pair.wait_for_end() == 0, self._pair.text
            self.found = Found(**json.loads(self._pair.text.splitlines()[-1]))
        return self.found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._pair.process.kill()
            self._pair.wait_for_end()
            return
        found = self.stop()
        assert not found.disorder, found
        assert found.received == found.sent > 0, found
        assert found.p99 < self._p99 + 2 * found.late or found.late > LATE, found
        self.check_process()

    def check_process(self) -> None:
        """What has to be true of the relay's process after the fault."""
        relay = self._relay
        assert relay.log.process.poll() is None, relay.log.text
        assert "Traceback" not in relay.log.text, relay.log.text
        grown = memory(relay.pid, "VmHWM") - self._memory
        assert grown < self._buffer + 60 * 10**6, f"{grown:,} bytes more than before"
        deadline = time.monotonic() + DEADLINE
        while (count := descriptors(relay.pid)) > self._descriptors and time.monotonic() < deadline:
            time.sleep(0.02)
        assert count <= self._descriptors, f"left behind: {opened(relay.pid)}\nof: {self._opened}\n{relay.log.text}"


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def opened(pid: int) -> list[str]:
    """What they are; a TCP connection with its addresses and its state, as /proc/net/tcp has them."""
    connections = {
        f"socket:[{fields[9]}]": " ".join(fields[1:4])
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        if len(fields := line.split()) > 9
    }
    names = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            name = str(entry.readlink())
            names.append(f"{entry.name}: {connections.get(name, name)}")
    return names


def memory(pid: int, field: str) -> int:
    """`VmRSS`, the memory of a process that is resident now, or `VmHWM`, the most that ever was, in bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024


def processor_time(pid: int) -> float:
    """Seconds of the processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def others(stream: BinaryIO) -> Iterator[bytes]:
    """The messages that a subscriber receives, without those of the healthy publisher."""
    with stream:
        deadline = time.monotonic() + DEADLINE
        while header := stream.read(HEADER.size):
            (length,) = HEADER.unpack(header)
            message = stream.read(length)
            assert len(message) == length, "the stream ended inside a message"
            if not message.startswith(MARK):
                yield message
                deadline = time.monotonic() + DEADLINE
            assert time.monotonic() < deadline, "nothing comes but the healthy publisher's messages"


def main() -> None:
    pair = Pair(int(sys.argv[1]), int(sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.read()
    print(json.dumps(asdict(pair.finish(DEADLINE))))


if __name__ == "__main__":
    main()
