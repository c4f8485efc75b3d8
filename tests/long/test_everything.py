"""Everything at once: a relay with a journal, workers and a web port is killed, stopped, paused and reloaded.

Meanwhile readers of all kinds begin anywhere in its history, and read fast or slowly. Nobody misses a message.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from tests.kit.mirrors import EventStream
from tests.kit.process import DEADLINE, Relay, children, free_port
from tests.kit.session_peers import AcknowledgedPublisher, ResumingSubscriber, position, sized, within
from tests.kit.session_wires import TcpWire, WebSocketWire

LONG = 20.0
"""Seconds that a relay is disturbed with `--thorough`, for each of `LIVES`."""
SHORT = 6.0
"""The same without, once."""
LIVES = 12
PATIENCE = 8.0
"""Seconds of silence that end a connection: nothing is silent for so long here."""
STAY = 8.0
"""Seconds that a reader reads from one place on, at most."""
NAPS = (0.0, 0.0, 0.0, 0.001, 0.01)
"""Seconds between two reads."""
ROOMS = (None, 4096, 65536)
"""Bytes that the kernel of a reader is asked to hold."""
FAULTS = "Traceback|upstream gap|journal damaged|does not answer"


class Life:
    """A relay, and what happens to it."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.publish, self.subscribe, self.web = (free_port() for _ in range(3))
        self.size = chance.choice([0, 300, 3000])
        """Bytes that are added to each message."""
        self.happened: Counter[str] = Counter()
        self._chance = chance
        self._file = folder / "relay.toml"
        self._workers, buffer = chance.choice([0, 1, 2]), chance.choice(["1MiB", "2MiB", "8MiB"])
        print(f"{self._workers} workers, buffer {buffer}, messages of {self.size} bytes and more")
        self._options = (
            *("--journal", str(folder), "--journal-size", "2GiB", "--buffer", buffer, "--config", str(self._file)),
            *("--web", f"tcp:{self.web}:interface=127.0.0.1"),
            *(("--workers", str(self._workers)) if self._workers else ()),
        )
        self._write()
        self.start()

    def message(self, number: int) -> bytes:
        return sized(number) + bytes(self.size)

    def _write(self) -> None:
        """Another configuration."""
        slow, stall = self._chance.choice(["disconnect", "skip", "block"]), self._chance.choice([5, 60])
        self._file.write_text(f'slow = "{slow}"\nstall-timeout = {stall}\n')

    def start(self) -> None:
        self._relay = Relay(*self._options, publish=f"tcp:{self.publish}", subscribe=f"tcp:{self.subscribe}")

    def disturb(self) -> None:
        """Have something happen."""
        others = [self.kill_worker] if self._workers else []
        happens = self._chance.choice([self.kill, self.restart, self.reload, self.pause, *others])
        self.happened[happens.__name__] += 1
        happens()

    def end(self) -> None:
        self._relay.log.process.kill()
        self._relay.log.wait_for_end()

    def kill(self) -> None:
        self.end()
        assert not self._relay.log.find(FAULTS), self._relay.log.text
        self.start()

    def stop(self) -> None:
        assert self._relay.stop() == 0, self._relay.log.text
        assert not self._relay.log.find(FAULTS), self._relay.log.text

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self) -> None:
        self._write()
        os.kill(self._relay.pid, signal.SIGHUP)

    def pause(self) -> None:
        os.kill(self._relay.pid, signal.SIGSTOP)
        time.sleep(self._chance.random())
        os.kill(self._relay.pid, signal.SIGCONT)

    def kill_worker(self) -> None:
        with suppress(IndexError, ProcessLookupError):  # the last one that ended is being replaced
            os.kill(self._chance.choice(children(self._relay.pid)), signal.SIGKILL)


class Reading(Protocol):
    def __call__(self, life: Life, epoch: str, at: int, chance: random.Random, done: Callable[[], bool]) -> int: ...


def by_tcp(life: Life, epoch: str, at: int, chance: random.Random, done: Callable[[], bool]) -> int:
    """Read behind message `at` until `done`. Returns how many messages came; all are as they should be."""
    one = ResumingSubscriber(life.subscribe, f"{epoch}-{at}", TcpWire, PATIENCE, room=chance.choice(ROOMS))
    return _resume(one, life, done)


def by_websocket(life: Life, epoch: str, at: int, chance: random.Random, done: Callable[[], bool]) -> int:
    """As `by_tcp`."""
    one = ResumingSubscriber(life.web, f"{epoch}-{at}", WebSocketWire, PATIENCE, room=chance.choice(ROOMS))
    return _resume(one, life, done)


def _resume(one: ResumingSubscriber, life: Life, done: Callable[[], bool]) -> int:
    first = one.next
    one.run(done)
    assert not one.lost
    assert one.messages == [(number, life.message(number)) for number in range(first, one.next)]
    return len(one.messages)


def by_events(life: Life, epoch: str, at: int, chance: random.Random, done: Callable[[], bool]) -> int:
    """As `by_tcp`."""
    first = at
    while not done():
        with suppress(OSError, HTTPException), EventStream(life.web, f"{epoch}-{at}") as stream:
            while not done():
                event = stream.take()
                assert (event.id, event.message) == (f"{epoch}-{at + 1}", life.message(at + 1))
                at += 1
    return at - first


def read(
    by: Reading, life: Life, epoch: str, last: Callable[[], int], over: threading.Event, chance: random.Random
) -> int:
    """Begin again and again somewhere in the history. Returns how many messages came in all. `last`: the newest."""
    came = 0
    while not over.is_set():
        newest, nap = last(), chance.choice(NAPS)
        until = time.monotonic() + chance.uniform(0.2, STAY)

        def done(nap: float = nap, until: float = until) -> bool:
            time.sleep(nap)
            return over.is_set() or time.monotonic() > until

        came += by(life, epoch, chance.choice([0, newest, chance.randrange(newest + 1)]), chance, done)
    return came


def test_whatever_happens_readers_of_all_kinds_miss_nothing(thorough: bool, tmp_path: Path) -> None:
    for number in range(LIVES if thorough else 1):
        seed = time.time_ns()
        print(f"seed {seed}")
        folder = tmp_path / str(number)
        folder.mkdir()
        _live(folder, seed, LONG if thorough else SHORT)


def _live(folder: Path, seed: int, seconds: float) -> None:
    chance = random.Random(seed)
    life = Life(folder, chance)
    try:
        _follow(life, chance, seed, seconds)
    finally:
        life.end()


def _follow(life: Life, chance: random.Random, seed: int, seconds: float) -> None:
    begin = position(life.subscribe)
    epoch, read_enough, sent_enough = begin.partition("-")[0], threading.Event(), threading.Event()
    publisher = AcknowledgedPublisher(life.publish, "p", life.message, window=chance.choice([10, 100, 1000]))

    def paced() -> bool:
        return sent_enough.wait(0.001)

    with ThreadPoolExecutor(9) as pool:
        publishing = pool.submit(publisher.run, paced)
        readings = [
            pool.submit(read, by, life, epoch, lambda: publisher.accepted, read_enough, random.Random(seed + place))
            for place, by in enumerate([by_tcp, by_tcp, by_tcp, by_websocket, by_websocket, by_events, by_events])
        ]
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until and not any(one.done() for one in readings):
                time.sleep(chance.uniform(0.1, 1.5))
                life.disturb()
        finally:
            read_enough.set()
            came = [one.result(2 * DEADLINE) for one in readings]
            sent_enough.set()
            publishing.result(2 * DEADLINE)
    one = ResumingSubscriber(life.subscribe, begin, TcpWire, PATIENCE)
    assert _resume(one, life, within(2 * DEADLINE, lambda: one.next > publisher.sent)) == publisher.sent
    life.stop()
    print(f"{publisher.sent:,} messages; {life.happened}; read {came}")
    assert sum(came)
