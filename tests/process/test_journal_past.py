"""A relay whose journal has more than its memory: whoever comes back, by whatever way, gets all of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.kit.events import events
from tests.kit.fakes import frame
from tests.kit.peers import connection, receive
from tests.kit.process import DEADLINE, Relay
from tests.kit.session_peers import ResumingSubscriber, position
from tests.kit.session_wires import TcpWire, WebSocketWire, Wire
from tests.kit.web import WEB_PORT

COUNT = 60_000
"""Messages of some 200 bytes: 12 MB, where the buffer has 1 MiB."""


def message(number: int) -> bytes:
    return (b"%d." % number).ljust(200, b"x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal")


@pytest.fixture(scope="module")
def relay(folder: Path) -> Iterator[tuple[Relay, int, str]]:
    """A relay that has been restarted since all was published; its web port, and the position before the first."""
    options = ("--journal", str(folder), "--buffer", "1MiB", *WEB_PORT)
    with Relay(*options) as first:
        before = position(first.subscribe_port)
        with connection(first.publish_port) as publisher:
            for begin in range(1, COUNT + 1, 1000):
                publisher.sendall(b"".join(frame(message(number)) for number in range(begin, begin + 1000)))
            publisher.shutdown(socket.SHUT_WR)
            assert publisher.recv(1) == b""
    with Relay(*options) as running:
        yield running, int(running.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1]), before


@pytest.mark.parametrize("wire", [TcpWire, WebSocketWire])
def test_a_session_goes_on_where_it_was_before_the_restart(relay: tuple[Relay, int, str], wire: type[Wire]) -> None:
    running, web, before = relay
    port = running.subscribe_port if wire is TcpWire else web
    subscriber = ResumingSubscriber(port, before, wire, patience=DEADLINE)
    subscriber.run(lambda: len(subscriber.messages) >= COUNT)
    assert not subscriber.lost
    assert subscriber.ends == {"done": 1}
    assert subscriber.messages == [(number, message(number)) for number in range(1, COUNT + 1)]


def test_events_go_on_behind_the_last_id(relay: tuple[Relay, int, str]) -> None:
    _, web, before = relay
    request = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: {before.partition('-')[0]}-17\r\n\r\n"
    with connection(web) as peer:
        peer.sendall(request.encode())
        data = b""
        while message(COUNT) not in data[-1000:]:
            data += peer.recv(1 << 16)
    found = [(event.position, event.message) for event in events(data.partition(b"\r\n\r\n")[2])]
    assert found == [(number, message(number)) for number in range(18, COUNT + 1)]


def test_replay_reaches_as_far_as_the_journal(relay: tuple[Relay, int, str], folder: Path) -> None:
    relay[0].stop()
    with (
        Relay("--journal", str(folder), "--buffer", "1MiB", "--replay", str(COUNT - 4)) as again,
        connection(again.subscribe_port) as peer,
    ):
        expected = b"".join(frame(message(number)) for number in range(5, COUNT + 1))
        assert receive(peer, len(expected)) == expected


def test_since_reaches_as_far_as_the_journal(folder: Path) -> None:
    """The first message was published before a moment that is remembered, all others after it."""
    with Relay("--journal", str(folder), "--buffer", "1MiB") as running:
        with connection(running.publish_port) as publisher, connection(running.subscribe_port) as peer:
            publisher.sendall(frame(b"before"))
            receive(peer, len(frame(b"before")))
            moment = datetime.now(UTC)  # a number of seconds would count from when the relay reads the hello
            sent = b"".join(frame(message(number)) for number in range(COUNT // 4))
            publisher.sendall(sent)
            receive(peer, len(sent))
        with connection(running.subscribe_port) as peer:
            wire = TcpWire()
            peer.sendall(wire.hello(since=moment.isoformat()))
            found: list[object] = []
            while len(found) < COUNT // 4 + 1:
                found += wire.receive(peer.recv(1 << 16))
    welcome, *messages = found
    assert isinstance(welcome, dict) and welcome["lost"] == 0
    assert messages == [message(number) for number in range(COUNT // 4)]
