"""Subscribers that are far behind a relay with a journal: they get everything, and nobody else notices."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.kit.crowd import Crowd
from tests.kit.flood import MIB, flood, numbers
from tests.kit.healthy import Healthy
from tests.kit.peers import connection, wait_until_attached
from tests.kit.process import DEADLINE, Relay, wait_until

pytestmark = pytest.mark.alone

BUFFER = 8 * MIB
SIZE = 64 * 1024
"""Bytes of a message."""
RATE = 100e6
"""Bytes a second of the flood: what the healthy subscriber, a program in Python, can read without falling behind."""


@contextmanager
def relay_with(folder: Path) -> Iterator[Relay]:
    """A relay with a journal that has opened all the files that it has open when it runs."""
    options = ("--journal-size", "8GiB", "--buffer", str(BUFFER), "--stall-timeout", "0")
    with Relay("--journal", str(folder), *options) as relay:
        flood(relay.publish_port, SIZE)
        wait_until(lambda: len(list(folder.glob("*.journal"))) == 2, "a spare segment")
        yield relay


def test_one_that_did_not_read_for_long_gets_everything_beside_a_hundred_others(tmp_path: Path, thorough: bool) -> None:
    total = 4096 * MIB if thorough else 256 * MIB
    with (
        relay_with(tmp_path) as relay,
        Healthy(relay, buffer=BUFFER),
        connection(relay.subscribe_port) as slow,
    ):
        wait_until_attached([slow])
        count = flood(relay.publish_port, total, rate=RATE)
        with Crowd(relay.subscribe_port, 100):
            begin = time.monotonic()
            count_to(slow, 0, count - 1)
            print(f"{total / (time.monotonic() - begin) / 1e6:,.0f} MB/s")


def test_many_at_different_places_get_everything_at_once(tmp_path: Path, thorough: bool) -> None:
    """Each begins a little later in the flood, and reads from there on when it is over.

    So they read half of it each, which is 200 GiB together with `--thorough`: five minutes.
    """
    laggards, total = (100, 4096 * MIB) if thorough else (20, 64 * MIB)
    part = total // laggards
    with relay_with(tmp_path) as relay, ExitStack() as stack:
        stack.enter_context(Healthy(relay, buffer=BUFFER))
        peers: list[tuple[socket.socket, int]] = []
        for number in range(laggards):
            peer = stack.enter_context(connection(relay.subscribe_port))
            wait_until_attached([peer])
            peers.append((peer, number))
            flood(relay.publish_port, part, rate=RATE, first=number * (part // SIZE))
        last = laggards * (part // SIZE) - 1
        with ThreadPoolExecutor(laggards) as pool:
            readings = [pool.submit(count_to, peer, number * (part // SIZE), last) for peer, number in peers]
            for reading in readings:
                reading.result(60 * DEADLINE if thorough else DEADLINE)


def count_to(peer: socket.socket, first: int, last: int) -> None:
    """Read the messages of the flood from `first` to `last`, and be sure that there is no other."""
    wanted = first
    for number in numbers(peer):
        assert number == wanted, f"message {number} where {wanted} should be"
        wanted += 1
        if number == last:
            return
    raise AssertionError(f"the stream ended before message {wanted}")
