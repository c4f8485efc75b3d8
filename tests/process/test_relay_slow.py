"""A running relay's buffer: what a new subscriber is given of it, and what becomes of slow ones."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kit.fakes import frame
from tests.kit.healthy import memory
from tests.kit.peers import connection, receive, receive_all, subscribers
from tests.kit.process import DEADLINE, Relay


def test_a_new_subscriber_starts_with_what_replay_says() -> None:
    with Relay("--replay", "2") as relay, connection(relay.publish_port) as publisher:
        with subscribers(relay) as [early]:
            publisher.sendall(frame(b"one") + frame(b"two") + frame(b"three"))
            receive(early, 7 + 7 + 9)
        with subscribers(relay) as [late]:
            assert receive(late, 16) == frame(b"two") + frame(b"three")


def publish_in_step(publisher: socket.socket, healthy: socket.socket, message: bytes, count: int) -> None:
    """Publish no faster than a healthy subscriber reads, and see to it that it gets every message."""
    many = frame(message) * 64
    for _ in range(count // 64):
        publisher.sendall(many)
        assert receive(healthy, len(many)) == many


def test_one_that_overruns_is_disconnected_and_nobody_waits_for_it() -> None:
    message, count = b"x" * 1020, 20 * 1024  # 20 MiB, and a buffer of 1
    with (
        Relay("--buffer", "1MiB") as relay,
        subscribers(relay, 2) as [healthy, stuck],
        connection(relay.publish_port) as publisher,
    ):
        publish_in_step(publisher, healthy, message, count)
        behind = relay.log.wait_for(r"disconnected: overrun, .*; it was [\d,]+ messages, [\d,]+ bytes, [\d.]+ s behind")
        assert "#warn]" in behind.string
        got = receive_all(stuck)
        assert got == (frame(message) * count)[: len(got)]


def test_one_that_skips_goes_on_at_a_message_and_its_gap_is_exact() -> None:
    message, count = b"x" * 1020, 20 * 1024
    with (
        Relay("--buffer", "1MiB", "--slow", "skip") as relay,
        subscribers(relay, 2) as [healthy, slow],
        connection(relay.publish_port) as publisher,
    ):
        publish_in_step(publisher, healthy, message, count)
        publisher.sendall(frame(b"the end"))
        got = bytearray()
        while not got.endswith(frame(b"the end")):
            got += slow.recv(2**20)
        received = len(got) // 1024
        assert got == frame(message) * received + frame(b"the end")
        slow.close()
        while not relay.log.find("subscriber .* disconnected"):
            publisher.sendall(frame(b"for nobody"))
        end = relay.log.wait_for(r"disconnected: .*, ([\d,]+) messages, [\d,]+ bytes, ([\d,]+) messages skipped")
        messages, skipped = (int(number.replace(",", "")) for number in end.groups())
        assert messages > received
        assert skipped == count - received
        gaps = relay.log.find(r"skipped ([\d,]+) messages, [\d,]+ bytes: it was")
        assert sum(int(gap[1].replace(",", "")) for gap in gaps) == skipped


def test_block_loses_nothing_and_publishers_wait() -> None:
    message, count = b"x" * 1020, 20 * 1024
    with (
        Relay("--buffer", "1MiB", "--slow", "block") as relay,
        subscribers(relay, 2) as [slow, quick],
        connection(relay.publish_port) as publisher,
        ThreadPoolExecutor() as pool,
    ):
        publishing = pool.submit(publisher.sendall, frame(message) * count)
        relay.log.wait_for("publishers wait: the slowest subscriber is .* behind")
        reading = pool.submit(receive, quick, count * 1024)
        assert receive(slow, count * 1024) == frame(message) * count
        assert reading.result(DEADLINE) == frame(message) * count
        publishing.result(DEADLINE)
        relay.log.wait_for("publishers go on")


def test_a_dead_subscriber_holds_blocked_publishers_for_the_stall_timeout_only() -> None:
    message, count = b"x" * 1020, 20 * 1024
    with Relay("--buffer", "1MiB", "--slow", "block", "--stall-timeout", "1") as relay:
        with subscribers(relay, 2) as [healthy, _], connection(relay.publish_port) as publisher:
            publish_in_step(publisher, healthy, message, count)
        relay.log.wait_for("disconnected: stalled")
        assert len(relay.log.find("disconnected: stalled")) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, which Linux has")
def test_a_message_a_turn_stays_within_the_buffer_as_surely_as_a_flood() -> None:
    """`raw` with a limit of 64 bytes reads one message of 64 bytes a turn, as fast as the relay can: the batches are
    as small as they get, and there are four times as many as the buffer can hold."""
    buffer = 16 * 2**20
    count = 4 * buffer // 600
    with (
        Relay("--framing", "raw", "--max-message", "64", "--buffer", f"{buffer}") as relay,
        subscribers(relay, 2) as [healthy, _],
        connection(relay.publish_port) as publisher,
        ThreadPoolExecutor() as pool,
    ):
        before = memory(relay.pid, "VmRSS")
        publishing = pool.submit(publisher.sendall, b"x" * 64 * count)
        receive(healthy, 64 * count)
        publishing.result(DEADLINE)
        peak = memory(relay.pid, "VmHWM")
    assert peak < buffer + 60 * 10**6, f"{peak:,} bytes, {before:,} before"
