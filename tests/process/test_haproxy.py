"""Ports that expect the PROXY protocol: how far Twisted's implementation of it goes, and who decides about access."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.peers import connection, ends, refused
from tests.kit.process import Relay

# The address that the proxy says its client has, and the one at which it says that it was reached.
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8001\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
    + bytes([192, 0, 2, 7, 198, 51, 100, 1])
    + (40000).to_bytes(2, "big")
    + (8001).to_bytes(2, "big")
)
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"  # the proxy itself, to see how we are


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay("--log-level", "debug", publish="haproxy:tcp:0", subscribe="haproxy:tcp:0") as relay:
        yield relay


@pytest.mark.parametrize(
    "header",
    [V1, b"PROXY UNKNOWN ::1 ::1 1 2\r\n", V2, LOCAL],
    ids=["version 1", "version 1, unknown", "version 2", "version 2, local"],
)
def test_the_header_is_taken_off_and_messages_are_what_comes_behind_it(relay: Relay, header: bytes) -> None:
    with connection(relay.subscribe_port) as subscriber, connection(relay.publish_port) as publisher:
        subscriber.sendall(header)
        relay.log.wait_for(f"subscriber 127.0.0.1:{subscriber.getsockname()[1]} connected")
        publisher.sendall(header + frame(b"first"))
        assert subscriber.recv(100) == frame(b"first")
        publisher.sendall(frame(b"second"))
        assert subscriber.recv(100) == frame(b"second")


def test_the_log_has_the_address_of_the_proxy_and_the_one_that_it_carries(relay: Relay) -> None:
    """But for the line that says that it connected: the header comes later."""
    with connection(relay.publish_port) as publisher:
        publisher.sendall(V1 + frame(b"message"))
        own = f"127.0.0.1:{publisher.getsockname()[1]}"
        publisher.shutdown(socket.SHUT_WR)
        relay.log.wait_for(rf"publisher {own} for 192\.0\.2\.7:\d+ disconnected: peer closed, 1 messages")


def test_what_begins_with_no_header_publishes_nothing(relay: Relay) -> None:
    with connection(relay.subscribe_port) as subscriber:
        relay.log.wait_for(f"subscriber 127.0.0.1:{subscriber.getsockname()[1]} connected")
        for said in (frame(b"forged message"), V1[:7], V2[:15], b"PROXY UNKNOWN\r\n"):
            with connection(relay.publish_port) as bare:
                bare.sendall(said)
                assert ends(bare)
        with connection(relay.publish_port) as publisher:
            publisher.sendall(V1 + frame(b"true"))
            assert subscriber.recv(100) == frame(b"true")


@pytest.mark.parametrize(("header", "least"), [(V1, 8), (V2, 16)], ids=["version 1", "version 2"])
def test_a_header_may_come_in_several_reads_if_the_first_is_long_enough(
    relay: Relay, header: bytes, least: int
) -> None:
    with connection(relay.subscribe_port) as subscriber, connection(relay.publish_port) as publisher:
        relay.log.wait_for(f"subscriber 127.0.0.1:{subscriber.getsockname()[1]} connected")
        publisher.sendall(header[:least])
        relay.log.wait_for(f"publisher 127.0.0.1:{publisher.getsockname()[1]} connected")
        publisher.sendall(header[least:])
        publisher.sendall(frame(b"message"))
        assert subscriber.recv(100) == frame(b"message")


def test_a_subscriber_that_closes_its_sending_half_is_disconnected(relay: Relay) -> None:
    """Without the PROXY protocol it would go on receiving."""
    with connection(relay.subscribe_port) as subscriber:
        subscriber.sendall(V1)
        subscriber.shutdown(socket.SHUT_WR)
        relay.log.wait_for(f"subscriber 127.0.0.1:{subscriber.getsockname()[1]} for .* disconnected: peer closed")
        assert ends(subscriber)


@pytest.mark.parametrize(
    ("allowed", "reason"),
    [("127.0.0.1", None), ("192.0.2.7", "address not allowed")],
    ids=["the proxy is allowed", "what it says is allowed"],
)
def test_access_is_decided_by_the_own_address_of_the_proxy(allowed: str, reason: str | None) -> None:
    with (
        Relay("--allow-publishers", allowed, publish="haproxy:tcp:0") as relay,
        connection(relay.subscribe_port) as receiver,
    ):
        relay.log.wait_for("subscriber .* connected")
        if reason is None:
            with connection(relay.publish_port) as publisher:
                publisher.sendall(V1 + frame(b"message"))
                assert receiver.recv(100) == frame(b"message")
        else:
            assert refused(relay.publish_port, says=V1 + frame(b"message"))
            relay.log.wait_for(f"publisher 127.0.0.1:.* refused: {reason}")


def test_the_limit_of_an_address_counts_the_proxys() -> None:
    with Relay("--max-per-address", "1", publish="haproxy:tcp:0") as relay, connection(relay.publish_port) as first:
        first.sendall(V1)
        relay.log.wait_for("publisher .* connected")
        assert refused(relay.publish_port, says=V1.replace(b"192.0.2.7", b"192.0.2.8"))
        relay.log.wait_for("refused: address limit")


def test_a_drain_gives_a_subscriber_the_rest_and_the_end_of_the_stream() -> None:
    messages = frame(bytes(90_000)) * 200
    with (
        Relay("--drain-timeout", "20", publish="haproxy:tcp:0", subscribe="haproxy:tcp:0") as relay,
        connection(relay.subscribe_port) as subscriber,
    ):
        subscriber.sendall(V1)
        relay.log.wait_for("subscriber .* connected")
        with connection(relay.publish_port) as publisher:
            publisher.sendall(V1 + messages)
            publisher.shutdown(socket.SHUT_WR)
            relay.log.wait_for("publisher .* disconnected: peer closed, 200 messages")
        relay.log.process.terminate()
        received = 0
        while data := subscriber.recv(2**20):
            received += len(data)
        assert received == len(messages)
        subscriber.close()
        assert relay.log.wait_for_end() == 0


def test_the_header_comes_before_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ("--publish-tls", "haproxy:tcp:0:interface=127.0.0.1", "--certificate", str(authority.issue()))
    with Relay(*tls) as relay, connection(relay.subscribe_port) as subscriber:
        port = int(relay.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        relay.log.wait_for("subscriber .* connected")
        with connection(port) as plain:
            plain.sendall(V1)
            with authority.client().wrap_socket(plain, server_hostname="localhost") as publisher:
                publisher.sendall(frame(b"message"))
                assert subscriber.recv(100) == frame(b"message")


def test_a_broken_header_is_no_traceback(relay: Relay) -> None:
    for header in (b"PROXY TCP4 192.0.2.7 198.51.100.1 x y\r\n", b"PROXY TCP4 \xff \xff 1 2\r\n"):
        with connection(relay.publish_port) as publisher:
            publisher.sendall(header)
            assert ends(publisher)
            relay.log.wait_for(f"publisher 127.0.0.1:{publisher.getsockname()[1]} disconnected")
    assert "Traceback" not in relay.log.text
