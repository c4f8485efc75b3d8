"""Loops of relays end with a line: with sessions before a message goes round, and without before many do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.kit.fakes import frame
from tests.kit.peers import connection, receive, subscribers
from tests.kit.process import Relay, free_port, roomy, wait_until
from tests.kit.proxy import Proxy


@contextmanager
def ring(*kinds: str) -> Iterator[list[Relay]]:
    """Relays in a ring: each is connected to the next, by a connection of the one or of the other.

    `kinds`: `pull` or `push`, with `session:` before it.
    """
    ports = [(free_port(), free_port()) for _ in kinds]
    options: list[list[str]] = [[] for _ in kinds]
    for number, kind in enumerate(kinds):
        following = (number + 1) % len(kinds)
        session, _, way = kind.rpartition(":")
        remote = f"{session and 'session:'}tcp:127.0.0.1"
        if way == "pull":  # messages go from this one to the next
            options[following] += ["--pull", f"{remote}:{ports[number][1]}"]
        else:
            options[number] += ["--push", f"{remote}:{ports[following][0]}"]
    relays: list[Relay] = []
    try:
        for own, (publish, subscribe) in zip(options, ports, strict=True):
            relays.append(Relay(*own, publish=f"tcp:{publish}", subscribe=f"tcp:{subscribe}"))
        yield relays
        assert not [one for one in relays if one.log.find("Traceback")]
    finally:
        for one in relays:
            one.stop()


def until_silence(peer: socket.socket, seconds: float) -> bytes:
    """All that comes until nothing has come for so long."""
    peer.settimeout(seconds)
    received = b""
    with suppress(TimeoutError):
        while part := peer.recv(2**16):
            received += part
    return received


@pytest.mark.parametrize("ways", ["push push", "pull push", "pull pull pull"])
def test_a_loop_ends_with_a_line_and_no_message_goes_round(ways: str) -> None:
    with ring(*(f"session:{way}" for way in ways.split())) as relays:
        wait_until(lambda: any(one.log.find("this would be a loop") for one in relays), "somebody finds the loop")
        time.sleep(0.5)
        with subscribers(relays[0]) as [subscriber], connection(relays[0].publish_port) as publisher:
            publisher.sendall(frame(b"once"))
            assert receive(subscriber, 8) == frame(b"once")
            assert until_silence(subscriber, 1) == b""


@pytest.mark.parametrize("ways", ["pull pull", "push push", "pull push", "pull pull pull", "session:pull pull"])
def test_a_loop_without_sessions_ends_with_a_line_before_it_is_a_storm(ways: str, thorough: bool) -> None:
    if not thorough and ways not in ("pull pull", "push push"):
        pytest.skip("with --thorough")
    with ring(*ways.split()) as relays:
        there = len(relays)
        wait_until(lambda: sum(len(one.log.find(" (pull|push) .* connected")) for one in relays) >= there, "a ring")
        with subscribers(relays[0]) as [subscriber], connection(relays[0].publish_port) as publisher:
            begin = time.monotonic()
            sent = 0
            while not any(one.log.find("disconnected: loop.*this is a loop") for one in relays):
                assert time.monotonic() - begin < 30, "somebody finds the loop"
                publisher.sendall(frame(b"message %04d" % sent))
                sent += 1
                time.sleep(0.05)
            received = until_silence(subscriber, 0.5)
            assert len(received) / 16 < 10 * (sent + 10), "it was no storm"
            publisher.sendall(frame(b"last one now"))
            assert until_silence(subscriber, 1) == frame(b"last one now")


@pytest.mark.parametrize("option", ["--pull", "--push"])
def test_a_relay_that_is_connected_to_itself_ends_that_at_once(option: str) -> None:
    publish, subscribe = free_port(), free_port()
    port = subscribe if option == "--pull" else publish
    with Relay(option, f"tcp:127.0.0.1:{port}", publish=f"tcp:{publish}", subscribe=f"tcp:{subscribe}") as relay:
        relay.log.wait_for(f"{option[2:]} .* disconnected: loop.*it leads to this relay itself")


def test_a_relay_that_is_connected_to_itself_by_a_proxy_ends_that_when_a_message_comes_round() -> None:
    port = free_port()
    with Proxy(port) as proxy, Relay("--pull", f"tcp:127.0.0.1:{proxy.port}", subscribe=f"tcp:{port}") as relay:
        relay.log.wait_for("pull .* connected")  # to the proxy
        relay.log.wait_for("subscriber .* connected")  # and the proxy to the relay
        with connection(relay.publish_port) as publisher:
            publisher.sendall(frame(b"one"))
            relay.log.wait_for("pull .* disconnected: loop.*this is a loop")


@pytest.mark.parametrize("pause", [0.1, 0.0])
def test_a_source_that_repeats_one_message_is_no_loop(pause: float) -> None:
    """At most it is late for a moment; nothing is lost."""
    count = 40 if pause else 200_000
    with Relay() as source, Relay("--pull", f"tcp:127.0.0.1:{source.subscribe_port}") as site:
        site.log.wait_for("pull .* connected")
        message = frame(b"the same again and again")
        with connection(source.publish_port) as publisher, roomy(site.subscribe_port, 2**20) as reader:
            site.log.wait_for("subscriber .* connected")

            def publish() -> None:
                for _ in range(40):
                    publisher.sendall(message * (count // 40))
                    time.sleep(pause)

            thread = threading.Thread(target=publish)
            thread.start()
            assert receive(reader, count * len(message)) == message * count
            thread.join()
        assert not site.log.find("loop|Traceback")
