"""A flood of numbered messages, and what a subscriber reads of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from struct import pack, unpack_from

from tests.kit.fakes import frame
from tests.kit.healthy import others
from tests.kit.peers import connection

MIB = 2**20


def numbered(number: int, size: int) -> bytes:
    """A message that says which one it is."""
    return pack("!Q", number).ljust(size, b"f")


def flood(port: int, total: int, size: int = 64 * 1024, rate: float = 1e12, first: int = 0) -> int:
    """Publish numbered messages, `total` bytes of them; returns how many, once the relay has read them all.

    `rate` is in bytes a second; by default it is as fast as the relay reads. `first`: the number of the first message.
    """
    count = total // size
    with connection(port) as publisher:
        begin = time.monotonic()
        together = max(1, 64 * 1024 // size)
        for number in range(0, count, together):
            numbers = range(first + number, first + min(number + together, count))
            publisher.sendall(b"".join(frame(numbered(n, size)) for n in numbers))
            time.sleep(max(0.0, begin + number * size / rate - time.monotonic()))
        publisher.shutdown(socket.SHUT_WR)
        assert publisher.recv(1) == b""
    return count


def numbers(peer: socket.socket, size: int = 64 * 1024) -> Iterator[int]:
    """The numbers of the flood's messages that a subscriber receives, which are looked at whole."""
    for message in others(peer.makefile("rb")):
        (number,) = unpack_from("!Q", message)
        assert message == numbered(number, size)
        yield number


def read_to(peer: socket.socket, last: int, size: int = 64 * 1024) -> list[int]:
    """Read until that message of the flood; returns the numbers of all."""
    found = []
    for number in numbers(peer, size):
        found.append(number)
        if number == last:
            break
    return found


def complete(data: bytes) -> Iterator[bytes]:
    """The whole messages at the beginning of a stream."""
    at = 0
    while len(data) - at >= 4 and len(data) - at - 4 >= (length := unpack_from("!I", data, at)[0]):
        yield data[at + 4 : at + 4 + length]
        at += 4 + length
