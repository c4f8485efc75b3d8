"""Pulls with real processes: another relay over paths that are cut, sources that know nothing of relays, and TLS."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from select import select

import pytest

from tests.kit import web
from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.fakes import frame
from tests.kit.numbered import numbers, publish, reading
from tests.kit.peers import connection, receive, subscribers
from tests.kit.process import DEADLINE, Lines, Relay, free_port, lasting, start, wait_until
from tests.kit.proxy import Proxy, RandomFaults

SEED = 12


def pulling(port: int, session: bool = True) -> tuple[str, str]:
    return "--pull", f"{'session:' if session else ''}tcp:127.0.0.1:{port}"


def test_over_a_path_that_is_cut_anywhere_everything_comes_once_and_in_order(thorough: bool) -> None:
    # A hello that is cut costs the 5 seconds that its answer may take.
    faults = RandomFaults(SEED, 60 if thorough else 12, 60 if thorough else 0, 20_000)
    with (
        Relay("--buffer", "64MiB") as source,
        Proxy(source.subscribe_port, each=faults) as proxy,
        Relay(*pulling(proxy.port)) as site,
        reading(site) as reader,
    ):
        site.log.wait_for("goes on behind")
        count = 0
        while not faults.over:
            publish(source.publish_port, range(count, count + 500), 0.2 if thorough else 0.02)  # all of it is kept
            count += 500
        wait_until(lambda: len(reader.messages) >= count, "all messages came", 4 * DEADLINE)
        assert numbers(reader) == list(range(count))
        assert not site.log.find("lost before|Traceback")
        assert len(site.log.find("pull .* connected")) > 5, site.log.text


def test_a_relay_with_a_journal_that_is_killed_goes_on_where_it_stood(tmp_path: Path, thorough: bool) -> None:
    """The place is in the records of the messages: no crash can come between the two."""
    kills, count = (40, 80_000) if thorough else (2, 6_000)
    with Relay("--buffer", "64MiB") as source, ExitStack() as stack:
        options = ("--journal", str(tmp_path), "--journal-size", "64MiB", *pulling(source.subscribe_port))
        site = stack.enter_context(lasting(*options))
        ports = site.publish_port, site.subscribe_port
        site.log.wait_for("goes on behind")
        with reading(site) as reader:
            sending = threading.Thread(target=publish, args=(source.publish_port, range(count), 0.05))
            sending.start()
            for _ in range(kills):
                enough = min(len(reader.messages) + 300, count)
                wait_until(lambda enough=enough: len(reader.messages) >= enough, "it goes on")  # type: ignore[misc]
                site.log.process.kill()
                site.log.process.wait()
                site = stack.enter_context(Relay(*options, publish=f"tcp:{ports[0]}", subscribe=f"tcp:{ports[1]}"))
            sending.join()
            wait_until(lambda: len(reader.messages) >= count, "all messages came", 2 * DEADLINE)
        assert numbers(reader) == list(range(count))
        assert not site.log.find("lost before|Traceback")


def test_a_source_that_is_restarted_is_pulled_from_again_and_its_new_epoch_is_told() -> None:
    source = lasting()
    with ExitStack() as stack:
        stack.enter_context(source)
        site = stack.enter_context(Relay(*pulling(source.subscribe_port)))
        site.log.wait_for("goes on behind")
        source.stop()
        stack.enter_context(Relay(publish=f"tcp:{source.publish_port}", subscribe=f"tcp:{source.subscribe_port}"))
        site.log.wait_for("an unknown number of messages lost before .*-1$")
        with connection(site.subscribe_port) as peer, connection(source.publish_port) as publisher:
            site.log.wait_for("subscriber .* connected")
            publisher.sendall(frame(b"new"))
            assert receive(peer, 7) == frame(b"new")


def test_over_tls_the_authority_and_the_name_are_checked_and_a_certificate_is_shown(
    authority: Authority, stranger: Authority
) -> None:
    own = authority.issue("site.example")
    with Doors(authority.issue("localhost"), "--subscriber-ca", str(authority.ca)) as source:
        remote = f"session:tls:localhost:{source.subscribe_tls_port}"
        with Relay("--pull", remote, "--reach-ca", str(authority.ca), "--reach-certificate", str(own)) as site:
            site.log.wait_for("goes on behind")
        for options, words in (
            (("--reach-ca", str(stranger.ca), "--reach-certificate", str(own)), "certificate verify failed"),
            (("--reach-ca", str(authority.ca)), "certificate required|alert"),
        ):
            with Relay("--pull", remote, *options) as site:
                site.log.wait_for(f"pull .* disconnected: .*({words})")
        other = f"session:tls:127.0.0.1:{source.subscribe_tls_port}"
        with Relay("--pull", other, "--reach-ca", str(authority.ca), "--reach-certificate", str(own)) as site:
            site.log.wait_for("pull .* TLS handshake failed.*not for the host")


def test_a_pull_comes_and_goes_with_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("")
    with Relay() as source, Relay("--config", str(file)) as site:
        file.write_text(f'[reach]\npull = ["session:tcp:127.0.0.1:{source.subscribe_port}"]\n')
        os.kill(site.pid, signal.SIGHUP)
        site.log.wait_for("reloaded; changed: pull session:tcp")
        site.log.wait_for("goes on behind")
        file.write_text("")
        os.kill(site.pid, signal.SIGHUP)
        site.log.wait_for("pull .* disconnected: removed")
        assert not site.log.find("Traceback")


@contextmanager
def netcat(port: int) -> Iterator[Lines]:
    """`nc -lk`: what its standard input brings goes to who connects."""
    if shutil.which("nc") is None:
        pytest.skip("no nc here")
    process = start("nc", "-lk", "127.0.0.1", str(port), stdin=-1)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


def test_netcat_is_pulled_from_and_again_after_it_was_away() -> None:
    port = free_port()
    with Relay("--framing", "line", *pulling(port, session=False)) as site, connection(site.subscribe_port) as peer:
        site.log.wait_for("cannot connect: nobody listens there; it goes on trying")
        for line in (b"first\n", b"second\n"):
            connected = len(site.log.find("pull .* connected"))
            with netcat(port) as source:
                site.log.wait_for("pull .* connected", connected + 1)
                assert source.process.stdin is not None
                source.process.stdin.write(line.decode())
                source.process.stdin.flush()
                assert receive(peer, len(line)) == line
        assert not site.log.find("Traceback")


def test_a_serial_device_behind_ser2net_is_pulled_from(tmp_path: Path) -> None:
    if shutil.which("ser2net") is None:
        pytest.skip("no ser2net here")
    device, line = os.openpty()
    tty.setraw(device)
    port = free_port()
    config = tmp_path / "ser2net.yaml"
    config.write_text(
        f"%YAML 1.1\n---\nconnection: &device\n  accepter: tcp,127.0.0.1,{port}\n"
        f"  connector: serialdev,{os.ttyname(line)},9600n81,local\n  options:\n    kickolduser: true\n"
    )
    server = start("ser2net", "-d", "-u", "-c", str(config))
    try:
        with Relay("--framing", "line", *pulling(port, session=False)) as site:
            site.log.wait_for("pull .* connected")  # to the server, which may not read the device yet
            with subscribers(site) as [peer]:
                first = b"$GPTXT,01,01,02,reads*00\r\n"

                def reads() -> bool:
                    os.write(device, first)
                    return bool(select([peer], [], [], 0.05)[0])

                wait_until(reads, "the server reads the device")
                sentence = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
                os.write(device, sentence * 3)
                received = b""
                while not received.endswith(sentence * 3):
                    received += peer.recv(2**16)
                assert received == first * received.count(first) + sentence * 3
    finally:
        server.process.kill()
        server.process.wait()
        os.close(device)
        os.close(line)


def test_many_sources_become_one_order_and_each_is_counted() -> None:
    """Two relays, one with a session and one without, and a server that knows nothing of relays."""
    counts = 3_000, 2_000, 1_000
    with (
        Relay() as first,
        Relay() as second,
        socket.create_server(("127.0.0.1", 0)) as listener,
        ExitStack() as stack,
    ):
        listener.settimeout(DEADLINE)
        ports = first.subscribe_port, second.subscribe_port, listener.getsockname()[1]
        options = [pulling(port, session=port == first.subscribe_port) for port in ports]
        site, port = stack.enter_context(web.relay(*chain(*options)))
        readers = stack.enter_context(subscribers(site, 2))
        source, _ = listener.accept()
        site.log.wait_for("goes on behind")
        site.log.wait_for("pull .* connected", 3)
        with source, connection(first.publish_port) as to_first, connection(second.publish_port) as to_second:
            for number in range(max(counts)):
                for peer, name, count in zip((to_first, to_second, source), (b"a", b"b", b"c"), counts, strict=True):
                    if number < count:
                        peer.sendall(frame(name + b"%06d" % number))
            received = [receive(reader, sum(counts) * 11) for reader in readers]
            pulls = {row["name"]: row["messages"] for row in web.rows(port) if row["role"] == "pull"}
        assert received[0] == received[1]
        messages = [received[0][at + 4 : at + 11] for at in range(0, len(received[0]), 11)]
        for name, count in zip((b"a", b"b", b"c"), counts, strict=True):
            assert [one for one in messages if one[:1] == name] == [name + b"%06d" % number for number in range(count)]
        for (_, remote), count in zip(options, counts, strict=True):
            assert pulls[remote] == count
            sample = f'relay_reach_messages_total{{remote="{remote}",role="pull"}}'
            assert web.metric(port, sample) == count


def test_a_source_that_floods_is_held_back_like_any_publisher() -> None:
    """With `block`, what the slowest subscriber does not read stays with the source."""
    block = frame(bytes(1020)) * 1024
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        port = listener.getsockname()[1]
        with Relay("--slow", "block", "--buffer", "1MiB", *pulling(port, session=False)) as site:
            source, _ = listener.accept()
            with source, socket.socket() as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
                slow.connect(("127.0.0.1", site.subscribe_port))
                site.log.wait_for("subscriber .* connected")
                source.settimeout(0.5)
                sent = 0

                def told() -> bool:
                    nonlocal sent
                    with suppress(TimeoutError):  # the relay has had no turn, or waits
                        sent += source.send(block[sent % len(block) :])
                    return bool(site.log.find("publishers wait"))

                wait_until(told, "publishers wait")
                with pytest.raises(TimeoutError):
                    while sent < 64 * 2**20:
                        sent += source.send(block[sent % len(block) :])
