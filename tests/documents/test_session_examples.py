"""The examples with sessions: over paths that are cut, and when relays end, each message comes once and in order."""

from __future__ import annotations

import ast
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import IO

import pytest

from relay.wire import control
from relay.wire.answer import Ack, Answer, Bye, Error, Gap, Heartbeat, PublisherWelcome, SubscriberWelcome
from relay.wire.counted import HEADER
from relay.wire.position import Position
from tests.kit.fakes import frame
from tests.kit.javascript import BUN, NODE, needs_bun, needs_node
from tests.kit.page import ROOT
from tests.kit.peers import connection, receive, receive_all
from tests.kit.process import DEADLINE, Relay, lasting, wait_until
from tests.kit.proxy import Fault, Proxy

CC = shutil.which("cc")
CHROMIUM = shutil.which("chromium")
EXAMPLES = ROOT / "examples"
SUBSCRIBER, PUBLISHER = "resuming_subscriber", "acknowledged_publisher"
LINES = [b"%d" % number for number in range(5000)]
TEXT = b"\n".join(LINES) + b"\n"
PIECE = 5000
"""Bytes that come through a path before it is cut: some tenth of what there is."""
EPOCH = "5289cfdd2847"

needs_cc = pytest.mark.skipif(not CC, reason="needs a C compiler: apt install gcc")
SCRIPTS = [
    pytest.param((sys.executable, ".py"), id="python"),
    pytest.param((NODE, ".mjs"), id="node", marks=needs_node),
    pytest.param((BUN, ".mjs"), id="bun", marks=needs_bun),
]
COMPILED = pytest.param((CC, ".c"), id="c", marks=needs_cc)
Command = list[str]


@pytest.fixture(scope="module", params=[*SCRIPTS, COMPILED])
def subscriber(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command of the subscriber in one language, but for host and port."""
    program, suffix = request.param
    source = str(EXAMPLES / (SUBSCRIBER + suffix))
    if suffix != ".c":
        return [program, source]
    built = tmp_path_factory.mktemp("c") / SUBSCRIBER
    subprocess.run(
        [program, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-o", str(built), source], check=True
    )
    return [str(built)]


@pytest.fixture(params=SCRIPTS)
def publisher(request: pytest.FixtureRequest) -> Command:
    """The command of the publisher in one language, but for its name, host and port."""
    program, suffix = request.param
    return [program, str(EXAMPLES / (PUBLISHER + suffix))]


class Running:
    """An example that runs. What it says and what it prints are files."""

    def __init__(self, command: Command, port: int, folder: Path, stdin: int | IO[bytes] = subprocess.DEVNULL) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "127.0.0.1", str(port)], stdin=stdin, stdout=output, stderr=errors
            )

    @property
    def output(self) -> bytes:
        return self._output.read_bytes()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def wait_for(self, output: bytes) -> None:
        """Wait until it has printed so much, and see that it is exactly that."""
        wait_until(lambda: len(self.output) >= len(output), "all of the messages")
        assert self.output == output

    def wait_for_words(self, words: str) -> None:
        wait_until(lambda: words in self.errors, f"{words!r}")

    def wait_for_end(self) -> int:
        return self.process.wait(DEADLINE)


@contextmanager
def running(
    command: Command, port: int, folder: Path, stdin: int | IO[bytes] = subprocess.DEVNULL
) -> Iterator[Running]:
    example = Running(command, port, folder, stdin)
    try:
        yield example
    finally:
        example.process.kill()
        example.process.wait()


@contextmanager
def witness_of(relay: Relay) -> Iterator[socket.socket]:
    """A plain subscriber. It has nothing to send, so that a relay that stops need not wait for its end."""
    with connection(relay.subscribe_port) as peer:
        peer.shutdown(socket.SHUT_WR)
        relay.log.wait_for("subscriber .* connected")
        yield peer


def publish(relay: Relay, lines: list[bytes]) -> None:
    with connection(relay.publish_port) as peer:
        peer.sendall(b"".join(map(frame, lines)))


# With a relay

LIBRARY = ["asyncio", "twisted"]


@pytest.mark.parametrize("front", LIBRARY)
@pytest.mark.parametrize("fault", [Fault(cut=PIECE), Fault(reset=PIECE)], ids=["cut", "reset"])
def test_with_the_client_library_messages_come_once_over_paths_that_are_cut(
    front: str, fault: Fault, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(TEXT)
    (tmp_path / "publisher").mkdir()
    program = [sys.executable, str(EXAMPLES / f"client_{front}_publisher.py"), "sensor-7"]
    listener = [sys.executable, str(EXAMPLES / f"client_{front}_subscriber.py")]
    with (
        Relay() as relay,
        Proxy(relay.publish_port, up=fault) as up,
        Proxy(relay.subscribe_port, down=fault) as down,
        running(listener, down.port, tmp_path) as subscriber,
    ):
        relay.log.wait_for("subscriber .* begins a session")
        for _ in range(2):  # the second time there is nothing left to publish
            with source.open("rb") as lines, running(program, up.port, tmp_path / "publisher", lines) as publisher:
                assert publisher.wait_for_end() == 0, publisher.errors
        subscriber.wait_for(TEXT)
        assert len(relay.log.find("publisher .* begins a session")) > 2
        assert len(relay.log.find("subscriber .* begins a session")) > 2
        assert "lost" not in subscriber.errors


@pytest.mark.parametrize("front", LIBRARY)
def test_with_the_client_library_the_wrong_port_is_one_line(front: str, tmp_path: Path) -> None:
    with Relay() as relay:
        command = [sys.executable, str(EXAMPLES / f"client_{front}_subscriber.py")]
        with running(command, relay.publish_port, tmp_path) as example:
            assert example.wait_for_end() == 1
        assert "this port is for publishers" in example.errors
        assert len(example.errors.splitlines()) == 1, example.errors


@pytest.mark.parametrize("fault", [Fault(cut=PIECE), Fault(reset=PIECE)], ids=["cut", "reset"])
def test_over_a_path_that_is_cut_a_subscriber_gets_every_message_once(
    subscriber: Command, fault: Fault, tmp_path: Path
) -> None:
    with (
        Relay() as relay,
        Proxy(relay.subscribe_port, down=fault) as path,
        running(subscriber, path.port, tmp_path) as example,
    ):
        relay.log.wait_for("begins a session at 1$")
        publish(relay, LINES)
        example.wait_for(TEXT)
        assert len(relay.log.find("begins a session")) >= len(TEXT) // PIECE
        assert "lost" not in example.errors


@pytest.mark.parametrize("fault", [Fault(cut=PIECE), Fault(reset=PIECE)], ids=["cut", "reset"])
def test_over_a_path_that_is_cut_a_publisher_publishes_every_message_once(
    publisher: Command, fault: Fault, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(TEXT)
    with (
        Relay() as relay,
        Proxy(relay.publish_port, up=fault) as path,
        witness_of(relay) as witness,
        source.open("rb") as lines,
    ):
        expected = b"".join(map(frame, LINES))
        reader = Thread(target=lambda: received.append(receive_all(witness)))
        received: list[bytes] = []
        reader.start()
        with running([*publisher, "sensor-7"], path.port, tmp_path, lines) as example:
            assert example.wait_for_end() == 0, example.errors
        assert len(relay.log.find("begins a session")) >= len(TEXT) // PIECE
        assert "twice" not in example.errors
        relay.stop()
        reader.join(DEADLINE)
        assert received == [expected]


def test_a_publisher_that_is_started_again_goes_on_behind_what_was_accepted(publisher: Command, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with Relay() as relay, witness_of(relay) as witness:
        for lines in (LINES[:10], LINES[:10], LINES[:15]):
            source.write_bytes(b"\n".join(lines))  # the last line is not ended, and is one all the same
            with source.open("rb") as stdin, running([*publisher, "log"], relay.publish_port, tmp_path, stdin) as run:
                assert run.wait_for_end() == 0, run.errors
        relay.stop()
        assert receive_all(witness) == b"".join(map(frame, LINES[:15]))


def test_a_publisher_whose_name_is_taken_ends(publisher: Command, tmp_path: Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    with Relay() as relay, ExitStack() as stack:
        port = relay.publish_port
        first = stack.enter_context(running([*publisher, "me"], port, folders[0], subprocess.PIPE))
        relay.log.wait_for("publisher .* begins a session")
        second = stack.enter_context(running([*publisher, "me"], port, folders[1]))
        assert second.wait_for_end() == 0
        assert first.wait_for_end() == 1
        assert "another publisher has this name" in first.errors


def test_a_message_that_is_too_long_ends_a_publisher_in_words(publisher: Command, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    with Relay() as relay, source.open("rb") as stdin:
        with running([*publisher, "me"], relay.publish_port, tmp_path, stdin) as example:
            assert example.wait_for_end() == 1
        assert "100,000 bytes" in example.errors


@contextmanager
def another(relay: Relay) -> Iterator[Relay]:
    """Another relay at the ports of one that has ended."""
    relay.log.wait_for_end()
    with Relay(publish=f"tcp:{relay.publish_port}", subscribe=f"tcp:{relay.subscribe_port}") as other:
        yield other


def test_a_subscriber_outlives_its_relay_and_says_that_nobody_knows_what_is_lost(
    subscriber: Command, tmp_path: Path
) -> None:
    with lasting() as relay, running(subscriber, relay.subscribe_port, tmp_path) as example:
        relay.log.wait_for("begins a session")
        publish(relay, LINES[:3])
        example.wait_for(b"0\n1\n2\n")
        relay.log.process.kill()
        with another(relay) as other:
            other.log.wait_for("begins a session")
            publish(other, LINES[3:6])
            example.wait_for(b"0\n1\n2\n3\n4\n5\n")
        assert "messages are lost: unknown" in example.errors


def test_a_publisher_outlives_its_relay(publisher: Command, tmp_path: Path) -> None:
    with lasting() as relay, running([*publisher, "me"], relay.publish_port, tmp_path, subprocess.PIPE) as example:
        stdin = example.process.stdin
        assert stdin is not None
        with witness_of(relay) as witness:
            stdin.write(b"1\n2\n")
            stdin.flush()
            assert receive(witness, 10) == frame(b"1") + frame(b"2")
        relay.stop()  # what was accepted is acknowledged before the end
        with another(relay) as other, witness_of(other) as witness:
            stdin.write(b"3\n4\n")
            stdin.close()
            assert example.wait_for_end() == 0, example.errors
            other.stop()
            assert receive_all(witness) == frame(b"3") + frame(b"4")


def test_a_subscriber_notices_that_a_connection_is_dead(subscriber: Command, tmp_path: Path) -> None:
    with (
        Relay() as relay,
        Proxy(relay.subscribe_port, down=Fault(hole=len(TEXT))) as path,
        running(subscriber, path.port, tmp_path) as example,
    ):
        relay.log.wait_for("begins a session at 1$")
        publish(relay, LINES)
        relay.log.wait_for("begins a session at", count=2)
        example.wait_for(TEXT)


# With a relay of the test's own, which says what no relay says


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


# In a browser


@pytest.mark.skipif(not CHROMIUM, reason="there is no chromium: apt-get install chromium")
def test_the_page_shows_every_message_once_over_a_path_that_is_cut() -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright: pip install playwright")
    with ExitStack() as stack:
        files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLES)))
        stack.callback(files.server_close)
        stack.callback(files.shutdown)
        Thread(target=files.serve_forever).start()
        origin = f"http://127.0.0.1:{files.server_port}"
        relay = stack.enter_context(Relay("--web", "tcp:0:interface=127.0.0.1", "--web-origin", origin))
        web = int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])
        path = stack.enter_context(Proxy(web, down=Fault(reset=PIECE // 2)))
        browser = stack.enter_context(playwright.sync_playwright()).chromium.launch(executable_path=CHROMIUM)
        stack.callback(browser.close)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.goto(f"{origin}/session.html?relay=ws://127.0.0.1:{path.port}")
        page.wait_for_function("document.getElementById('state').textContent === 'connected'")
        publish(relay, LINES[:1000])
        page.wait_for_function("document.getElementById('count').textContent === '1000'")
        shown = page.locator("li").all_inner_texts()
        assert shown == [f"{number + 1}: {number}" for number in range(1000)]
        assert page.inner_text("#lost") == "0"
        assert int(page.inner_text("#attempts")) > 2


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, *arguments: object) -> None:
        pass


# What they promise of themselves


@pytest.mark.parametrize("name", [SUBSCRIBER, PUBLISHER])
def test_the_plain_ones_in_python_have_less_than_sixty_lines_of_code(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text()
    described = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    code = [line for number, line in enumerate(text.splitlines(), 1) if line.strip() and number not in described]
    assert len([line for line in code if not line.lstrip().startswith("#")]) < 60
