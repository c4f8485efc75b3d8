"""Numbered messages: published in runs, and read by one that resumes, to tell whether each came once and in order."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from relay.wire.position import Position
from tests.kit.fakes import frame
from tests.kit.peers import connection, receive
from tests.kit.process import DEADLINE, Relay
from tests.kit.session_peers import ResumingSubscriber
from tests.kit.sessions import hello, parts


def publish(port: int, numbers: range, pause: float) -> None:
    """Publish messages with these numbers, in runs of a hundred with a pause behind each; returns when all are read.

    So what is published afterwards, over another connection, comes after them.
    """
    with connection(port) as peer:
        for first in numbers[::100]:
            peer.sendall(b"".join(frame(b"%d " % number + bytes(number % 300)) for number in range(first, first + 100)))
            time.sleep(pause)
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""


def epoch_of(relay: Relay) -> str:
    """The epoch of a relay, as a session is told."""
    with connection(relay.subscribe_port) as peer:
        peer.sendall(hello("subscribe"))
        header = receive(peer, 4)
        [said] = parts(header + receive(peer, int.from_bytes(header) - 2**31))
        assert isinstance(said, dict)
        return Position.parse(said["next"]).epoch


@contextmanager
def reading(relay: Relay) -> Iterator[ResumingSubscriber]:
    """A subscriber that resumes, from the first message of `relay` on."""
    done = threading.Event()
    reader = ResumingSubscriber(relay.subscribe_port, f"{epoch_of(relay)}-0")
    thread = threading.Thread(target=reader.run, args=(done.is_set,))
    thread.start()
    try:
        yield reader
    finally:
        done.set()
        reader.leave()
        thread.join(DEADLINE)


def numbers(reader: ResumingSubscriber) -> list[int]:
    """The numbers of all messages that it has, in order."""
    return [int(message.partition(b" ")[0]) for _, message in reader.messages]
