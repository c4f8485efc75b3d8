"""Crowds that ask for something else than messages, all at once, beside a healthy pair: they wait, messages do not."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.frames import PONG

from tests.kit import key_updates
from tests.kit.blast import blast
from tests.kit.certificates import Authority
from tests.kit.crowd import Beside, Crowd, needs_descriptors
from tests.kit.frames import legal
from tests.kit.healthy import descriptors, memory, processor_time
from tests.kit.process import DEADLINE, Relay, start_program, wait_until
from tests.kit.web import relay

pytestmark = pytest.mark.alone

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


@contextmanager
def accepted(running: Relay, connections: int) -> Iterator[None]:
    """So many connections are not only made, but accepted."""
    wait_until(lambda: descriptors(running.pid) > connections, f"{connections:,} connections")
    yield


def hello() -> bytes:
    """What a TLS client sends first."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_websocket_peers_that_send_as_many_frames_as_they_may_delay_nobody(tmp_path: Path, thorough: bool) -> None:
    small = legal(PONG) * 1200
    for peers in (20, 400) if thorough else (400,):
        with relay() as (running, port), Beside(running):
            assert blast(port, peers, UPGRADE + small, tmp_path, stays=2).answered == peers


def test_a_crowd_that_asks_for_what_is_costly_with_thousands_of_connections_delays_nobody(
    tmp_path: Path, thorough: bool
) -> None:
    subscribers, publishers = (500, 4500) if thorough else (200, 1800)
    needs_descriptors(subscribers + publishers + 1000)
    with (
        relay() as (running, port),
        Crowd(running.subscribe_port, subscribers),
        Crowd(running.publish_port, publishers),
        accepted(running, subscribers + publishers),
        Beside(running),
    ):
        for path, crowd in (("/metrics", 10), ("/connections", 200 if thorough else 50), ("/status", 400)):
            assert blast(port, crowd, get(path), tmp_path).answered == crowd


@pytest.mark.skipif(not key_updates.available, reason="there is no OpenSSL library to be called")
def test_tls_peers_that_ask_for_new_keys_all_the_time_cost_little_and_delay_nobody(
    authority: Authority, thorough: bool
) -> None:
    each = 50 if thorough else 10
    certificate = str(authority.issue("localhost"))
    on = "tcp:0:interface=127.0.0.1"
    with Relay("--publish-tls", on, "--subscribe-tls", on, "--certificate", certificate) as running, Beside(running):
        ports = [match[1] for match in running.log.find(r"with TLS on 127\.0\.0\.1:(\d+)")]
        used, begun = processor_time(running.pid), time.monotonic()
        peers = [start_program("tests.kit.key_updates", port, 10**9, each) for port in ports]
        time.sleep(10 if thorough else 3)  # what must not happen is measured while it would
        share = (processor_time(running.pid) - used) / (time.monotonic() - begun)
        assert share < 0.1 + 0.02 * each * len(ports), f"{share:.2f} of a core"
        for peer in peers:
            peer.process.kill()
            peer.wait_for_end()


def test_tls_peers_that_begin_their_handshakes_at_once_and_never_end_them_delay_nobody(
    tmp_path: Path, authority: Authority, thorough: bool
) -> None:
    options = ("--certificate", str(authority.issue("localhost")), "--tls-timeout", "1")
    for peers in (1000, 2000) if thorough else (1000,):
        needs_descriptors(peers + 500)
        with Relay("--publish-tls", "tcp:0:interface=127.0.0.1", *options) as running, Beside(running):
            port = int(running.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
            before = memory(running.pid, "VmRSS")
            assert blast(port, peers, hello(), tmp_path, stays=DEADLINE).answered == peers
            wait_until(lambda: memory(running.pid, "VmRSS") < before + 30_000 * peers, "memory comes back")  # noqa: B023
