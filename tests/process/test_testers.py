"""The testers with sessions, as processes: killed and started again, over relays that end, at servers without."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.fakes import frame
from tests.kit.peers import connection, receive_all
from tests.kit.process import DEADLINE, Lines, Relay, lasting, start, wait_until

LINES = [b"%06d" % number for number in range(200_000)]


@contextmanager
def running(program: str, port: int, *arguments: object, output: Path | None = None) -> Iterator[Lines]:
    """The publisher or the client, which does not outlive the test. `output`: what it prints is appended there."""
    command = [sys.executable, "-m", f"tester.{program}", "--connect", f"127.0.0.1:{port}", *map(str, arguments)]
    if output is not None:
        command = ["sh", "-c", 'exec "$@" >>"$0"', str(output), *command]
    lines = start(*command)
    try:
        yield lines
    finally:
        lines.process.kill()
        lines.process.wait()


def publish(relay: Relay, messages: list[bytes]) -> None:
    with connection(relay.publish_port) as peer:
        peer.sendall(b"".join(map(frame, messages)))
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == b""


def lines_of(path: Path, size: int) -> bytes:
    wait_until(lambda: path.exists() and path.stat().st_size >= size, f"{size:,} bytes were printed")
    return path.read_bytes()


def test_a_publisher_that_is_killed_and_started_again_has_published_each_line_once(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"\n".join([*LINES, b""]))
    arguments = ("--name", "log", "--file", source)
    with Relay() as relay, running("client", relay.subscribe_port, "--raw", output=copy):
        relay.log.wait_for("subscriber .* begins a session")
        for part in (1, 2):
            with running("publisher", relay.publish_port, *arguments, "--interval", "0.001") as killed:
                lines_of(copy, 600 * part)
                killed.process.kill()
                killed.wait_for_end()
        with running("publisher", relay.publish_port, *arguments) as last:
            assert last.wait_for_end() == 0, last.text
            assert "going on behind so many" in last.text
            assert "all acknowledged" in last.text
        assert lines_of(copy, 6 * len(LINES)) == b"".join(LINES)
        with running("publisher", relay.publish_port, *arguments) as again:
            assert again.wait_for_end() == 0, again.text
            assert "sent 0 messages" in again.text
    assert copy.read_bytes() == b"".join(LINES)


def test_a_client_with_a_store_that_is_killed_and_started_again_misses_nothing(tmp_path: Path) -> None:
    store, copy = tmp_path / "store", tmp_path / "copy"
    arguments = ("--raw", "--store", store)
    with Relay() as relay:
        with running("client", relay.subscribe_port, *arguments, output=copy) as killed:
            relay.log.wait_for("begins a session")
            publish(relay, LINES[:1000])
            lines_of(copy, 6000)
            killed.process.kill()
        publish(relay, LINES[1000:2000])
        with running("client", relay.subscribe_port, *arguments, output=copy) as ended:
            last = LINES[1999]
            wait_until(lambda: copy.read_bytes().endswith(last), "it caught up")
            ended.process.terminate()
            ended.wait_for_end()
        publish(relay, LINES[2000:2010])
        with running("client", relay.subscribe_port, *arguments, "--count", 10, output=copy) as again:
            assert again.wait_for_end() == 0, again.text
    printed = copy.read_bytes()
    assert set(LINES[:2000]) == {printed[at : at + 6] for at in range(0, len(printed) - 60, 6)}
    assert printed.endswith(b"".join(LINES[1990:2010])), "one that was ended goes on exactly"


def test_both_outlive_a_relay_and_the_client_says_what_nobody_knows(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\n".join(LINES[:300]))
    with (
        lasting() as relay,
        running("client", relay.subscribe_port) as client,
        running("publisher", relay.publish_port, "--name", "log", "--file", source, "--interval", "0.01") as publisher,
    ):
        client.wait_for("#10  6 B")
        assert relay.stop() == 0
        with Relay(publish=f"tcp:{relay.publish_port}", subscribe=f"tcp:{relay.subscribe_port}"):
            client.wait_for("nobody knows how many messages are missing")
            client.wait_for(f"  {LINES[299].decode()}$")
            assert publisher.wait_for_end() == 0, publisher.text
    assert "sent 300 messages" in publisher.text


def test_at_a_server_of_messages_without_sessions_the_client_goes_on_in_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with running("client", server.getsockname()[1], "--count", 1) as client:
            first, _ = server.accept()
            with first:
                first.sendall(frame(b"early"))
                client.wait_for("the server does not answer a hello.*: going on without")
            second, _ = server.accept()
            with second:
                second.sendall(frame(b"late"))
                assert client.wait_for_end() == 0, client.text
        assert "4 B" in client.text and "early" not in client.text


@pytest.mark.parametrize("program", ["client", "publisher"])
def test_a_relay_of_another_framing_is_told_and_ends_it(program: str) -> None:
    option = ["--session"] if program == "client" else ["--acks", "--count", "1"]
    with Relay("--framing", "line") as relay:
        port = relay.subscribe_port if program == "client" else relay.publish_port
        with running(program, port, *option) as ended:
            assert ended.wait_for_end() == 1, ended.text
    assert "this relay has the framing line: sessions need int32" in ended.text
    assert "Traceback" not in ended.text


@pytest.mark.parametrize("option", [["--session"], ["--no-session"]])
def test_another_protocol_ends_the_client(option: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with running("client", server.getsockname()[1], *option) as client:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                assert client.wait_for_end() == 1, client.text
    assert "this is an HTTP server" in client.text


@pytest.mark.parametrize("framing", ["int32", "line"])
def test_a_server_that_closes_before_it_reads_has_read_nothing(framing: str) -> None:
    """As a proxy does whose servers are away: its end comes before ours, and so it says nothing of what was sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with running("publisher", server.getsockname()[1], "--count", 1, "--framing", framing) as publisher:
            server.accept()[0].close()
            assert publisher.wait_for_end() == 1, publisher.text
    assert "has certainly read 0" in publisher.text


def test_the_wrong_port_ends_a_publisher_with_acks_in_words() -> None:
    with Relay() as relay, running("publisher", relay.subscribe_port, "--acks", "--count", "1") as publisher:
        assert publisher.wait_for_end() == 1
    assert "this port is for subscribers" in publisher.text
    assert "Traceback" not in publisher.text


def test_a_silent_publisher_at_the_web_port_has_sent_nothing() -> None:
    with Relay("--web", "tcp:0:interface=127.0.0.1") as relay:
        web = int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])
        with running("publisher", web, "--size", 50_000, "--count", 10, "--interval", "0.01") as publisher:
            assert publisher.wait_for_end() == 1, publisher.text
    assert "is it the port for publishers" in publisher.text or "this is an HTTP server" in publisher.text
