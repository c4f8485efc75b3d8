"""The examples with sessions, at a server of the test's own, which says what no relay says."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay.wire import control
from relay.wire.answer import Ack, Answer, Bye, Error, Gap, Heartbeat, PublisherWelcome, SubscriberWelcome
from relay.wire.counted import HEADER
from relay.wire.position import Position
from tests.kit.fakes import frame
from tests.kit.peers import receive
from tests.kit.process import DEADLINE, wait_until
from tests.kit.session_examples import (
    PUBLISHERS,
    SUBSCRIBERS,
    Command,
    publisher_command,
    running,
    subscriber_command,
)

EPOCH = "5289cfdd2847"


@pytest.fixture(scope="module", params=SUBSCRIBERS)
def subscriber(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return subscriber_command(request.param, tmp_path_factory.mktemp)


@pytest.fixture(params=PUBLISHERS)
def publisher(request: pytest.FixtureRequest) -> Command:
    return publisher_command(request.param)


class Script:
    """One connection of a client under test, from its hello on."""

    def __init__(self, listener: socket.socket) -> None:
        self.peer, _ = listener.accept()
        self.peer.settimeout(DEADLINE)
        (header,) = HEADER.unpack(receive(self.peer, HEADER.size))
        assert control.is_control(header)
        self.hello = json.loads(receive(self.peer, header - control.CONTROL))

    def say(self, *said: Answer | bytes) -> None:
        """Send answers, and messages."""
        self.peer.sendall(
            b"".join(frame(each) if isinstance(each, bytes) else control.frame(each.write()) for each in said)
        )

    def end(self) -> None:
        """End the connection in an orderly way, between two messages."""
        self.peer.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.settimeout(DEADLINE)
        yield found


def at(number: int) -> Position:
    return Position(EPOCH, number)


def welcome(number: int, lost: int | None = 0) -> SubscriberWelcome:
    return SubscriberWelcome(at(number), 1, lost, 99_999, "relay of the tests")


def accepting(accepted: int, known: bool = True) -> PublisherWelcome:
    return PublisherWelcome(accepted, known, "relayed", EPOCH, 99_999, "relay of the tests")


def test_a_subscriber_counts_resumes_and_drops_what_comes_before_the_welcome(
    subscriber: Command, listener: socket.socket, tmp_path: Path
) -> None:
    with running(subscriber, listener.getsockname()[1], tmp_path) as example:
        first = Script(listener)
        assert first.hello == {"relay": 1, "type": "subscribe", "heartbeat": first.hello["heartbeat"]}
        first.say(b"early", welcome(18), b"18", b"", Heartbeat(next=at(20)), Gap(12, at(32)), b"32")
        first.peer.sendall(control.frame(b'{"type":"weather","sky":["{", {"next": "x"}]}'))
        first.peer.sendall(
            control.frame(b' { "next" : "%b-33", "new":"\\"next\\"", "type":"heartbeat" }' % EPOCH.encode())
        )
        first.peer.sendall(frame(b"33") + frame(b"not whole")[:-1])
        first.end()
        second = Script(listener)
        assert second.hello["after"] == f"{EPOCH}-33"
        second.say(b"34", welcome(36, lost=2), b"36", Bye("shutdown", at(37), retry=0.2))
        second.end()
        third = Script(listener)
        assert third.hello["after"] == f"{EPOCH}-36"
        third.say(welcome(37), b"37")
        example.wait_for(b"18\n\n32\n33\n36\n37\n")
        assert example.errors.count("messages are lost: 12\n") == 1
        assert example.errors.count("messages are lost: 2\n") == 1
        third.end()


@pytest.mark.parametrize(
    "wrong", [Heartbeat(next=at(22)), Gap(5, at(25)), Heartbeat(next=Position("abc", 21))], ids=str
)
def test_a_subscriber_that_has_counted_otherwise_goes_back_to_where_it_was_sure(
    subscriber: Command, wrong: Answer, listener: socket.socket, tmp_path: Path
) -> None:
    with running(subscriber, listener.getsockname()[1], tmp_path):
        first = Script(listener)
        first.say(welcome(18), b"18", Heartbeat(next=at(19)), b"19", b"20", wrong)
        second = Script(listener)
        assert second.hello["after"] == f"{EPOCH}-18"
        first.end()
        second.end()


def test_a_subscriber_at_a_server_without_sessions_prints_nothing_and_says_so(
    subscriber: Command, listener: socket.socket, tmp_path: Path
) -> None:
    with running(subscriber, listener.getsockname()[1], tmp_path) as example:
        old = Script(listener)

        def told() -> bool:
            with suppress(OSError):  # it has hung up
                old.say(b"a message")
            return "perhaps it knows no sessions" in example.errors

        wait_until(told, "it says that it gets messages only")
        assert example.output == b""
        old.end()


def test_an_error_is_shown_and_ends_a_subscriber(subscriber: Command, listener: socket.socket, tmp_path: Path) -> None:
    end_with_words(subscriber, listener, tmp_path)


def test_an_error_is_shown_and_ends_a_publisher(publisher: Command, listener: socket.socket, tmp_path: Path) -> None:
    end_with_words([*publisher, "me"], listener, tmp_path)


def end_with_words(command: Command, listener: socket.socket, folder: Path) -> None:
    with running(command, listener.getsockname()[1], folder) as example:
        first = Script(listener)
        first.say(Error("what was wrong"))
        assert example.wait_for_end() == 1
        assert "what was wrong\n" in example.errors
        first.end()


def test_a_publisher_sends_again_what_was_not_accepted_and_nothing_else(
    publisher: Command, listener: socket.socket, tmp_path: Path
) -> None:
    with running([*publisher, "me"], listener.getsockname()[1], tmp_path, subprocess.PIPE) as example:
        stdin = example.process.stdin
        assert stdin is not None
        stdin.write(b"1\n2\n3\n4\n5\n6\n")
        stdin.close()
        first = Script(listener)
        assert first.hello == {"relay": 1, "type": "publish", "name": "me", "heartbeat": first.hello["heartbeat"]}
        first.peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            first.peer.recv(1)  # it waits for the welcome
        first.peer.settimeout(DEADLINE)
        first.say(accepting(2))
        assert receive(first.peer, 20) == b"".join(map(frame, (b"3", b"4", b"5", b"6")))
        first.say(Ack(3))
        first.end()
        second = Script(listener)
        second.say(accepting(5))
        assert receive(second.peer, 5) == frame(b"6")
        second.end()
        third = Script(listener)
        assert "twice" not in example.errors
        third.say(accepting(0, known=False))
        assert receive(third.peer, 5) == frame(b"6")
        third.say(Heartbeat(accepted=1))
        assert example.wait_for_end() == 0
        assert "messages may come twice" in example.errors
        third.end()


@pytest.mark.parametrize(
    "banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", control.frame(b"no JSON"), control.frame(b"[1]")]
)
def test_a_subscriber_at_a_foreign_server_tries_again(
    subscriber: Command, banner: bytes, listener: socket.socket, tmp_path: Path
) -> None:
    with running(subscriber, listener.getsockname()[1], tmp_path) as example:
        for _ in range(2):
            foreign = Script(listener)
            foreign.peer.sendall(banner)
            foreign.end()
        assert example.output == b""


@pytest.mark.parametrize("banner", [control.frame(b"no JSON"), control.frame(b"[1]")])
def test_a_publisher_at_a_foreign_server_tries_again(
    publisher: Command, banner: bytes, listener: socket.socket, tmp_path: Path
) -> None:
    with running([*publisher, "me"], listener.getsockname()[1], tmp_path, subprocess.PIPE):
        for _ in range(2):
            foreign = Script(listener)
            foreign.peer.sendall(banner)
            foreign.end()
