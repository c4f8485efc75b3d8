"""The examples work with a real relay and with each other, in every language that is installed here."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.kit.javascript import BUN, NODE, needs_bun, needs_node
from tests.kit.process import DEADLINE, Relay

ROOT = Path(__file__).parents[2]


LANGUAGES = {
    "python": (sys.executable, "examples/python_{}.py"),
    "asyncio": (sys.executable, "examples/asyncio_{}.py"),
    "node": (NODE, "examples/javascript_{}.mjs"),
    "bun": (BUN, "examples/javascript_{}.mjs"),
}
INSTALLED = [language for language, (interpreter, _) in LANGUAGES.items() if interpreter]

# Lengths that need each byte of the header but the first, every kind of byte, and no newline at the end.
LINES = [b"hello", b"", bytes(byte for byte in range(256) if byte != ord("\n")), "wörld €".encode(), b"\r"]
INPUT = b"\n".join([*LINES, b"x" * 99_999, *(b"%d" % number for number in range(10_000)), b"the end"])


def example(language: str, role: str, port: int) -> list[str]:
    """The command that runs one."""
    interpreter, script = LANGUAGES[language]
    return [str(interpreter), str(ROOT / script.format(role)), "127.0.0.1", str(port)]


@contextmanager
def printing_to(path: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program whose output goes to `path` and whose error output can be read, and which does not outlive the test."""
    with path.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()


each_language = pytest.mark.parametrize(
    "language",
    ["python", "asyncio", pytest.param("node", marks=needs_node), pytest.param("bun", marks=needs_bun)],
)


def run(*command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE)


@each_language
def test_what_one_language_publishes_every_language_receives(language: str, tmp_path: Path) -> None:
    with Relay("--drain-timeout", "20") as relay, ExitStack() as stack:
        subscribers = {
            other: stack.enter_context(
                printing_to(tmp_path / other, *example(other, "subscriber", relay.subscribe_port))
            )
            for other in INSTALLED
        }
        relay.log.wait_for("subscriber .* connected", count=len(subscribers))
        publisher = run(*example(language, "publisher", relay.publish_port), stdin=INPUT)
        assert (publisher.returncode, publisher.stdout, publisher.stderr) == (0, b"", b"")
        relay.stop()
        for other, process in subscribers.items():
            _, errors = process.communicate(timeout=DEADLINE)
            assert (process.returncode, errors) == (0, b"the relay closed the connection\n"), other
            assert (tmp_path / other).read_bytes() == INPUT + b"\n", other


@each_language
def test_a_message_that_the_relay_refuses_is_an_error(language: str) -> None:
    with Relay() as relay:
        publisher = run(*example(language, "publisher", relay.publish_port), stdin=b"x" * 100_000)
    assert_one_line(publisher)


@each_language
def test_a_connection_that_ends_within_a_message_is_an_error(language: str) -> None:
    for part in (b"\0\0", b"\0\0\0\5hell"):
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = example(language, "subscriber", server.getsockname()[1])
            subscriber = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            server.settimeout(DEADLINE)
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"\0\0\0\2hi" + part)
            output, errors = subscriber.communicate(timeout=DEADLINE)
        assert output == b"hi\n"
        assert b"the connection ended within a message" in errors
        assert_one_line(subprocess.CompletedProcess(command, subscriber.returncode, output, errors))


@each_language
def test_no_relay_is_an_error(language: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        for role in ("publisher", "subscriber"):
            assert_one_line(run(*example(language, role, nobody.getsockname()[1])))


def assert_one_line(failed: subprocess.CompletedProcess[bytes]) -> None:
    assert failed.returncode == 1
    assert failed.stderr.startswith(b"relay at 127.0.0.1:"), failed.stderr
    assert failed.stderr.count(b"\n") == 1, failed.stderr


@each_language
def test_a_reader_that_has_enough_ends_a_subscriber_quietly(language: str) -> None:
    with Relay() as relay:
        command = example(language, "subscriber", relay.subscribe_port)
        pipeline = subprocess.Popen(
            ["sh", "-c", '"$@" | head -n 1', "sh", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        relay.log.wait_for("subscriber .* connected")
        while pipeline.poll() is None:  # it cannot notice before there is something to print
            run(*example("python", "publisher", relay.publish_port), stdin=b"hello\n")
        assert pipeline.communicate() == (b"hello\n", b"")


@needs_bun
def test_bun_without_framing_receives_the_bytes_that_bun_sent(tmp_path: Path) -> None:
    bun = [str(BUN), "run"]
    with Relay("--framing", "raw", "--drain-timeout", "20") as relay, ExitStack() as stack:
        subscriber = [*bun, str(ROOT / "tests/kit/bun/subscriber.mjs"), str(relay.subscribe_port)]
        copies = [tmp_path / "first", tmp_path / "second"]
        subscribers = [stack.enter_context(printing_to(copy, *subscriber)) for copy in copies]
        relay.log.wait_for("subscriber .* connected", count=len(copies))
        publisher = run(*bun, str(ROOT / "tests/kit/bun/publisher.mjs"), str(relay.publish_port), "5000")
        assert (publisher.returncode, publisher.stderr, len(publisher.stdout)) == (0, b"", 5000 * 1024)
        relay.log.wait_for("publisher .* disconnected: peer closed")  # so that all of it was read
        relay.stop()
        for copy, process in zip(copies, subscribers, strict=True):
            assert process.wait(DEADLINE) == 0
            assert copy.read_bytes() == publisher.stdout
