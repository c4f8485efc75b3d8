"""Workers as real processes: to peers and operators they are one relay, whatever becomes of one of them."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select

import pytest

from relay.workers.inquiries import WITHIN
from relay.workers.worker import MODULE
from tests.kit.certificates import Authority
from tests.kit.doors import Doors, dial
from tests.kit.fakes import frame
from tests.kit.mirrors import Mirror
from tests.kit.numbered import numbers, publish, reading
from tests.kit.peers import connection, ends, receive, receive_all, refused, subscribers
from tests.kit.process import DEADLINE, TWISTD, Relay, children, free_port, killed, lasting, roomy, start, wait_until
from tests.kit.web import ask, metric, rows
from tests.kit.web import relay as web_relay

WORKERS = ("--workers", "2")
OPEN = 'relay_connections{feed="tcp",role="subscriber"}'
LOST = 'relay_connections_closed_total{feed="tcp",reason="worker lost",role="subscriber"}'
DELIVERED = "relay_delivered_messages_total"
MOST = 15
"""Connections from one address."""
BIG = frame(b"x" * 90_000)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Relay, int]]:
    """A relay with two workers, and its web port. Whoever uses it leaves it as it was."""
    with web_relay(*WORKERS, "--max-per-address", str(MOST)) as running:
        yield running


def gone(*pids: int) -> bool:
    """Whether none of the processes runs any more."""
    states = [
        file.read_text().rpartition(")")[2].split()[0] for pid in pids if (file := Path(f"/proc/{pid}/stat")).exists()
    ]
    return all(state == "Z" for state in states)


def leave(relay: Relay, port: int) -> None:
    """Until nobody subscribes any more: who has closed a connection is noticed when it is sent something."""
    with connection(relay.publish_port) as publisher:  # one, because connections from one address are limited

        def left() -> bool:
            publisher.sendall(frame(b"0 "))
            return metric(port, OPEN) == 0

        wait_until(left, "all have left")


def reported(port: int, path: str) -> list[dict[str, object]]:
    """The rows of an answer for which every worker has reported: who does not in time is left out of one."""
    while True:
        begin = time.monotonic()
        found = rows(port, path)
        if time.monotonic() - begin < WITHIN:
            return found


def test_all_subscribers_get_everything_and_show_up_as_of_one_relay(running: tuple[Relay, int]) -> None:
    relay, port = running
    with subscribers(relay, 10) as peers, connection(relay.publish_port) as publisher:
        publisher.sendall(frame(b"1") + frame(b"2"))
        assert [receive(peer, 10) for peer in peers] == [frame(b"1") + frame(b"2")] * 10
        wait_until(lambda: metric(port, OPEN) == 10, "all are counted")  # a report serves for 0.2 s
        wait_until(lambda: metric(port, DELIVERED) >= 20, "what they were given is counted")
        own = {f"127.0.0.1:{peer.getsockname()[1]}" for peer in peers}
        found: list[dict[str, object]] = []
        while more := reported(port, f"/connections?most=4&after={found[-1]['number'] if found else 0}"):
            found += more
        assert sorted(str(row["peer"]) for row in found if row["role"] == "subscriber") == sorted(own)
        assert len([row for row in found if row["role"] == "worker"]) == 2
    leave(relay, port)
    assert own <= {row["peer"] for row in reported(port, "/connections?ended")}


def test_the_limit_of_an_address_is_for_all_workers_together(running: tuple[Relay, int]) -> None:
    relay, port = running
    with ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(connection(relay.subscribe_port, "127.0.0.2"))
        wait_until(lambda: metric(port, OPEN) == MOST, "all are there")
        assert refused(relay.subscribe_port, "127.0.0.2")
        with connection(relay.subscribe_port) as other, connection(relay.publish_port) as own:
            wait_until(lambda: metric(port, OPEN) == MOST + 1, "another one is there")
            own.sendall(frame(b"3"))
            assert receive(other, 5) == frame(b"3")
    leave(relay, port)


def test_a_worker_that_is_killed_is_replaced_and_nobody_is_refused(running: tuple[Relay, int]) -> None:
    relay, port = running
    with reading(relay) as reader, subscribers(relay, 8) as peers:
        publish(relay.publish_port, range(200), 0)
        wait_until(lambda: numbers(reader)[-1:] == [199], "the session reads")
        before, lost = metric(port, DELIVERED), metric(port, LOST)
        first = len(reader.messages)
        for victim in children(relay.pid):
            os.kill(victim, signal.SIGKILL)
        with connection(relay.subscribe_port) as late:
            publish(relay.publish_port, range(200, 400), 0)
            for peer in peers:
                receive_all(peer)
            wait_until(lambda: numbers(reader)[-1:] == [399], "the session goes on")
            assert numbers(reader)[first:] == list(range(200, 400))
            wait_until(lambda: _hears(relay, late), "who came meanwhile is served")
        wait_until(lambda: ask(port, "/readyz")[0] == 200, "ready again")
        assert metric(port, LOST) >= lost + 8
        assert metric(port, DELIVERED) >= before
    relay.log.wait_for("worker . has ended by SIGKILL", 2)
    assert len(relay.log.find("worker . has ended by SIGKILL")) == 2
    leave(relay, port)


def _hears(relay: Relay, peer: socket.socket) -> bool:
    """Publish, and say whether `peer` was given something."""
    publish(relay.publish_port, range(400, 401), 0)
    return bool(select([peer], [], [], 0.1)[0])


WAITS = """
import os, sys, time
while {module!r} in sys.orig_argv and not os.path.exists({file!r}):
    time.sleep(0.01)
"""
"""What keeps workers from starting until there is a file."""


def test_the_relay_is_ready_when_its_workers_accept_and_not_before(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "start"
    (tmp_path / "sitecustomize.py").write_text(WAITS.format(module=MODULE, file=str(file)))  # Python runs it first
    endpoints = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1")
    web = ("--web", f"tcp:{port}:interface=127.0.0.1")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    log = start(TWISTD, "-n", "--pidfile=", "relay", *WORKERS, *endpoints, *web, env=environment)
    answers: list[tuple[int, bytes]] = []

    def says(status: int, words: bytes) -> bool:
        with suppress(ConnectionRefusedError):
            status_now, _, body = ask(port, "/readyz")
            answers.append((status_now, body))
        return answers[-1:] == [(status, words)]

    try:
        wait_until(lambda: says(503, b"starting: not every worker accepts connections yet\n"), "it waits for workers")
        assert {status for status, _ in answers} == {503}
        file.touch()
        wait_until(lambda: says(200, b"ok\n"), "it is ready")
        assert metric(port, 'relay_worker_up{worker="1"}') + metric(port, 'relay_worker_up{worker="2"}') == 2
        assert {body for status, body in answers if status == 503} <= {
            b"starting: not every port listens yet\n",
            b"starting: not every worker accepts connections yet\n",
        }
    finally:
        log.process.terminate()
        log.wait_for_end()


def test_a_worker_that_hangs_is_killed_and_publishers_go_on(running: tuple[Relay, int]) -> None:
    relay, _ = running
    stuck = children(relay.pid)[0]
    os.kill(stuck, signal.SIGSTOP)
    try:
        with connection(relay.publish_port) as publisher:
            publisher.sendall((frame(b"4") * 1000) * 200)
            publisher.shutdown(socket.SHUT_WR)
            assert publisher.recv(1) == b""
        relay.log.wait_for("worker . does not answer: it is killed")
        wait_until(lambda: gone(stuck) or stuck not in children(relay.pid), "it is gone")
    finally:
        if not gone(stuck):
            os.kill(stuck, signal.SIGCONT)
    relay.log.wait_for("worker . has ended by SIGKILL")


def stop_while_it_lags(relay: Relay) -> list[int]:
    """Publish `BIG` 60 times to a subscriber that does not read it, and tell the relay to stop. Returns its workers."""
    relay.log.wait_for("subscriber .* connected")
    pids = children(relay.pid)
    with connection(relay.publish_port) as publisher:
        publisher.sendall(BIG * 60)
        publisher.shutdown(socket.SHUT_WR)
        assert publisher.recv(1) == b""
    relay.log.process.terminate()
    relay.log.wait_for("SIGTERM received, stopping")
    return pids


def test_a_stop_gives_lagging_subscribers_the_rest_and_leaves_no_process_behind() -> None:
    with Relay(*WORKERS, "--drain-timeout", "20") as relay, roomy(relay.subscribe_port, 64 * 1024) as lagging:
        pids = stop_while_it_lags(relay)
        wait_until(lambda: _refuses(relay.subscribe_port), "nobody can connect any more")
        assert receive_all(lagging) == BIG * 60
        assert relay.log.wait_for_end() == 0
        assert gone(*pids)
        assert not relay.log.find("Traceback|has ended by")


def _refuses(port: int) -> bool:
    """Whether the kernel refuses several connections, whichever socket it would give them to."""
    for _ in range(8):
        try:
            connection(port).close()
        except ConnectionRefusedError:
            continue
        return False
    return True


def test_a_second_signal_ends_it_at_once() -> None:
    with Relay(*WORKERS, "--drain-timeout", "600") as relay, roomy(relay.subscribe_port, 64 * 1024):
        pids = stop_while_it_lags(relay)
        relay.log.process.terminate()
        assert relay.log.wait_for_end() == 0
        assert gone(*pids)


def test_workers_end_with_a_relay_that_is_killed_and_the_next_has_its_ports() -> None:
    relay = lasting(*WORKERS)
    pids = children(relay.pid)
    with subscribers(relay, 3) as peers, killed(relay, *WORKERS) as following:
        assert all(ends(peer) for peer in peers)
        wait_until(lambda: gone(*pids), "they end")
        with subscribers(following, 1) as [peer], connection(following.publish_port) as publisher:
            publisher.sendall(frame(b"x"))
            assert receive(peer, 5) == frame(b"x")


def test_over_tls_and_ipv6_and_behind_a_proxy_certificates_change_at_reload(tmp_path: Path) -> None:
    authority, file = Authority(tmp_path), tmp_path / "current.pem"
    first, second, third = (authority.issue("localhost", f"number-{n}.example").read_bytes() for n in range(3))
    file.write_bytes(first)
    config = tmp_path / "relay.toml"
    config.write_text("stall-timeout = 100\n")
    more = ("--subscribe", "haproxy:tcp:0:interface=127.0.0.2", "--subscribe", "tcp6:0:interface=\\:\\:1")
    with Doors(file, *WORKERS, *more, "--config", str(config)) as relay, ExitStack() as stack:
        proxied = int(relay.log.wait_for(r"subscribers on 127\.0\.0\.2:(\d+)")[1])
        six = int(relay.log.wait_for(r"subscribers on \[::1\]:(\d+)")[1])
        behind = stack.enter_context(socket.create_connection(("127.0.0.2", proxied), DEADLINE))
        behind.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 8001\r\n")
        peers = [behind, stack.enter_context(socket.create_connection(("::1", six), DEADLINE))]
        peers.append(stack.enter_context(dial(relay.subscribe_tls_port, authority.client())))
        relay.log.wait_for("subscriber .* connected", 3)
        publisher = stack.enter_context(connection(relay.publish_port))
        publisher.sendall(frame(b"one"))
        assert [receive(peer, 7) for peer in peers] == [frame(b"one")] * 3
        file.write_bytes(second)
        os.kill(relay.pid, signal.SIGHUP)
        relay.log.wait_for("reloaded; ")
        for _ in range(6):  # both workers are likely to be met
            wait_until(lambda: _shown(relay, authority) in second, "the new certificate")
        publisher.sendall(frame(b"two"))
        assert [receive(peer, 7) for peer in peers] == [frame(b"two")] * 3
        file.write_bytes(third)
        config.write_text("stall-timeout = 'soon'\n")
        os.kill(relay.pid, signal.SIGHUP)
        relay.log.wait_for("reload failed, everything stays as it was")
        os.kill(children(relay.pid)[0], signal.SIGKILL)
        relay.log.wait_for("worker . has ended")
        for _ in range(6):
            assert _shown(relay, authority) in second  # which is in force, also in the one that is new
        assert not relay.log.find("Traceback")


def _shown(relay: Doors, authority: Authority) -> bytes:
    with dial(relay.subscribe_tls_port, authority.client()) as peer:
        shown = peer.getpeercert(binary_form=True)
        assert shown is not None
        return ssl.DER_cert_to_PEM_cert(shown).encode()


def test_a_flood_beyond_the_pace_of_workers_and_subscribers_loses_nothing_if_publishers_are_blocked() -> None:
    def message(number: int) -> bytes:
        return frame(number.to_bytes(4) + b"x" * 60_000)

    size, count = len(message(0)), 3000
    with Relay(*WORKERS, "--buffer", "8MiB", "--slow", "block") as relay, subscribers(relay, 2) as peers:
        found: list[list[bytes]] = [[], []]

        def read(peer: socket.socket, heads: list[bytes]) -> None:
            heads += [receive(peer, size)[4:8] for _ in range(count)]

        threads = [threading.Thread(target=read, args=pair, daemon=True) for pair in zip(peers, found, strict=True)]
        for thread in threads:
            thread.start()
        with connection(relay.publish_port) as publisher:
            for number in range(count):
                publisher.sendall(message(number))
        for thread in threads:
            thread.join(DEADLINE)
        assert found == [[number.to_bytes(4) for number in range(count)]] * 2
        assert not relay.log.find("overrun|Traceback|upstream gap")


def test_a_mirror_and_a_journal_may_have_workers_too(tmp_path: Path) -> None:
    with (
        Relay(*WORKERS, "--journal", str(tmp_path)) as first,
        Mirror(first.subscribe_port, *WORKERS) as second,
        reading(first) as here,
        reading(second) as there,
    ):
        publish(first.publish_port, range(300), 0)
        for reader in (here, there):
            wait_until(lambda reader=reader: len(reader.messages) >= 300, "all came")  # type: ignore[misc]
            assert numbers(reader) == list(range(300))


def test_who_lags_beyond_a_workers_memory_is_given_what_the_relays_journal_has(tmp_path: Path) -> None:
    count = 300  # messages, some 25 times what the buffer holds
    with Relay("--workers", "1", "--buffer", "1MiB", "--journal", str(tmp_path)) as relay:
        with subscribers(relay, 1) as [lagging], connection(relay.publish_port) as publisher:
            for number in range(count):
                publisher.sendall(frame(number.to_bytes(4) + bytes(90_000)))
            relay.log.wait_for("publisher .* connected")
            heads = [receive(lagging, 90_008)[4:8] for _ in range(count)]
            assert heads == [number.to_bytes(4) for number in range(count)]
        assert not relay.log.find("overrun|Traceback|upstream gap")


def test_what_cannot_have_workers_is_told_by_check() -> None:
    for options, words in (
        (("--workers", "2"), ""),
        (("--workers", "2", "--framing", "line"), "--workers: workers need --framing int32"),
    ):
        done = subprocess.run(
            [TWISTD, "-n", "relay", *options, "--check"], capture_output=True, text=True, timeout=DEADLINE
        )
        assert words in done.stdout + done.stderr
        assert (done.returncode == 0) is (not words)
