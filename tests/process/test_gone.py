"""Who has left a Unix socket is gone, also while nothing is published that would find it out."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, Relay

MOST = 5
DEBUG = ("--log-level", "debug")
"""So that the log tells of the end of a connection that came and went without a word."""


def test_probes_of_a_unix_socket_do_not_lock_publishers_out(tmp_path: Path) -> None:
    path = str(tmp_path / "subscribe")
    with Relay("--subscribe", f"unix:{path}", "--max-connections", str(MOST), *DEBUG) as relay:
        for number in range(1, MOST + 1):
            with closing(socket.socket(socket.AF_UNIX)) as probe:
                probe.connect(path)
                relay.log.wait_for("subscriber .* connected", number)
        relay.log.wait_for("subscriber .* disconnected: peer closed", MOST)
        with socket.create_connection(("127.0.0.1", relay.publish_port), DEADLINE) as publisher:
            publisher.sendall(frame(b"one"))
            publisher.shutdown(socket.SHUT_WR)
            relay.log.wait_for("publisher .* disconnected: peer closed, 1 messages")


def test_a_closed_tcp_subscriber_is_noticed_when_its_kernel_has_forgotten_it_though_nothing_is_published() -> None:
    with Relay("--keepalive", "0", *DEBUG) as relay:
        with closing(socket.create_connection(("127.0.0.1", relay.subscribe_port), DEADLINE)) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)  # seconds that the kernel remembers it
            relay.log.wait_for("subscriber .* connected")
        relay.log.wait_for("subscriber .* disconnected: connection lost")


def test_who_reads_steadily_as_much_as_a_receive_buffer_in_the_stall_timeout_is_not_stalled(thorough: bool) -> None:
    """The rule of "Slow but steady readers" in docs/operations.md. Thoroughly: 1 kB/s, with the default timeout."""
    timeout = 180 if thorough else 4.5
    rate = 1000 if thorough else 1.3 * 128 * 1024 / timeout
    with (
        Relay("--stall-timeout", str(timeout)) as relay,
        socket.create_connection(("127.0.0.1", relay.subscribe_port), DEADLINE) as steady,
        socket.create_connection(("127.0.0.1", relay.subscribe_port), DEADLINE),
    ):
        relay.log.wait_for("subscriber .* connected", 2)
        with socket.create_connection(("127.0.0.1", relay.publish_port), DEADLINE) as publisher:
            publisher.sendall(frame(bytes(90_000)) * 200)
            publisher.shutdown(socket.SHUT_WR)
            assert publisher.recv(1) == b""
        begin, read = time.monotonic(), 0
        while (passed := time.monotonic() - begin) < 2.5 * timeout:
            if (due := int(rate * passed) - read) > 0:  # also what was missed while others had the processor
                read += len(steady.recv(due))
            time.sleep(0.02)
        relay.log.wait_for("subscriber .* disconnected: stalled")
        [cut] = relay.log.find(r"subscriber 127\.0\.0\.1:(\d+) disconnected")
        assert int(cut[1]) != steady.getsockname()[1]


def test_who_has_closed_its_half_only_lives_on(tmp_path: Path) -> None:
    path = str(tmp_path / "subscribe")
    with Relay("--subscribe", f"unix:{path}", *DEBUG) as relay, closing(socket.socket(socket.AF_UNIX)) as half:
        half.settimeout(DEADLINE)
        half.connect(path)
        half.shutdown(socket.SHUT_WR)
        with closing(socket.socket(socket.AF_UNIX)) as left:
            left.connect(path)
            relay.log.wait_for("subscriber .* connected", 2)
        relay.log.wait_for("subscriber .* disconnected: peer closed")  # so there was a sweep since the half was closed
        with socket.create_connection(("127.0.0.1", relay.publish_port), DEADLINE) as publisher:
            publisher.sendall(frame(b"one"))
            assert half.recv(100) == frame(b"one")
