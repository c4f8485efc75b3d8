"""The web port of a relay: what it answers, and to whom."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.peers.admission import MAX_WEB_CONNECTIONS
from relay.wire.close_reason import CloseReason
from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.peers import receive_all
from tests.kit.process import DEADLINE, TWISTD, Relay, roomy, start, wait_until
from tests.kit.resets import reset
from tests.kit.web import WEB_PORT, ask, metric, relay, rows, wait_for_metric


def basic(password: bytes) -> bytes:
    return b"Basic " + b64encode(b"anybody:" + password)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Relay, int]]:
    with relay() as pair:
        yield pair


def test_paths_and_methods_are_those_and_no_others(running: tuple[Relay, int]) -> None:
    _, port = running
    for path in ("/healthz", "/readyz"):
        status, headers, body = ask(port, path)
        assert (status, headers["Content-Type"], body) == (200, "text/plain; charset=utf-8", b"ok\n")
        assert ask(port, path, "HEAD")[::2] == (200, b"")
    for path in ("/healthz/", "//healthz", "/../healthz", "/metrics/x", "*"):
        assert ask(port, path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "BREW"):
        status, headers, _ = ask(port, "/metrics", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD"), method
    assert ask(port, "/metrics")[1]["Content-Type"].startswith("text/plain; version=0.0.4")
    for after in ("x", "-1", "1.5", "", "9" * 5000, "%00", "%C2%B2"):
        assert ask(port, f"/connections?after={after}")[0] == 400, after
    for most in ("x", "0", "-1", "1001", "", "1.5"):
        assert ask(port, f"/connections?most={most}")[0] == 400, most


def test_who_is_connected_can_be_seen_and_who_was(running: tuple[Relay, int]) -> None:
    relay_, port = running
    before = datetime.now(UTC)
    with (
        socket.create_connection(("127.0.0.1", relay_.subscribe_port), DEADLINE) as subscriber,
        socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
    ):
        wait_for_metric(port, 'relay_subscribers{state="live"}', 1)
        publisher.sendall(frame(b"hello") * 3)
        assert subscriber.recv(100) == frame(b"hello") * 3
        wait_for_metric(port, "relay_delivered_messages_total", 3)
        found = {str(row["role"]): row for row in rows(port)}
        publishing, subscribing = found["publisher"], found["subscriber"]
        assert publishing["peer"] == f"127.0.0.1:{publisher.getsockname()[1]}"
        assert (publishing["state"], subscribing["state"]) == ("open", "live")
        for row in (publishing, subscribing):
            assert (row["messages"], row["bytes"], row["skipped"]) == (3, 27, 0)
            assert (row["lag"], row["tls_subject"]) == (None, None)
            assert abs((datetime.fromisoformat(str(row["since"])) - before).total_seconds()) < DEADLINE
        after = publishing["number"]
        assert isinstance(after, int)
        assert rows(port, f"/connections?after={after}") == [
            row for row in (publishing, subscribing) if int(str(row["number"])) > after
        ]
        reset(subscriber)
    wait_for_metric(port, 'relay_connections_closed_total{feed="tcp",reason="peer closed",role="publisher"}', 1)
    wait_for_metric(port, 'relay_connections_closed_total{feed="tcp",reason="connection lost",role="subscriber"}', 1)
    ends = {str(row["role"]): row for row in rows(port, "/connections?ended")}
    assert ends["publisher"]["reason"] == CloseReason.PEER_CLOSED
    assert (ends["subscriber"]["messages"], ends["subscriber"]["bytes"]) == (3, 27)
    assert str(ends["publisher"]["since"]) <= str(ends["publisher"]["until"])


def test_many_connections_come_in_pages(running: tuple[Relay, int]) -> None:
    relay_, port = running
    address = ("127.0.0.1", relay_.subscribe_port)
    peers = [socket.create_connection(address, DEADLINE) for _ in range(1500)]
    try:
        wait_for_metric(port, 'relay_connections{feed="tcp",role="subscriber"}', 1500)
        few = json.loads(ask(port, "/connections?most=7")[2])
        first = json.loads(ask(port, "/connections")[2])
        assert (few["connections"], few["next"]) == (first["connections"][:7], first["connections"][6]["number"])
        second = json.loads(ask(port, f"/connections?after={first['next']}")[2])
        assert (len(first["connections"]), len(second["connections"]), second["next"]) == (1000, 500, None)
        assert {row["peer"] for row in first["connections"] + second["connections"]} == {
            f"127.0.0.1:{peer.getsockname()[1]}" for peer in peers
        }
    finally:
        for peer in peers:
            reset(peer)
    wait_for_metric(port, 'relay_connections{feed="tcp",role="subscriber"}', 0)


def test_who_lags_and_is_cut_shows_up_as_that(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("stall-timeout = 0\n")  # until all has been looked at
    with (
        relay("--config", str(file), "--send-buffer", "4KiB") as (relay_, port),
        socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
        roomy(relay_.subscribe_port, 4096),
    ):
        wait_for_metric(port, 'relay_subscribers{state="live"}', 1)
        publisher.sendall(frame(bytes(50_000)) * 20)
        wait_for_metric(port, "relay_published_messages_total", 20)
        wait_for_metric(port, 'relay_subscribers{state="lagging"}', 1)
        [row] = [row for row in rows(port) if row["role"] == "subscriber"]
        assert row["state"] == "lagging"
        lag = row["lag"]
        assert isinstance(lag, dict)
        assert 0 < lag["bytes"] == 20 * 50_004 - int(str(row["bytes"]))
        assert metric(port, "relay_lag_seconds_gcount") == 1
        file.write_text("stall-timeout = 1\n")
        relay_.log.process.send_signal(signal.SIGHUP)
        wait_for_metric(port, 'relay_connections_closed_total{feed="tcp",reason="stalled",role="subscriber"}', 1)
        [end] = rows(port, "/connections?ended")
        assert end["reason"] == CloseReason.STALLED
        assert metric(port, "relay_delivered_bytes_total") == end["bytes"]


def test_whose_certificate_it_was_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    doors = ("--publish-tls", "tcp:0:interface=127.0.0.1", "--publisher-ca", str(authority.ca))
    with relay(*doors, "--certificate", str(authority.issue())) as (relay_, port):
        tls = int(relay_.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        with socket.create_connection(("127.0.0.1", tls), DEADLINE) as plain:
            assert [row["state"] for row in rows(port)] in ([], ["handshake"])
            context = authority.client(authority.issue())
            with context.wrap_socket(plain, server_hostname="localhost"):
                wait_for_metric(port, 'relay_tls_handshakes_total{result="completed",role="publisher"}', 1)
                [row] = rows(port)
        assert str(row["tls_subject"]).count("=") >= 1
        with socket.create_connection(("127.0.0.1", tls), DEADLINE) as plain, suppress(OSError):
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while plain.recv(100):
                pass
        wait_for_metric(port, 'relay_tls_handshakes_total{result="failed",role="publisher"}', 1)


def test_a_token_is_asked_for_everywhere_but_for_health_and_is_read_again_at_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    with relay("--web-token-file", str(file)) as (relay_, port):
        assert ask(port, "/healthz")[0] == 200
        for path in ("/readyz", "/metrics", "/connections", "/none"):
            status, headers, body = ask(port, path)
            assert (status, body) == (401, b"a token is needed\n"), path
            assert headers.get_all("WWW-Authenticate") == ['Basic realm="relay", charset="UTF-8"', "Bearer"]
        assert ask(port, "/metrics", Authorization="Bearer wrong")[0] == 401
        relay_.log.wait_for(r"#warn\] web request from 127\.0\.0\.1:\d+ with a wrong token")
        assert ask(port, "/metrics", Authorization="Bearer s3cret")[0] == 200
        assert ask(port, "/metrics", Authorization=basic(b"s3cret").decode())[0] == 200
        file.write_text("other\n")
        relay_.log.process.send_signal(1)
        relay_.log.wait_for("reloaded; ")
        assert ask(port, "/metrics", Authorization="Bearer s3cret")[0] == 401
        assert ask(port, "/metrics", Authorization="Bearer other")[0] == 200
        file.write_text("")
        relay_.log.process.send_signal(1)
        relay_.log.wait_for("reload failed, everything stays as it was: web-token-file: ")
        assert ask(port, "/metrics", Authorization="Bearer other")[0] == 200
        failed = 'relay_reloads_total{result="failed"}'  # a page that took long to make is given out again for a while
        wait_until(lambda: metric_with(port, "other", failed) == 1, "the reload is counted")


def metric_with(port: int, token: str, sample: str) -> float:
    text = ask(port, "/metrics", Authorization=f"Bearer {token}")[2].decode()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(sample))


def test_those_who_send_nothing_take_no_place_of_the_relays_and_leave_in_time_to_come() -> None:
    with relay("--max-connections", "2") as (relay_, port):
        idle = [socket.create_connection(("127.0.0.1", port), DEADLINE) for _ in range(MAX_WEB_CONNECTIONS + 20)]
        try:
            relay_.log.wait_for(f"web connection from .* cut: there are {MAX_WEB_CONNECTIONS}", 20)
            assert ask(port, "/healthz")[0] == 200, "whoever holds all of them keeps nobody out"
            with (
                socket.create_connection(("127.0.0.1", relay_.subscribe_port), DEADLINE) as subscriber,
                socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
            ):
                relay_.log.wait_for("subscriber .* connected")
                publisher.sendall(frame(b"hello"))
                assert subscriber.recv(100) == frame(b"hello")
        finally:
            for one in idle:
                one.close()


def test_who_comes_with_many_others_is_let_in(running: tuple[Relay, int]) -> None:
    peers = [socket.create_connection(("127.0.0.1", running[1]), DEADLINE) for _ in range(MAX_WEB_CONNECTIONS - 50)]
    for peer in peers:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for peer in peers:
        with peer:
            assert peer.recv(100).startswith(b"HTTP/1.1 200 ")


def test_it_says_that_it_drains_until_it_has() -> None:
    with (
        relay("--drain-timeout", "20", "--send-buffer", "4KiB") as (relay_, port),
        socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
        socket.create_connection(("127.0.0.1", port), DEADLINE) as idle,
        roomy(relay_.subscribe_port, 4096) as slow,
    ):
        wait_for_metric(port, 'relay_subscribers{state="live"}', 1)
        publisher.sendall(frame(bytes(50_000)) * 20)
        wait_for_metric(port, "relay_published_messages_total", 20)
        wait_for_metric(port, 'relay_subscribers{state="lagging"}', 1)
        relay_.log.process.terminate()
        relay_.log.wait_for("1 subscribers lag: they have 20 s")
        assert ask(port, "/readyz")[::2] == (503, b"draining\n")
        assert ask(port, "/healthz")[0] == 200
        assert receive_all(slow) == frame(bytes(50_000)) * 20
        slow.close()
        assert relay_.log.wait_for_end() == 0
        with suppress(ConnectionResetError):
            assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            ask(port, "/healthz")


# Its start


def test_a_taken_port_ends_the_start_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        log = start(
            *(TWISTD, "-n", "--pidfile=", "relay", "--publish", "tcp:0:interface=127.0.0.1"),
            *("--subscribe", "tcp:0:interface=127.0.0.1", "--web", f"tcp:{port}:interface=127.0.0.1"),
        )
        assert log.wait_for_end() == 1
    assert log.find(
        rf"relay cannot start: --web tcp:{port}:\S+: port {port} is taken, by \S+ \(process {os.getpid()}\)$"
    )
    assert "Traceback" not in log.text


def test_anybody_who_can_read_it_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret")
    with Relay("--web", "tcp:0") as open_:
        open_.log.wait_for(r"#warn\] whoever reaches 0\.0\.0\.0:\d+ can see all messages: --web-token-file would")
    with Relay("--web", "tcp:0", "--web-token-file", str(file)) as closed:
        closed.log.wait_for("relaying messages")
        assert not closed.log.find("can see all messages")
    with relay() as (local, _):
        local.log.wait_for("relaying messages")
        assert not local.log.find("can see all messages")


def test_without_its_package_the_start_says_how_to_get_it_and_a_relay_without_web_port_needs_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError('no', name='prometheus_client')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [TWISTD, "-n", "--pidfile=", "relay", "--publish", "tcp:0", "--subscribe", "tcp:0"]
    done = subprocess.run(
        [*command, *WEB_PORT], env=environment, capture_output=True, text=True, timeout=DEADLINE, cwd=tmp_path
    )
    assert done.returncode == 1
    python = Path(TWISTD).read_text().splitlines()[0].removeprefix("#!")  # as pip wrote it, perhaps python3.11
    needs = f"--web needs prometheus_client: {python} -m pip install prometheus-client wsproto\n"
    assert done.stderr == f"relay cannot start: {needs}"
    checked = subprocess.run(
        [TWISTD, "relay", "--check", *WEB_PORT], env=environment, capture_output=True, text=True, timeout=DEADLINE
    )
    assert checked.returncode == 1
    assert (checked.stdout, checked.stderr) == ("", needs)
    loaded = "import relay.daemon.service, sys; print([n for n in sys.modules if n.startswith(('prom', 'twisted.w'))])"
    assert (
        subprocess.check_output([sys.executable, "-c", loaded], env=environment, text=True, timeout=DEADLINE) == "[]\n"
    )
