"""A subscriber that moves at random between a relay, its mirror and the mirror's mirror, while mirrors are killed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.kit.mirrors import Mirror
from tests.kit.process import DEADLINE, Relay, free_port
from tests.kit.session_peers import PacedFlood, ResumingSubscriber, check_messages, position, within

RATE = 2000
"""Messages a second."""
PATIENCE = 8.0
"""Seconds without a welcome that end a connection: a mirror takes 4 to say that it is not ready."""


class Killed:
    """A mirror that is killed and started again, at the same port."""

    def __init__(self, of: int, *options: str) -> None:
        self.port = free_port()
        self._of = of
        self._options = options
        self.kills = 0
        self.start(connected=True)

    def start(self, connected: bool = False) -> None:
        """Start it, and wait for the relay that it mirrors if that is asked for."""
        self.mirror = Mirror(self._of, *self._options, subscribe=f"tcp:{self.port}", connected=connected)

    def kill(self) -> None:
        self.kills += 1
        self.mirror.kill()
        assert not self.mirror.log.find("Traceback|subscribers end"), self.mirror.log.text


@contextmanager
def killing(mirrors: list[Killed], chance: random.Random) -> Iterator[None]:
    """Mirrors are killed at random, and are away for a while."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(chance.uniform(0.1, 1.5)):
            one = chance.choice(mirrors)
            one.kill()
            time.sleep(chance.uniform(0, 1))
            one.start()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(DEADLINE)


@pytest.mark.parametrize("journals", [1, 2])
def test_who_moves_while_mirrors_are_killed_has_every_message_once_and_in_order(
    thorough: bool, tmp_path: Path, journals: int
) -> None:
    """`journals`: how many of the mirrors have one."""
    if journals == 2 and not thorough:
        pytest.skip("with --thorough")
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Relay() as centre:
        first = Killed(centre.subscribe_port, *journal(tmp_path / "first"))
        second = Killed(first.port, *(journal(tmp_path / "second") if journals == 2 else ()))
        ports = (centre.subscribe_port, first.port, second.port)
        try:
            subscriber = ResumingSubscriber(ports[0], position(ports[0]), patience=PATIENCE)
            with PacedFlood(centre.publish_port, RATE) as flood:
                with killing([first, second], random.Random(seed + 1)):
                    for _ in range(1000 if thorough else 40):
                        subscriber.move(chance.choice(ports))
                        stay = within_time(subscriber, len(subscriber.messages) + chance.randrange(200))
                        subscriber.ends[subscriber.connect_once(stay)] += 1
                count = flood.stop()
            subscriber.move(second.port)
            subscriber.run(within(DEADLINE, lambda: len(subscriber.messages) >= count))
            check_messages(subscriber, count)
            assert not subscriber.lost
            print(f"{count:,} messages; {first.kills} and {second.kills} kills; {subscriber.ends}")
            assert first.kills + second.kills and subscriber.ends["done"]
        finally:
            for one in (first, second):
                one.kill()


def journal(folder: Path) -> tuple[str, ...]:
    folder.mkdir()
    return "--journal", str(folder), "--journal-size", "64MiB"


def within_time(subscriber: ResumingSubscriber, enough: int) -> partial[bool]:
    """Whether it has so many messages, or was there for a second."""
    until = time.monotonic() + 1

    def stays(until: float) -> bool:
        return len(subscriber.messages) >= enough or time.monotonic() > until

    return partial(stays, until)
