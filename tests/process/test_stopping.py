"""It must be possible to stop a relay, always: whatever peers do, and at any moment of a start or a stop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, TWISTD, Relay, start, wait_until
from tests.kit.web import ask, metric, relay
from tests.kit.wire import request

LONG = ("--drain-timeout", "600")  # seconds: a test that waited for that would fail


@contextmanager
def reconnecting(connect: Callable[[], object]) -> Iterator[list[object]]:
    """Calls `connect` again and again in a thread, whatever becomes of it; yields what it returned."""
    over, results = threading.Event(), []

    def go_on() -> None:
        while not over.is_set():
            try:
                results.append(connect())
            except OSError as error:
                results.append(error)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield results
    finally:
        over.set()
        thread.join(DEADLINE)


EVENTS = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def stream_until_it_ends(port: int, head: bytes) -> bytes:
    """The first bytes of what comes after a request, of which all is read."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as peer:
        peer.sendall(head)
        first = peer.recv(12)
        while peer.recv(65536):
            pass
        return first


@pytest.mark.parametrize("path", ["/events", "/ws"])
def test_a_browser_that_reconnects_at_once_does_not_keep_it_from_ending(path: str) -> None:
    with relay() as (running, port):
        head = (
            request(port, f"GET {path} HTTP/1.1")
            if path == "/ws"
            else f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        with reconnecting(lambda: stream_until_it_ends(port, head)):
            feed = "ws" if path == "/ws" else "events"
            sample = f'relay_connections{{feed="{feed}",role="subscriber"}}'
            wait_until(lambda: metric(port, sample) > 0, "a subscriber")
            running.log.process.terminate()
            assert running.log.wait_for_end() == 0


def test_subscribers_that_leave_their_side_open_are_not_waited_for(tmp_path: Path, authority: Authority) -> None:
    options = ("--certificate", str(authority.issue("localhost")), "--subscribe-tls", "tcp:0:interface=127.0.0.1")
    file = tmp_path / "relay.sock"
    with relay(*LONG, *options, "--subscribe", f"unix:{file}") as (running, port), ExitStack() as stack:
        tls = int(running.log.wait_for(r"subscribers with TLS on 127\.0\.0\.1:(\d+)")[1])
        peers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port_), DEADLINE))
            for port_ in (running.subscribe_port, port, port, tls)
        ]
        peers[1].sendall(EVENTS)
        peers[2].sendall(request(port, "GET /ws HTTP/1.1"))
        peers[3] = stack.enter_context(authority.client().wrap_socket(peers[3], server_hostname="localhost"))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.connect(str(file))
        running.log.wait_for("subscriber .* connected", len(peers) + 1)
        publisher = stack.enter_context(socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE))
        publisher.sendall(frame(b"last"))
        for peer in (*peers, local):
            received = b""
            while b"last" not in received:
                received += peer.recv(65536)
        running.log.process.terminate()
        assert running.log.wait_for_end() == 0
        for peer in (peers[0], local):
            assert peer.recv(1) == b"", "a clean end"


def test_while_it_stops_who_asks_is_sent_away_but_health_and_metrics_are_answered() -> None:
    with relay(*LONG) as (running, port), ExitStack() as stack:
        stuck = stack.enter_context(socket.create_connection(("127.0.0.1", running.subscribe_port), DEADLINE))
        publisher = stack.enter_context(socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE))
        wait_until(lambda: metric(port, 'relay_subscribers{state="live"}') == 1, "the subscriber")
        publisher.sendall(frame(bytes(90_000)) * 200)
        wait_until(lambda: metric(port, 'relay_subscribers{state="lagging"}') == 1, "a subscriber that lags")
        running.log.process.terminate()
        running.log.wait_for("SIGTERM received, stopping")
        wait_until(lambda: ask(port, "/readyz")[0] == 503, "the end of readiness")
        for path in ("/", "/events", "/ws", "/status", "/connections", "/readyz", "/nowhere"):
            status, headers, body = ask(port, path)
            assert (status, headers["Retry-After"], body) == (503, "1", b"draining\n"), path
        assert [ask(port, path)[0] for path in ("/healthz", "/metrics")] == [200, 200]
        running.log.process.terminate()
        assert running.log.wait_for_end() == 0
        assert stuck.fileno() > 0


def test_a_second_signal_is_final_whatever_peers_do() -> None:
    with relay(*LONG) as (running, port), ExitStack() as stack:
        subscriber = stack.enter_context(socket.create_connection(("127.0.0.1", running.subscribe_port), DEADLINE))
        publisher = stack.enter_context(socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE))
        wait_until(lambda: metric(port, 'relay_subscribers{state="live"}') == 1, "the subscriber")
        publisher.sendall(frame(bytes(90_000)) * 200)
        stack.enter_context(reconnecting(lambda: stream_until_it_ends(port, EVENTS)))
        wait_until(lambda: metric(port, 'relay_subscribers{state="lagging"}') > 0, "a subscriber that lags")
        running.log.process.terminate()
        running.log.wait_for("SIGTERM received, stopping")
        running.log.process.send_signal(signal.SIGINT)
        running.log.wait_for("SIGINT received again, stopping at once")
        assert running.log.wait_for_end() == 0
        assert subscriber.fileno() > 0


def test_a_hangup_while_it_starts_is_obeyed_as_soon_as_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('publish = "tcp:0:interface=127.0.0.1"\nsubscribe = "tcp:0:interface=127.0.0.1"\n')
    log = start(TWISTD, "-n", "--pidfile=", "relay", "--config", str(file))
    try:
        wait_until(lambda: catches(log.process.pid, signal.SIGHUP), "a handler")
        log.process.send_signal(signal.SIGHUP)
        log.wait_for("reloaded; changed: nothing")
        log.process.terminate()
        assert log.wait_for_end() == 0
    finally:
        log.process.kill()


def test_a_signal_to_stop_while_it_starts_ends_it_with_status_0() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        options = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1")
        log = start(TWISTD, "-n", "--pidfile=", "relay", *options)
        try:
            wait_until(lambda log=log: catches(log.process.pid, signal.SIGHUP), "a handler")  # type: ignore[misc]
            log.process.send_signal(number)
            assert log.wait_for_end() == 0
            assert "Traceback" not in log.text
        finally:
            log.process.kill()


def test_a_hangup_while_it_stops_changes_nothing() -> None:
    with Relay(*LONG) as running, ExitStack() as stack:
        stack.enter_context(socket.create_connection(("127.0.0.1", running.subscribe_port), DEADLINE))
        publisher = stack.enter_context(socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE))
        running.log.wait_for("subscriber .* connected")
        publisher.sendall(frame(bytes(90_000)) * 200)
        running.log.wait_for("publisher .* connected")
        running.log.process.terminate()
        running.log.wait_for("SIGTERM received, stopping")
        running.log.process.send_signal(signal.SIGHUP)
        running.log.process.terminate()
        assert running.log.wait_for_end() == 0
        assert "reload" not in running.log.text


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False
