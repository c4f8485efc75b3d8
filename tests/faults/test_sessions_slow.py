"""Subscribers with sessions that do not read until the buffer has gone over them: they are told what it cost."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from struct import pack

import pytest

from tests.kit.peers import connection, receive
from tests.kit.process import DEADLINE, Lines, Relay, wait_until
from tests.kit.session_peers import PacedFlood, ResumingSubscriber, check_messages, position, within

pytestmark = pytest.mark.alone  # what fits into the buffer in time depends on the rate that is reached

RATE = 40_000
"""Messages a second, some 4 MB."""
ASLEEP = 60_000
"""Messages that go by while the subscriber does not read: several times the buffer."""
AWAKE = 20_000
"""Messages that it gets before it stops reading again: more than the kernels hold, so that it has caught up."""
NAPS = 3
ROOM = 32 * 1024
"""Bytes that its kernel takes while it does not read."""


class Naps:
    """Keeps a subscriber from reading `NAPS` times, when it asks whether it is done, and then has the flood end.

    It is done when it has everything: who leaves in a flood has lost something when it comes back.
    """

    def __init__(self, subscriber: ResumingSubscriber, flood: PacedFlood) -> None:
        self._subscriber = subscriber
        self._flood = flood
        self._at = subscriber.next + 100  # number of the message that makes it stop reading
        self._left = NAPS
        self._count: int | None = None  # of all messages, when the flood has ended

    def __call__(self) -> bool:
        if self._subscriber.next < self._at:
            return False
        if self._left:
            self._left -= 1
            self._at = self._subscriber.next + AWAKE
            wake = self._flood.count + ASLEEP
            wait_until(lambda: self._flood.count >= wake, "the flood goes by")
            return False
        if self._count is None:
            self._count = self._flood.stop()
        return self._subscriber.next > self._count


def doze(slow: str) -> tuple[ResumingSubscriber, Lines]:
    """Have a subscriber stop reading `NAPS` times; returns it, and the relay's log."""
    with Relay("--buffer", "1MiB", "--slow", slow) as relay:
        subscriber = ResumingSubscriber(
            relay.subscribe_port, position(relay.subscribe_port), patience=DEADLINE, room=ROOM
        )
        with PacedFlood(relay.publish_port, RATE) as flood:
            subscriber.run(within(2 * DEADLINE, Naps(subscriber, flood)))
    check_messages(subscriber, flood.count)
    print(subscriber.ends, subscriber.lost)
    return subscriber, relay.log


def test_with_skip_gap_frames_say_exactly_what_is_missing_and_the_connection_stays() -> None:
    subscriber, log = doze("skip")
    assert subscriber.gaps == len(subscriber.lost) >= NAPS  # a busy machine takes naps of its own
    assert subscriber.ends == {"done": 1}
    skipped = log.wait_for(r"disconnected: .* bytes, ([\d,]+) messages skipped")[1]
    assert int(skipped.replace(",", "")) == sum(map(len, subscriber.lost))


def test_with_disconnect_the_connection_ends_and_who_resumes_is_told_exactly_what_is_lost() -> None:
    subscriber, log = doze("disconnect")
    assert subscriber.gaps == 0
    assert len(subscriber.lost) == len(log.find("disconnected: overrun")) >= NAPS  # as above
    assert sum(subscriber.ends.values()) - subscriber.ends["done"] == len(subscriber.lost)
    assert {bye["reason"] for bye in subscriber.byes} <= {"overrun"}


def test_messages_longer_than_the_history_of_a_flood_reach_everybody() -> None:
    large, small, seconds = 2_000_000, 90_000, 3.0
    pieces = [pack("!I", size) + bytes(size) for size in (large, small, small, small)]

    def read_all(peer: socket.socket) -> int:
        """Read pieces until the last, a message without bytes; returns how often all have come."""
        for rounds in count():
            if receive(peer, 4) == bytes(4):
                return rounds
            assert receive(peer, sum(map(len, pieces)) - 4) == b"".join(pieces)[4:]
        raise AssertionError

    with (
        Relay("--max-message", "2000000") as relay,
        connection(relay.subscribe_port) as silent,
        connection(relay.publish_port) as publisher,
        ThreadPoolExecutor() as pool,
    ):
        relay.log.wait_for("subscriber .* connected")
        position(relay.subscribe_port)  # from now on history is kept, and in the flood only a little
        reading = pool.submit(read_all, silent)
        end, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            publisher.sendall(b"".join(pieces))
            rounds += 1
            time.sleep(0.02)  # some 100 MB a second: the subscriber keeps up
        publisher.sendall(bytes(4))
        assert reading.result(DEADLINE) == rounds
    assert "Traceback" not in relay.log.text
