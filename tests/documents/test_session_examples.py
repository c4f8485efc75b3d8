"""The examples with sessions: over paths that are cut, and when relays end, each message comes once and in order."""

from __future__ import annotations

import ast
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.kit.fakes import frame
from tests.kit.peers import connection, receive, receive_all
from tests.kit.process import DEADLINE, Relay, lasting
from tests.kit.proxy import Fault, Proxy
from tests.kit.session_examples import (
    EXAMPLES,
    PUBLISHER,
    PUBLISHERS,
    SUBSCRIBER,
    SUBSCRIBERS,
    Command,
    publisher_command,
    running,
    subscriber_command,
)

CHROMIUM = shutil.which("chromium")
LINES = [b"%d" % number for number in range(5000)]
TEXT = b"\n".join(LINES) + b"\n"
PIECE = 5000
"""Bytes that come through a path before it is cut: some tenth of what there is."""


@pytest.fixture(scope="module", params=SUBSCRIBERS)
def subscriber(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Command:
    return subscriber_command(request.param, tmp_path_factory.mktemp)


@pytest.fixture(params=PUBLISHERS)
def publisher(request: pytest.FixtureRequest) -> Command:
    return publisher_command(request.param)


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
