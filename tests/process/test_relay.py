"""The relay as a process, over real sockets: what the README promises, tried from outside."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.internet.interfaces import ITransport
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import Int32StringReceiver

from tests.kit.fakes import frame
from tests.kit.peers import connection, receive, receive_all, subscribers
from tests.kit.process import DEADLINE, TWISTD, Lines, Relay, free_port, start
from tests.kit.web import relay as web_relay
from tests.kit.web import wait_for_metric


class Stock(Int32StringReceiver):
    """A peer as anyone writes it with Twisted; `complete` fires once it has received so many messages."""

    transport: ITransport

    def __init__(self, count: int = 0) -> None:
        self.received: list[bytes] = []
        self.count = count
        self.complete: Deferred[list[bytes]] = Deferred()

    def stringReceived(self, message: bytes) -> None:
        self.received.append(message)
        if len(self.received) == self.count:
            self.complete.callback(self.received)


def dial(port: int, protocol: Stock) -> Deferred[Stock]:
    dialled: Deferred[Stock] = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), protocol)
    return dialled


@pytest_twisted.ensureDeferred
async def test_stock_twisted_peers_get_every_message_of_every_publisher_in_one_order() -> None:
    publishers, count = 3, 200
    with Relay() as relay:
        receivers = await gatherResults(
            [dial(relay.subscribe_port, Stock(publishers * count)) for _ in range(3)], consumeErrors=True
        )
        await deferToThread(relay.log.wait_for, "subscriber .* connected", 3)
        senders = await gatherResults([dial(relay.publish_port, Stock()) for _ in range(publishers)])
        sizes = random.Random(1)
        for number in range(count):
            for name, sender in enumerate(senders):
                sender.sendString(b"%d:%d:" % (name, number) + b"x" * sizes.randrange(3000))
        first, *others = await gatherResults([receiver.complete for receiver in receivers])
        for peer in (*receivers, *senders):
            peer.transport.loseConnection()
    for received in others:
        assert received == first
    for name in range(publishers):
        numbers = [int(message.split(b":")[1]) for message in first if message.startswith(b"%d:" % name)]
        assert numbers == list(range(count))


@pytest.mark.parametrize("reactor", ["select", "poll", "asyncio"])
def test_other_reactors_do_too(reactor: str) -> None:
    """With more than the kernel takes at once, so that waiting for room is tried as well."""
    messages = frame(b"x" * 50_000) * 400
    with (
        Relay(twistd=("--reactor", reactor)) as relay,
        subscribers(relay, 3) as peers,
        connection(relay.publish_port) as publisher,
        ThreadPoolExecutor() as pool,
    ):
        publishing = pool.submit(publisher.sendall, messages)
        for peer in peers:
            assert receive(peer, len(messages)) == messages
        publishing.result(DEADLINE)
        assert len(relay.log.find(f"reactor class: .*{reactor}")) == 1


@pytest_twisted.ensureDeferred
async def test_unix_sockets_and_many_endpoints_work_too(tmp_path: Path) -> None:
    """A Unix socket has Twisted's own transport: slower, and otherwise the same."""
    publish, subscribe = tmp_path / "publish", tmp_path / "subscribe"
    with Relay("--publish", f"unix:{publish}", "--subscribe", f"unix:{subscribe}") as relay:
        receiver = await connectProtocol(UNIXClientEndpoint(reactor, str(subscribe)), Stock(2))
        receiver.MAX_LENGTH = 2**20
        await deferToThread(relay.log.wait_for, "subscriber .* connected")
        sender = await connectProtocol(UNIXClientEndpoint(reactor, str(publish)), Stock())
        sender.sendString(b"x" * 99_999)
        await deferToThread(relay.log.wait_for, "publisher .* connected")
        with connection(relay.publish_port) as other:
            other.sendall(frame(b"over TCP"))
            received = await receiver.complete
        for peer in (receiver, sender):
            peer.transport.loseConnection()
    assert sorted(map(len, received)) == [8, 99_999]


def test_lines_of_a_file_arrive_byte_for_byte_through_netcat(tmp_path: Path) -> None:
    netcat = shutil.which("nc")
    if netcat is None:
        pytest.skip("needs nc (Debian: netcat-openbsd)")
    words = random.Random(1)
    file = tmp_path / "lines.txt"
    file.write_text(
        "".join(f"{number} {'äß€ '[: words.randrange(4)] * words.randrange(9)}\n" for number in range(10**5))
    )
    size = file.stat().st_size
    with Relay("--framing", "line") as relay, subscribers(relay, 3) as peers:
        with file.open("rb") as lines:
            subprocess.run(
                [netcat, "-N", "127.0.0.1", str(relay.publish_port)], stdin=lines, check=True, timeout=DEADLINE
            )
        for peer in peers:
            assert receive(peer, size) == file.read_bytes()


def test_a_subscriber_that_closed_its_sending_half_keeps_receiving() -> None:
    netcat = shutil.which("nc")
    if netcat is None:
        pytest.skip("needs nc (Debian: netcat-openbsd)")
    with Relay("--framing", "line") as relay:
        reader = start(netcat, "127.0.0.1", str(relay.subscribe_port))  # its standard input is /dev/null
        relay.log.wait_for("subscriber .* connected")
        with connection(relay.publish_port) as publisher:
            for line in ("one", "two"):
                publisher.sendall(line.encode() + b"\n")
                reader.wait_for(line)
        reader.process.kill()
        reader.wait_for_end()
        with connection(relay.publish_port) as publisher:
            while not relay.log.find("subscriber .* disconnected"):
                publisher.sendall(b"for nobody\n")
        assert relay.log.wait_for("subscriber .* disconnected: (.*?),")[1] == "peer closed"


def test_raw_takes_every_read_for_a_message() -> None:
    with (
        Relay("--framing", "raw") as relay,
        subscribers(relay, 2) as peers,
        connection(relay.publish_port) as publisher,
    ):
        publisher.sendall(b"\xff\xff\xff\xffanything")
        for peer in peers:
            assert receive(peer, 12) == b"\xff\xff\xff\xffanything"


def test_bad_input_ends_that_publisher_alone_and_nothing_after_it_is_delivered() -> None:
    with Relay() as relay, subscribers(relay) as [peer], connection(relay.publish_port) as good:
        for start_of_bad, line in (
            (pack("!I", 100_000), r"it sent a message of 100,000 bytes, more than the limit of 99,999 bytes$"),
            (b"GET / HTTP/1.1\r\n\r\n", r"more than the limit of 99,999 bytes; it looks like an HTTP request"),
            (b"\x16\x03\x01\x02\x00\x01\x00", r"more than the limit of 99,999 bytes; it looks like a TLS handshake"),
        ):
            with connection(relay.publish_port) as bad:
                bad.sendall(start_of_bad + frame(b"late"))
                assert receive_all(bad) == b""
            found = relay.log.wait_for(line)
            assert "#warn]" in found.string
            assert f"publisher 127.0.0.1:{bad_port(found.string)}" in found.string
        with connection(relay.publish_port) as bad:
            bad.sendall(frame(b"before") + pack("!I", 2**32 - 1) + frame(b"late") * 3)
            assert receive_all(bad) == b""
        with connection(relay.publish_port) as partial:
            partial.sendall(frame(b"whole") + frame(b"only begun")[:-1])
        relay.log.wait_for("13 bytes of an incomplete message dropped")
        good.sendall(frame(b"good"))
        expected = frame(b"before") + frame(b"whole") + frame(b"good")
        assert receive(peer, len(expected)) == expected
        assert len(relay.log.find("message too long, 0 messages")) == 3
        assert len(relay.log.find("message too long, 1 messages")) == 1


@pytest.mark.parametrize("framing", ["line", "raw"])
def test_what_a_browser_or_a_tls_or_ssh_client_sends_is_not_published(framing: str) -> None:
    """A web page may send a request to any port, without asking, if it is `text/plain`."""
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nContent-Type: text/plain\r\n\r\nforged\n"
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="relay.example").do_handshake()
    with Relay("--framing", framing) as relay, subscribers(relay) as [peer]:
        for first, what in (
            (request, "an HTTP request"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH client"),
            (hello.read() + b"\n", "a TLS handshake"),
        ):
            with connection(relay.publish_port) as bad:
                bad.sendall(first)
                assert receive_all(bad) == b""
            relay.log.wait_for(f"disconnected: foreign protocol, 0 messages, 0 bytes; it looks like {what}, which")
        with connection(relay.publish_port) as good:
            good.sendall(b"GET it done\n")
            assert receive(peer, 12) == b"GET it done\n"


@pytest.mark.parametrize("order", [("tcp", "tcp6"), ("tcp6", "tcp")], ids=" ".join)
def test_both_families_may_have_the_same_port(order: tuple[str, str]) -> None:
    number = free_port()
    options = [word for kind in order for word in ("--publish", f"{kind}:{number}")]
    with Relay(*options) as relay, subscribers(relay) as [peer]:
        for host, shown in (("127.0.0.1", r"publisher 127\.0\.0\.1:"), ("::1", r"publisher \[::1\]:")):
            with socket.create_connection((host, number), DEADLINE) as publisher:
                publisher.sendall(frame(host.encode()))
                assert receive(peer, 4 + len(host)) == frame(host.encode())
            relay.log.wait_for(shown + r"\d+ disconnected: peer closed, 1 messages")


def test_a_last_line_without_a_line_feed_is_dropped_with_a_warning_and_counted() -> None:
    with web_relay("--framing", "line") as (relay, port), subscribers(relay) as [peer]:
        with connection(relay.publish_port) as publisher:
            publisher.sendall(b"whole\nhello")
        found = relay.log.wait_for(
            "5 bytes of an incomplete message dropped; its last line does not end with a line feed"
        )
        assert "#warn]" in found.string
        assert receive(peer, 6) == b"whole\n"
        wait_for_metric(port, "relay_incomplete_messages_total", 1)


def bad_port(line: str) -> str:
    return line.split("127.0.0.1:")[1].split()[0]


def test_what_a_subscriber_sends_is_thrown_away_with_one_line() -> None:
    with Relay() as relay, subscribers(relay, 2) as [noisy, quiet], connection(relay.publish_port) as publisher:
        for _ in range(100):
            noisy.sendall(frame(b"noise") * 1000)
        publisher.sendall(frame(b"one"))
        assert receive(noisy, 7) == receive(quiet, 7) == frame(b"one")
        relay.log.wait_for(r"sends data, which is thrown away: publishers belong on tcp:0")
        assert len(relay.log.find("sends data")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_no_traceback(number: signal.Signals) -> None:
    with Relay() as relay, subscribers(relay) as [peer], connection(relay.publish_port) as publisher:
        publisher.sendall(frame(b"one"))
        assert receive(peer, 7) == frame(b"one")
        relay.log.process.send_signal(signal.SIGUSR1)
        relay.log.process.send_signal(number)
        assert relay.log.wait_for_end() == 0
        relay.log.wait_for(f"{number.name} received, stopping")
        assert len(relay.log.find("disconnected: shutdown")) == 2
        assert not relay.log.find("Traceback")


def test_a_taken_port_ends_the_start_with_one_line() -> None:
    with Relay() as relay:
        taken = f"tcp:{relay.subscribe_port}:interface=127.0.0.1"
        second = start(
            TWISTD, "-n", "--pidfile=", "relay", "--publish", "tcp:0:interface=127.0.0.1", "--subscribe", taken
        )
        assert second.wait_for_end() == 1
    assert len(second.find(f"relay cannot start: --subscribe {taken}: port {relay.subscribe_port} is taken, by ")) == 1
    assert not second.find("Traceback|listening for")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--framing", "crlf"], "--framing: 'crlf' is not one of int32, int16, varint"),
        (["--buffer", "1000"], "--buffer: 1,000 bytes is too small: at least 1 MiB"),
        (["--replay", "-1"], "--replay: '-1' is not a whole number from 0"),
        (["--publish", "tcp:http"], "--publish: 'tcp:http' is not an endpoint"),
        (["--bufer", "1MiB"], "--bufer"),
        (["surplus"], "unexpected argument 'surplus'"),
    ],
)
def test_a_bad_option_ends_the_start_with_one_line(options: list[str], reason: str) -> None:
    relay = start(TWISTD, "-n", "--pidfile=", "relay", *options)
    assert relay.wait_for_end() == 1
    assert reason in relay.text.splitlines()[-1]
    assert "Traceback" not in relay.text


def test_as_a_daemon_it_has_a_pid_file_and_a_log_file_and_a_second_one_says_why_it_does_not_start(
    tmp_path: Path,
) -> None:
    def twistd(name: str, publish: str) -> Lines:
        files = ("--pidfile", str(tmp_path / f"{name}.pid"), "--logfile", str(tmp_path / f"{name}.log"))
        endpoints = ("--publish", publish, "--subscribe", "tcp:0:interface=127.0.0.1")
        return start(TWISTD, *files, "relay", *endpoints)

    assert twistd("first", "tcp:0:interface=127.0.0.1").wait_for_end() == 0
    log = start("tail", "-n", "+1", "-F", str(tmp_path / "first.log"))
    try:
        port = int(log.wait_for(r"listening for publishers on 127\.0\.0\.1:(\d+)")[1])
        second = twistd("second", f"tcp:{port}:interface=127.0.0.1")
        assert second.wait_for_end() == 1
        holder = f"twistd (process {(tmp_path / 'first.pid').read_text()})"
        reason = f"relay cannot start: --publish tcp:{port}:interface=127.0.0.1: port {port} is taken, by {holder}"
        assert second.text == reason
        assert not (tmp_path / "second.pid").exists()
        os.kill(int((tmp_path / "first.pid").read_text()), signal.SIGTERM)
        log.wait_for("Server Shut Down")
    finally:
        log.process.kill()
        log.wait_for_end()
