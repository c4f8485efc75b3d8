"""TLS as a transport, through endpoints of Twisted's own (`ssl:`): the same messages, and none to be seen."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from struct import pack
from typing import BinaryIO

import pytest

from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.healthy import HEADER, MARK, Healthy, others
from tests.kit.peers import connection, receive_all
from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Proxy

pytestmark = pytest.mark.alone

SECRET = b"nobody on the way may read this"


class TlsRelay(Relay):
    """A relay with a second port for each role, which speaks TLS."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        file = authority.issue()
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={file}:certKey={file}"
        super().__init__("--publish", endpoint, "--subscribe", endpoint)
        self.context = authority.client()
        self.tls_publish_port, self.tls_subscribe_port = (
            int(self.log.wait_for(rf"{role} on 127\.0\.0\.1:(\d+)", 2)[1]) for role in ("publishers", "subscribers")
        )

    @contextmanager
    def connect(self, port: int) -> Iterator[ssl.SSLSocket]:
        """Connect over TLS to that port, or to what is behind it."""
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
        ):
            yield peer

    def __enter__(self) -> TlsRelay:
        return self


def attached(peer: socket.socket) -> BinaryIO:
    """What a subscriber receives, once it has received the first message of the healthy publisher."""
    stream = peer.makefile("rb")
    (length,) = HEADER.unpack(stream.read(HEADER.size))
    assert stream.read(length).startswith(MARK)
    return stream


def read(stream: BinaryIO, count: int) -> list[bytes]:
    """So many messages that are not the healthy publisher's."""
    return list(islice(others(stream), count))


def test_tens_of_thousands_of_messages_arrive_whole_and_in_order_through_both_doors(tmp_path: Path) -> None:
    sizes = random.Random(1)
    messages = [b"%d:" % number + b"x" * sizes.choice([0, 50, sizes.randrange(3000)]) for number in range(20_000)]
    messages[::150] = [message + b"y" * sizes.randrange(90_000) for message in messages[::150]]
    data = b"".join(map(frame, messages))
    with (
        TlsRelay(tmp_path) as relay,
        Healthy(relay),
        relay.connect(relay.tls_subscribe_port) as secure,
        connection(relay.subscribe_port) as plain,
        ThreadPoolExecutor() as pool,
    ):
        received = [pool.submit(read, attached(peer), len(messages)) for peer in (secure, plain)]
        with relay.connect(relay.tls_publish_port) as publisher:
            at = 0
            while at < len(data):
                size = sizes.choice([1, 100, 20_000, 200_000])
                publisher.sendall(data[at : at + size])
                at += size
            publisher.unwrap()
        for each in received:
            assert each.result(DEADLINE) == messages
        relay.log.wait_for(f"publisher .* disconnected: .*, {len(messages):,} messages, {len(data):,} bytes$")


def test_nothing_of_a_message_can_be_read_on_the_way(tmp_path: Path) -> None:
    seen = bytearray()
    with (
        TlsRelay(tmp_path) as relay,
        Healthy(relay),
        Proxy(relay.tls_subscribe_port, tap=seen.extend) as before_subscriber,
        Proxy(relay.tls_publish_port, tap=seen.extend) as before_publisher,
        Proxy(relay.publish_port, tap=seen.extend) as in_the_open,
        relay.connect(before_subscriber.port) as subscriber,
        relay.connect(before_publisher.port) as publisher,
    ):
        stream = attached(subscriber)
        publisher.sendall(frame(SECRET) * 1000)
        assert read(stream, 1000) == [SECRET] * 1000
        assert len(seen) > 2 * 1000 * len(SECRET)
        assert MARK not in seen
        for at in range(len(SECRET) - 8):
            assert SECRET[at : at + 8] not in seen
        with connection(in_the_open.port) as careless:
            careless.sendall(frame(SECRET))
            relay.log.wait_for("publisher .* connected", 3)
            careless.shutdown(socket.SHUT_WR)
            assert receive_all(careless) == b""
        assert SECRET in seen, "what is sent in the open should be seen"


@pytest.mark.parametrize("apart", [False, True])
def test_good_messages_after_a_bad_header_are_not_delivered(tmp_path: Path, apart: bool) -> None:
    """Over TLS bytes still come after the relay has decided to cut the connection."""
    good, bad = [b"good %d" % number for number in range(1000)], pack("!I", 0xFFFFFFFF)
    data = b"".join(map(frame, good))
    parts = [data, bad, data * 10]
    with (
        TlsRelay(tmp_path) as relay,
        Healthy(relay),
        connection(relay.subscribe_port) as subscriber,
        connection(relay.publish_port) as after,
        relay.connect(relay.tls_publish_port) as publisher,
    ):
        stream = attached(subscriber)
        try:
            for part in parts if apart else [b"".join(parts)]:
                publisher.sendall(part)
            assert publisher.recv(1) == b""
        except (OSError, ssl.SSLError):
            pass  # it was cut, sooner or later
        relay.log.wait_for("publisher .* disconnected: message too long, 1,000 messages")
        after.sendall(frame(b"after"))
        assert read(stream, 1001) == [*good, b"after"]


def test_a_subscriber_over_tls_that_never_reads_delays_nobody(tmp_path: Path) -> None:
    with (
        TlsRelay(tmp_path) as relay,
        Healthy(relay),
        relay.connect(relay.tls_subscribe_port) as stuck,
        connection(relay.publish_port) as publisher,
    ):
        attached(stuck)
        for _ in range(3200):
            publisher.sendall(frame(b"x" * 2**15))  # 100 MiB, more than the buffer
        relay.log.wait_for("subscriber .* disconnected: overrun")
