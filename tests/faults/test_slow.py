"""The three slow policies under load, with a reader that is slow and not stuck, beside the healthy two."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from struct import unpack_from

import pytest

from tests.kit.flood import MIB, complete, flood, numbered, read_to
from tests.kit.healthy import MARK, STAMP, Healthy
from tests.kit.peers import connection, receive_all, wait_until_attached
from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Fault, Proxy
from tests.kit.resets import reset

pytestmark = pytest.mark.alone

# Buffers have room for what a flood makes up for after the machine has stopped the relay for some tenths of a second:
# that comes faster than the healthy subscriber, a program in Python, reads it.


def test_disconnect_ends_a_slow_reader_after_whole_messages_in_order() -> None:
    with (
        Relay("--buffer", "8MiB") as relay,
        Healthy(relay, buffer=8 * MIB),
        Proxy(relay.subscribe_port, down=Fault(rate=2e6)) as proxy,
        connection(proxy.port) as slow,
        ThreadPoolExecutor() as pool,
    ):
        wait_until_attached([slow])
        reading = pool.submit(receive_all, slow)
        flood(relay.publish_port, 32 * MIB, size=1000, rate=20e6)
        relay.log.wait_for(r"disconnected: overrun, .*; it was [\d,]+ messages, [\d,]+ bytes, [\d.]+ s behind")
        received = reading.result(DEADLINE)
    got = [message for message in complete(received) if not message.startswith(MARK)]
    assert got
    assert got == [numbered(number, 1000) for number in range(len(got))]


def test_skip_keeps_a_slow_reader_connected_and_counts_exactly_what_it_did_not_get() -> None:
    size = 1000
    with (
        Relay("--buffer", "8MiB", "--slow", "skip") as relay,
        Healthy(relay, buffer=8 * MIB) as healthy,
        Proxy(relay.subscribe_port, down=Fault(rate=2e6)) as proxy,
        connection(proxy.port) as slow,
        ThreadPoolExecutor() as pool,
    ):
        wait_until_attached([slow])
        reading = pool.submit(read_all_kinds, slow)
        count = flood(relay.publish_port, 32 * MIB, size=size, rate=20e6)
        sent = healthy.stop().sent
        flooded, beats = reading.result(DEADLINE)
        reset(slow)
        skipped = relay.log.wait_for(r"subscriber .* disconnected: .* bytes, ([\d,]+) messages skipped")[1]
    assert flooded == sorted(set(flooded)) and beats == sorted(set(beats))
    assert len(flooded) < count
    lost = count - len(flooded) + sent - (beats[0] - 1) - len(beats)
    assert int(skipped.replace(",", "")) == lost


def read_all_kinds(peer: socket.socket) -> tuple[list[int], list[int]]:
    """The numbers of the flood's messages and of the healthy publisher's that are received until its last."""
    flooded, beats = [], []
    with peer.makefile("rb") as stream:
        while header := stream.read(4):
            message = stream.read(unpack_from("!I", header)[0])
            if not message.startswith(MARK):
                flooded.append(unpack_from("!Q", message)[0])
                assert message == numbered(flooded[-1], len(message))
                continue
            number, _ = STAMP.unpack_from(message, len(MARK))
            if number == 2**63:
                break
            if number:
                beats.append(number)
    return flooded, beats


def test_block_loses_nothing_for_a_slow_reader_and_all_wait_for_it() -> None:
    with (
        Relay("--buffer", "2MiB", "--slow", "block") as relay,
        Healthy(relay, buffer=2 * MIB, p99=DEADLINE),
        Proxy(relay.subscribe_port, down=Fault(rate=10e6)) as proxy,
        connection(proxy.port) as slow,
        ThreadPoolExecutor() as pool,
    ):
        wait_until_attached([slow])
        reading = pool.submit(read_to, slow, 32 * MIB // 1000 - 1, 1000)
        begin = time.monotonic()
        count = flood(relay.publish_port, 32 * MIB, size=1000)
        assert time.monotonic() - begin > 2, "it did not wait"
        assert reading.result(DEADLINE) == list(range(count))
        relay.log.wait_for("publishers wait: the slowest subscriber is .* behind")
        relay.log.wait_for("publishers go on")
