"""Pushes with real processes: store and forward over paths that are cut, and to relays that are killed."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.fakes import frame
from tests.kit.numbered import numbers, publish, reading
from tests.kit.peers import connection, receive, subscribers
from tests.kit.process import DEADLINE, Relay, free_port, wait_until
from tests.kit.proxy import Proxy, RandomFaults

SEED = 12


def pushing(port: int, session: bool = True) -> tuple[str, str]:
    return "--push", f"{'session:' if session else ''}tcp:127.0.0.1:{port}"


def test_over_a_path_that_is_cut_anywhere_everything_comes_once_and_in_order(thorough: bool) -> None:
    faults = RandomFaults(SEED, 60 if thorough else 12, 20_000, 400 if thorough else 0)
    with (
        Relay("--buffer", "64MiB") as centre,
        Proxy(centre.publish_port, each=faults) as proxy,
        Relay(*pushing(proxy.port)) as site,
        reading(centre) as reader,
    ):
        site.log.wait_for("goes on with")
        count = 0
        while not faults.over:
            publish(site.publish_port, range(count, count + 500), 0.2 if thorough else 0.02)  # all of it is kept
            count += 500
        wait_until(lambda: len(reader.messages) >= count, "all messages came", 4 * DEADLINE)
        assert numbers(reader) == list(range(count))
        assert not site.log.find("messages are lost|Traceback")
        assert len(site.log.find("push .* connected")) > 5, site.log.text


def test_a_night_without_a_link_costs_nothing_but_disk(tmp_path: Path) -> None:
    """What is published meanwhile is many times the buffer, and comes from the journal."""
    port = free_port()
    options = ("--buffer", "1MiB", "--journal", str(tmp_path), "--journal-size", "256MiB", *pushing(port))
    with Relay(*options) as site:
        site.log.wait_for("cannot connect: nobody listens there")
        publish(site.publish_port, range(40_000), 0)
        with Relay(publish=f"tcp:{port}") as centre, reading(centre) as reader:
            wait_until(lambda: len(reader.messages) >= 40_000, "all messages came")
            assert numbers(reader) == list(range(40_000))
        assert not site.log.find("messages are lost|Traceback")


def test_what_knows_nothing_of_relays_is_sent_everything() -> None:
    if shutil.which("nc") is None:
        pytest.skip("no nc here")
    port = free_port()
    with Relay("--framing", "line", *pushing(port, session=False)) as site:
        with subprocess.Popen(["nc", "-l", "127.0.0.1", str(port)], stdout=subprocess.PIPE) as sink:
            site.log.wait_for("push .* connected")
            with connection(site.publish_port) as publisher:
                publisher.sendall(b"one\ntwo\n")
            assert sink.stdout is not None
            assert sink.stdout.read(8) == b"one\ntwo\n"
            sink.terminate()
        site.log.wait_for("push .* disconnected")


def test_over_tls_the_name_is_checked(authority: Authority) -> None:
    with Doors(authority.issue("localhost")) as centre, subscribers(centre) as [subscriber]:
        for host, words in (("localhost", "goes on with 1"), ("127.0.0.1", "TLS handshake failed.*not for the host")):
            remote = f"session:tls:{host}:{centre.publish_tls_port}"
            with Relay("--push", remote, "--reach-ca", str(authority.ca)) as site:
                site.log.wait_for(f"push .* {words}")
                if host == "localhost":
                    with connection(site.publish_port) as publisher:
                        publisher.sendall(frame(b"one"))
                        assert receive(subscriber, 7) == frame(b"one")


def test_what_was_published_before_a_stop_is_at_the_other_relay() -> None:
    with Relay() as centre, subscribers(centre) as [subscriber]:
        with Relay(*pushing(centre.publish_port), "--drain-timeout", "20") as site:
            site.log.wait_for("goes on with")
            threading.Thread(target=publish, args=(site.publish_port, range(1000), 0)).start()
            site.log.wait_for("publisher .* disconnected")
            assert site.stop() == 0
        received = 0
        while received < 1000:
            size = int.from_bytes(receive(subscriber, 4))
            assert receive(subscriber, size).startswith(b"%d " % received)
            received += 1
