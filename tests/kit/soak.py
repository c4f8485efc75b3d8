"""A soak: `python -m tests.kit.soak --seconds 3600` keeps a relay under a mixed load and looks whether it grows.

The load is publishers at a fixed rate with messages of all sizes, subscribers that read all they can, some that read
slowly, some that never do, and some that come and go, as do a few publishers; and a healthy pair beside them. Once a
second, or two hundred times in the run, the relay's resident memory and its descriptors are looked at. A straight line
is fitted to what was seen after the warm-up; it must not climb more than it may.

What may be: memory in steps is no leak, because the log fills up to `--buffer` and empties as slow subscribers come
and go, and the allocator keeps what it had once. So the buffer is small, and two figures are looked at: what the line
gained from the end of the warm-up to the end of the run, which has to be less than `GAIN`, and for runs of more than
ten minutes the slope, which has to be less than `SLOPE`. The line of the descriptors may gain `MORE_DESCRIPTORS`, as
peers come and go; when all are gone, there have to be as many as before.
"""

from __future__ import annotations

import argparse
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from struct import pack

from tests.kit.healthy import Healthy, descriptors, memory
from tests.kit.process import DEADLINE, Relay

BUFFER = 4 * 2**20
GAIN = 6 * 2**20
"""Bytes that the fitted line may gain in a run: the buffer once more, and half of it for what is in the way."""
SLOPE = 2**20 / 600
"""Bytes a second that it may climb in a run of more than ten minutes, 6 MiB an hour. The load has some 150 connections
and 1,000 messages a second: 12 bytes that stay behind for each connection, or 2 for each message, are more."""
MORE_DESCRIPTORS = 5.0
WARM_UP = 0.3
"""The part of the run that is not looked at."""
PUBLISHERS = 4
EVERY = 0.01
"""Seconds between two writes of a publisher."""
SIZES = (0, 10, 100, 100, 1000, 1000, 10_000, 90_000)
HEALTHY = 4
SLOW = 4
VISITORS = 2


@dataclass(frozen=True)
class Line:
    """A straight line: `slope` a second, and what it is at zero seconds."""

    slope: float
    start: float


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line through `points`, seconds and value, with the least squares; level if they are of one moment."""
    count = len(points)
    mean_time = sum(moment for moment, _ in points) / count
    mean_value = sum(value for _, value in points) / count
    spread = sum((moment - mean_time) ** 2 for moment, _ in points)
    if not spread:
        return Line(0.0, mean_value)
    slope = sum((moment - mean_time) * (value - mean_value) for moment, value in points) / spread
    return Line(slope, mean_value - slope * mean_time)


@dataclass(frozen=True)
class Sample:
    """What the relay had so many seconds after the start."""

    seconds: float
    resident: int
    descriptors: int


@dataclass(frozen=True)
class Figures:
    """What came of a run. Bytes and seconds."""

    seconds: float
    samples: int
    resident: int
    """In the end."""
    gained: float
    slope: float
    more_descriptors: float
    descriptors: tuple[int, int]
    """Without any load, before and after."""
    messages: int
    """Published by the load."""
    deliveries: int
    """Messages that the subscribers got, less those of which only a part came."""
    bytes: int
    """That they got."""
    connections: int

    def faults(self) -> list[str]:
        """What is wrong with them."""
        found = []
        if self.gained >= GAIN:
            found.append(f"memory grew by {self.gained:,.0f} bytes, of {GAIN:,} that it may")
        if self.seconds > 600 and self.slope >= SLOPE:
            found.append(f"memory grows by {self.slope:,.0f} bytes a second, of {SLOPE:,.0f} that it may")
        if self.more_descriptors >= MORE_DESCRIPTORS:
            found.append(f"descriptors grew by {self.more_descriptors:.1f}, of {MORE_DESCRIPTORS} that they may")
        before, after = self.descriptors
        if after > before:
            found.append(f"{after - before} descriptors were left behind")
        if not self.messages or not self.deliveries:
            found.append("nothing was published or nothing delivered")
        return found

    def __str__(self) -> str:
        return (
            f"{self.seconds:.0f} s, {self.messages:,} messages, {self.deliveries:,} deliveries, {self.bytes:,} bytes, "
            f"{self.connections:,} connections; resident {self.resident:,} bytes, gained {self.gained:+,.0f}, "
            f"{self.slope:+,.0f} a second; descriptors "
            f"gained {self.more_descriptors:+.1f}, {self.descriptors[0]} before, {self.descriptors[1]} after"
        )


def judge(points: Sequence[tuple[float, float]], warm_up: float) -> tuple[float, float]:
    """How much the line through the points gained after the warm-up, and how much it gains a second."""
    looked_at = [point for point in points if point[0] >= warm_up]
    if len(looked_at) < 3:
        raise ValueError(f"{len(looked_at)} samples after the warm-up are too few")
    line = fit(looked_at)
    return line.slope * (looked_at[-1][0] - looked_at[0][0]), line.slope


class Load:
    """Everybody who uses the relay, each in a thread of its own until `stop`."""

    def __init__(self, relay: Relay, seed: int) -> None:
        self.messages = 0
        self.deliveries = 0
        self.bytes = 0
        self.connections = 0
        self.failures: list[BaseException] = []
        self._relay = relay
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        actors = [self._publish] * PUBLISHERS + [self._subscribe] * HEALTHY + [self._crawl] * SLOW
        actors += [self._sleep] + [self._visit] * VISITORS + [self._drop_in]
        self._threads = [
            threading.Thread(target=self._act, args=(actor, number), daemon=True) for number, actor in enumerate(actors)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Everybody leaves."""
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "a peer does not end"

    def _act(self, actor: Callable[[random.Random], None], number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        try:
            while not self._stop.is_set():
                with suppress(ConnectionResetError, BrokenPipeError):  # who is slow is cut, and comes again
                    actor(chance)
        except BaseException as error:
            self.failures.append(error)

    def _connect(self, port: int) -> socket.socket:
        with self._lock:
            self.connections += 1
        peer = socket.create_connection(("127.0.0.1", port), DEADLINE)
        peer.settimeout(0.2)
        return peer

    def _publish(self, chance: random.Random, most: int = 2**62) -> None:
        with self._connect(self._relay.publish_port) as peer:
            peer.settimeout(DEADLINE)
            while most > 0 and not self._stop.wait(EVERY):
                sizes = [chance.choice(SIZES) for _ in range(chance.choice((1, 1, 5)))]
                peer.sendall(b"".join(pack("!I", size) + bytes(size) for size in sizes))
                most -= len(sizes)
                with self._lock:
                    self.messages += len(sizes)

    def _read(self, peer: socket.socket, counted: Deliveries, size: int) -> bool:
        """Whether the connection goes on."""
        try:
            data = peer.recv(size)
        except TimeoutError:
            return True
        whole = counted.feed(data)
        with self._lock:
            self.bytes += len(data)
            self.deliveries += whole
        return bool(data)

    def _subscribe(self, chance: random.Random) -> None:
        with self._connect(self._relay.subscribe_port) as peer:
            counted = Deliveries()
            while not self._stop.is_set() and self._read(peer, counted, 2**18):
                pass

    def _crawl(self, chance: random.Random) -> None:
        """Read so slowly that an overrun comes now and then."""
        with self._connect(self._relay.subscribe_port) as peer:
            counted = Deliveries()
            while not self._stop.wait(chance.uniform(0.001, 0.05)) and self._read(peer, counted, 2**14):
                pass

    def _sleep(self, chance: random.Random) -> None:
        """Never read, until the relay ends it."""
        with self._connect(self._relay.subscribe_port):
            self._stop.wait(chance.uniform(2, 10))

    def _visit(self, chance: random.Random) -> None:
        """Come, read a little, send what nobody asked for, leave."""
        with self._connect(self._relay.subscribe_port) as peer:
            counted = Deliveries()
            for _ in range(chance.randrange(5)):
                self._read(peer, counted, 2**16)
            peer.send(b"thank you")
        self._stop.wait(0.02)

    def _drop_in(self, chance: random.Random) -> None:
        """Publish a few messages, and now and then a bad one or half a one."""
        self._publish(chance, most=chance.randrange(3))
        with self._connect(self._relay.publish_port) as peer:
            peer.sendall(chance.choice((b"", b"\0\0\0\5half", b"\xff\xff\xff\xff")))
        self._stop.wait(0.02)


class Deliveries:
    """Counts whole `int32` messages in a stream."""

    def __init__(self) -> None:
        self._left = 0  # bytes until the next header
        self._header = b""

    def feed(self, data: bytes) -> int:
        """How many messages these bytes complete."""
        whole = at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                whole += not self._left
                continue
            missing = 4 - len(self._header)
            self._header += data[at : at + missing]
            at += missing
            if len(self._header) == 4:
                self._left = int.from_bytes(self._header, "big")
                self._header = b""
                whole += not self._left
        return whole


def soak(seconds: float, seed: int, say: Callable[[str], object] = print) -> Figures:
    """Run a relay under load for so long; `say` is told how it stands, now and then."""
    every = max(0.1, seconds / 200) if seconds < 200 else max(1.0, seconds / 2000)
    samples: list[Sample] = []
    with Relay("--buffer", str(BUFFER), "--stall-timeout", "5") as relay, Healthy(relay, buffer=BUFFER, p99=0.5):
        before = descriptors(relay.pid)
        start = time.monotonic()
        load = Load(relay, seed)
        said = 0.0
        while (passed := time.monotonic() - start) < seconds:
            samples.append(Sample(passed, memory(relay.pid, "VmRSS"), descriptors(relay.pid)))
            if passed - said >= max(10.0, seconds / 50):
                said = passed
                say(f"{passed:.0f} s: resident {samples[-1].resident:,}, {samples[-1].descriptors} descriptors, "
                    f"{load.messages:,} messages, {load.deliveries:,} deliveries")  # fmt: skip
            time.sleep(every)
        load.stop()
        if load.failures:
            raise load.failures[0]
        deadline = time.monotonic() + DEADLINE
        while descriptors(relay.pid) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        gained, slope = judge([(each.seconds, each.resident) for each in samples], WARM_UP * seconds)
        more, _ = judge([(each.seconds, each.descriptors) for each in samples], WARM_UP * seconds)
        return Figures(
            seconds,
            len(samples),
            samples[-1].resident,
            gained,
            slope,
            more,
            (before, descriptors(relay.pid)),
            load.messages,
            load.deliveries,
            load.bytes,
            load.connections,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kit.soak", description="Keep a relay under load for long.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    figures = soak(options.seconds, options.seed, lambda line: print(line, flush=True))
    print(figures)
    if found := figures.faults():
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
