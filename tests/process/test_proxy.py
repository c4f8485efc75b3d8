"""Each fault of the proxy does what it says, and nothing else."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from struct import unpack_from

import pytest

from tests.kit.process import DEADLINE
from tests.kit.proxy import HELD, NONE, Fault, Proxy
from tests.kit.resets import reset

BLOB = random.Random(1).randbytes(3_000_000)


@contextmanager
def through(up: Fault = NONE, down: Fault = NONE) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A peer and a server, connected through a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Proxy(listener.getsockname()[1], up, down) as proxy:
        listener.settimeout(DEADLINE)
        with socket.create_connection(("127.0.0.1", proxy.port), DEADLINE) as peer:
            server, _ = listener.accept()
            server.settimeout(DEADLINE)
            with server:
                yield peer, server


def read(end: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := end.recv(size - len(data))):
        data += part
    return bytes(data)


def came_in(end: socket.socket) -> int:
    """How many segments with data a socket was sent, however few reads it took: `tcpi_data_segs_in` of linux/tcp.h."""
    (count,) = unpack_from("=I", end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 140)
    assert isinstance(count, int)
    return count


def is_silent(end: socket.socket, seconds: float = 0.2) -> bool:
    """Whether nothing comes for so long, neither bytes nor an end."""
    end.settimeout(seconds)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    return False


def test_without_a_fault_bytes_and_both_ends_of_stream_are_passed_on() -> None:
    with through() as (peer, server):
        for sender, receiver in ((peer, server), (server, peer)):
            sender.sendall(BLOB[:HELD])
            sender.shutdown(socket.SHUT_WR)
            assert read(receiver, HELD + 1) == BLOB[:HELD]


def test_a_reset_is_passed_on_as_a_reset() -> None:
    with through() as (peer, server):
        peer.sendall(b"x")
        assert read(server, 1) == b"x"
        reset(peer)
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_many_connections_are_kept_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Proxy(listener.getsockname()[1]) as proxy:
        for number in range(20):
            with socket.create_connection(("127.0.0.1", proxy.port), DEADLINE) as peer:
                peer.sendall(b"%d" % number)
                peer.shutdown(socket.SHUT_WR)
                server, _ = listener.accept()
                with server:
                    assert read(server, 9) == b"%d" % number


@pytest.mark.alone
def test_a_delay_is_that_of_every_byte_and_keeps_the_order() -> None:
    with through(up=Fault(delay=0.3)) as (peer, server):
        for data in (BLOB[:1000], BLOB[1000:2000]):
            begin = time.monotonic()
            peer.sendall(data)
            assert read(server, 1000) == data
            assert time.monotonic() - begin >= 0.3
        begin = time.monotonic()
        server.sendall(b"x")
        assert read(peer, 1) == b"x"
        assert time.monotonic() - begin < 0.3, "the other direction has no delay"


@pytest.mark.alone
def test_a_rate_is_kept_to_and_felt_by_the_sender() -> None:
    rate = 1_000_000
    with through(down=Fault(rate=rate)) as (peer, server):
        begin = time.monotonic()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # its kernel holds what is not passed on, some MB
            for _ in range(10):
                server.send(BLOB)
        read(peer, rate // 2)
        assert 0.4 < time.monotonic() - begin < 5


def test_slices_are_passed_on_one_at_a_time() -> None:
    with through(up=Fault(slice=3, rate=600)) as (peer, server):
        peer.sendall(BLOB[:100])
        peer.shutdown(socket.SHUT_WR)
        assert read(server, 101) == BLOB[:100]
        assert came_in(server) >= 34


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_a_cut_is_an_orderly_end_after_so_many_bytes(count: int) -> None:
    with through(up=Fault(cut=count)) as (peer, server):
        peer.sendall(BLOB[:200_000])
        assert read(server, 200_000) == BLOB[:count]
        server.sendall(b"still here")
        assert read(peer, 10) == b"still here"


@pytest.mark.parametrize("count", [0, 1, 50_000])
def test_a_reset_after_so_many_bytes_is_one_for_both_sides(count: int) -> None:
    with through(up=Fault(reset=count)) as (peer, server):
        peer.sendall(BLOB[:50_000] + b"x")
        assert count == 0 or read(server, count) == BLOB[:count]
        for end in (server, peer):
            with pytest.raises(ConnectionResetError):
                end.recv(1)


def test_a_black_hole_passes_nothing_on_and_closes_nothing() -> None:
    with through(up=Fault(hole=1000)) as (peer, server):
        peer.sendall(BLOB[:2000])
        assert read(server, 1000) == BLOB[:1000]
        peer.close()
        assert is_silent(server)


def test_a_proxy_that_vanishes_is_a_black_hole_for_everybody() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Proxy(listener.getsockname()[1]) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), DEADLINE) as peer,
    ):
        server, _ = listener.accept()
        with server:
            peer.sendall(b"x")
            assert read(server, 1) == b"x"
            proxy.vanish()
            server.sendall(b"y")
            peer.sendall(b"x")
            assert is_silent(peer)
            reset(server)
            assert is_silent(peer)
