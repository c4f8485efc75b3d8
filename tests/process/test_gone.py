"""Who has left a Unix socket is gone, also while nothing is published that would find it out."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, Relay

MOST = 5


def test_probes_of_a_unix_socket_do_not_lock_publishers_out(tmp_path: Path) -> None:
    path = str(tmp_path / "subscribe")
    with Relay("--subscribe", f"unix:{path}", "--max-connections", str(MOST)) as relay:
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
    with Relay("--keepalive", "0") as relay:
        with closing(socket.create_connection(("127.0.0.1", relay.subscribe_port), DEADLINE)) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1)  # seconds that the kernel remembers it
            relay.log.wait_for("subscriber .* connected")
        relay.log.wait_for("subscriber .* disconnected: connection lost")


def test_who_has_closed_its_half_only_lives_on(tmp_path: Path) -> None:
    path = str(tmp_path / "subscribe")
    with Relay("--subscribe", f"unix:{path}") as relay, closing(socket.socket(socket.AF_UNIX)) as half:
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
