"""The tester's publisher and client as a person uses them: two programs, and a relay between them."""

from __future__ import annotations

import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.journal.disk import Disk
from relay.journal.inspection import messages
from relay.wire.framings import FRAMINGS
from tests.kit.process import DEADLINE, Lines, Relay, free_port, start

ATTACHED = "subscriber .* begins a session"


@contextmanager
def running(*command: str, **options: object) -> Iterator[Lines]:
    """A program that does not outlive the test."""
    lines = start(*command, **options)
    try:
        yield lines
    finally:
        lines.process.kill()


def connecting(program: str, port: int, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"tester.{program}", "--connect", f"127.0.0.1:{port}", *arguments)


def publish(relay: Relay, *arguments: str) -> str:
    """Publish to the end, and return what the publisher printed."""
    with running(*connecting("publisher", relay.publish_port, *arguments)) as publisher:
        assert publisher.wait_for_end() == 0, publisher.text
    return publisher.text


def interrupt(program: Lines, status: int = 0) -> None:
    """What Ctrl-C does."""
    program.process.send_signal(signal.SIGINT)
    assert program.wait_for_end() == status, program.text
    assert "Traceback" not in program.text


def shown(text: str) -> list[str]:
    """The lines about messages, without their times."""
    return re.findall(r"#\d+  .*", text)


def test_the_client_shows_what_the_publisher_sent() -> None:
    with Relay() as relay, running(*connecting("client", relay.subscribe_port, "--count", "3")) as client:
        relay.log.wait_for(ATTACHED)
        sent = publish(relay, "--count", "3", "--interval", "0.01")
        assert client.wait_for_end() == 0
    assert len(shown(sent)) == 3
    assert shown(client.text) == shown(sent)
    assert "sent 3 messages, 3,072 bytes" in sent
    assert "received 3 messages, 3,072 bytes" in client.text
    assert re.search(r"^the last position is \w+-3: ", client.text, re.MULTILINE)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_file_goes_through_byte_for_byte(framing: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    dice = random.Random(framing)
    least, left_out = framing == "octet", {"cr": b"\n\r", "nul": b"\n\0"}.get(framing, b"\n")
    many = 100_000 if framing in ("int32", "line", "raw") else 2_000
    lines = [b"x" * least + dice.randbytes(dice.randrange(200)).translate(None, left_out) for _ in range(many)]
    source.write_bytes(b"\n".join([*lines, b""]))
    with Relay("--framing", framing, "--drain-timeout", "20") as relay:
        command = connecting("client", relay.subscribe_port, "--framing", framing, "--raw")
        with running("sh", "-c", 'exec "$@" >"$0"', str(copy), *command) as client:
            relay.log.wait_for(ATTACHED if framing == "int32" else "subscriber .* connected")
            publish(relay, "--framing", framing, "--file", str(source))
            assert relay.stop() == 0
            client.wait_for("^the relay (closed|ended) the connection(: shutdown)?$")  # and not within a message
            interrupt(client)
    ending = {"line": b"\n", "raw": b"\n", "cr": b"\r", "nul": b"\0"}.get(framing, b"")
    assert copy.read_bytes() == b"".join(line + ending for line in lines)


def test_a_recording_is_played_whole_in_other_framings_and_on_where_it_was(tmp_path: Path) -> None:
    """It is played beside the relay that writes it: to another one, to another framing, and to itself."""
    lines = [b"%d " % number + b"x" * (number % 300) for number in range(20_000)]
    (tmp_path / "lines").write_bytes(b"\n".join([*lines, b""]))
    journal = str(tmp_path / "journal")
    os.mkdir(journal)
    with Relay("--framing", "line", "--journal", journal) as first, Relay() as second:
        publish(first, "--framing", "line", "--file", str(tmp_path / "lines"))
        command = connecting("client", second.subscribe_port, "--raw", "--count", str(len(lines)))
        with running("sh", "-c", 'exec "$@" >"$0"', str(tmp_path / "copy"), *command) as client:
            second.log.wait_for(ATTACHED)
            play = ("--from-journal", journal, "--framing", "int32", "--name", "player")
            begun = publish(second, *play, "--count", "7000", "--speed", "max")
            assert "the journal has the framing line: its messages are framed anew, with int32" in begun
            rest = publish(second, *play, "--speed", "100")
            assert "7,000 messages have this name already: going on" in rest
            assert "sent 13,000 messages" in rest
            assert client.wait_for_end() == 0
        assert f"messages 1 to {len(lines):,}" in publish(first, "--from-journal", journal, "--speed", "max")
        assert first.stop() == 0
    assert (tmp_path / "copy").read_bytes() == b"".join(lines)
    assert [one.data for one in messages(Disk(), journal)] == lines * 2


def test_both_wait_for_a_relay_and_come_back_to_it() -> None:
    publish_port, subscribe_port = free_port(), free_port()
    with (
        running(*connecting("client", subscribe_port)) as client,
        running(*connecting("publisher", publish_port, "--file", "-"), stdin=subprocess.PIPE) as publisher,
    ):
        assert publisher.process.stdin is not None
        for times in (1, 2):
            client.wait_for("waiting for a relay", count=times)
            publisher.wait_for("waiting for a relay", count=times)
            with Relay(publish=f"tcp:{publish_port}", subscribe=f"tcp:{subscribe_port}") as relay:
                relay.log.wait_for(ATTACHED)
                relay.log.wait_for("publisher .* connected")
                publisher.process.stdin.write("hello\n")
                publisher.process.stdin.flush()
                client.wait_for(f"#{times}  5 B  .*  hello")
        interrupt(publisher, status=1)  # without acks, nobody knows what the relays have read that were stopped
        interrupt(client)
    assert "received 2 messages, 10 bytes" in client.text


def test_a_reader_that_has_enough_ends_the_client_quietly() -> None:
    with Relay() as relay:
        command = connecting("client", relay.subscribe_port)
        with running("bash", "-o", "pipefail", "-c", '"$0" "$@" | head -n 1', *command) as pipeline:
            relay.log.wait_for(ATTACHED)
            with running(*connecting("publisher", relay.publish_port, "--interval", "0.01")) as publisher:
                assert pipeline.wait_for_end() == 0
                interrupt(publisher)
    assert len(shown(pipeline.text)) == 1
    assert len(pipeline.text.splitlines()) == 4, pipeline.text  # with the connection, the position and the summary


def test_output_that_cannot_be_written_is_an_error() -> None:
    with Relay() as relay:
        command = connecting("client", relay.subscribe_port)
        with running("sh", "-c", 'exec "$@" >/dev/full', "sh", *command) as client:
            relay.log.wait_for(ATTACHED)
            publish(relay, "--count", "1")
            assert client.wait_for_end() == 1
    assert "No space left on device" in client.text
    assert "Traceback" not in client.text


def test_the_publisher_says_that_the_relay_dropped_it() -> None:
    with (
        Relay("--max-message", "1000") as relay,
        running(*connecting("publisher", relay.publish_port, "--size", "1001", "--count", "1")) as publisher,
    ):
        assert publisher.wait_for_end() == 1
    assert "the relay has certainly read 0: is it the port for publishers" in publisher.text
    assert "Traceback" not in publisher.text


def test_the_publisher_sends_what_is_typed_at_a_terminal() -> None:
    keyboard, terminal = pty.openpty()
    with (
        Relay() as relay,
        running(*connecting("publisher", relay.publish_port, "--file", "-"), stdin=terminal) as publisher,
    ):
        relay.log.wait_for("publisher .* connected")
        os.write(keyboard, b"hello\n")
        publisher.wait_for("#1  5 B  .*  hello")
        os.write(keyboard, b"\x04")  # Ctrl-D
        assert publisher.wait_for_end() == 0
    os.close(keyboard)
    os.close(terminal)
    assert "sent 1 message, 5 bytes" in publisher.text


def test_the_publisher_reads_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Relay() as relay:
        command = connecting("publisher", relay.publish_port, "--file", str(tmp_path / "pipe"))
        with running(*command) as publisher:
            relay.log.wait_for("publisher .* connected")
            (tmp_path / "pipe").write_bytes(b"one\ntwo\nthree")
            assert publisher.wait_for_end() == 0
    assert "sent 3 messages, 11 bytes" in publisher.text


def test_the_publisher_holds_no_more_than_its_peer_is_slow_to_read() -> None:
    """A peer that reads 100 MB of a flood, and then no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with running(*connecting("publisher", server.getsockname()[1], "--interval", "0")) as publisher:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(DEADLINE)
                read(peer, 1_000_000)
                before = peak_memory(publisher.process.pid)
                read(peer, 100_000_000)
                assert peak_memory(publisher.process.pid) - before < 16_000_000
                interrupt(publisher, status=1)
    assert "the relay does not read: what is queued is dropped" in publisher.text


def read(peer: socket.socket, size: int) -> None:
    """Read so many bytes, or a few more."""
    while size > 0:
        chunk = peer.recv(1 << 20)
        assert chunk
        size -= len(chunk)


def peak_memory(pid: int) -> int:
    """The most memory that a process has ever had, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--connect", "nonsense"], "'nonsense' is no HOST:PORT"),
        (["--file", "/no/such/file"], "/no/such/file: No such file or directory"),
        (["--file", "/"], "/: Is a directory"),
        (["--size", "many"], "not a whole number: 'many'"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], error: str) -> None:
    with running(sys.executable, "-m", "tester.publisher", *arguments) as publisher:
        assert publisher.wait_for_end() in (1, 2)
    assert error in publisher.text
    assert len(publisher.text.splitlines()) == 1, publisher.text
