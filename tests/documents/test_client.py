"""docs/client.md: its programs, run as they stand there but for the ports, and its tables and figures."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.client import asyncio, connection, errors, store, twisted
from relay.client.backoff import Backoff
from tests.kit.page import ROOT
from tests.kit.process import Lines, Relay, lasting, start, wait_until
from tests.kit.proxy import Fault, Proxy

PAGE = (ROOT / "docs" / "client.md").read_text()
PROGRAMS = dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))
LINES = [f"line {number}" for number in range(1, 5001)]
PIECE = 6000
"""Bytes that come through a path before it is cut: about a tenth of what there is."""

both = pytest.mark.parametrize("front", ["", "twisted_"], ids=["asyncio", "twisted"])


@contextmanager
def running(folder: Path, program: str, port: int) -> Iterator[Lines]:
    """A program of the page, in a folder of its own, at another port."""
    code = re.sub(r"(subscription|publication)\(", rf"\1(port={port}, ", PROGRAMS[program])
    (folder / program).write_text(re.sub(r"tcp:127\.0\.0\.1:\d+", f"tcp:127.0.0.1:{port}", code))
    process = start(sys.executable, "-u", program, cwd=folder)
    try:
        yield process
    finally:
        process.process.kill()
        process.wait_for_end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
    return tmp_path


def numbers(printed: str) -> list[int]:
    """The numbers of the messages' positions. Checks that each message is the one that has this number."""
    found = [re.fullmatch(r"[0-9a-f]+-(\d+) (.*)", line) for line in printed.splitlines()]
    assert all(found), f"not all are messages: {printed.splitlines()[:3]} ..."
    pairs = [(int(match[1]), match[2]) for match in found if match]
    assert [text for _, text in pairs] == [LINES[number - 1] for number, _ in pairs]
    return [number for number, _ in pairs]


def test_the_page_has_the_programs_that_are_tried_here() -> None:
    assert list(PROGRAMS) == ["subscribe.py", "publish.py", "twisted_subscribe.py", "twisted_publish.py"]
    assert PAGE.count("```python") == len(PROGRAMS)


@both
def test_over_paths_that_are_cut_every_line_comes_once(front: str, folder: Path) -> None:
    with (
        Relay() as relay,
        Proxy(relay.publish_port, up=Fault(cut=PIECE)) as up,
        Proxy(relay.subscribe_port, down=Fault(reset=PIECE)) as down,
        running(folder, f"{front}subscribe.py", down.port) as subscriber,
    ):
        relay.log.wait_for("begins a session")
        with running(folder, f"{front}publish.py", up.port) as publisher:
            assert publisher.wait_for_end() == 0, publisher.text
        subscriber.wait_for(f" {LINES[-1]}$")
        assert numbers(subscriber.text) == list(range(1, len(LINES) + 1))
        assert len(relay.log.find("publisher .* begins a session")) > 5


@both
def test_a_publisher_that_is_killed_and_started_again_has_published_every_line_once(front: str, folder: Path) -> None:
    with (
        Relay() as relay,
        Proxy(relay.publish_port, up=Fault(hole=PIECE)) as up,
        running(folder, f"{front}subscribe.py", relay.subscribe_port) as subscriber,
    ):
        relay.log.wait_for("begins a session")
        with running(folder, f"{front}publish.py", up.port):
            subscriber.wait_for(" line ")
        with running(folder, f"{front}publish.py", relay.publish_port) as publisher:
            assert publisher.wait_for_end() == 0, publisher.text
        subscriber.wait_for(f" {LINES[-1]}$")
        assert numbers(subscriber.text) == list(range(1, len(LINES) + 1))
        assert len(relay.log.find("publisher .* begins a session at [1-9]")) == 1


@both
def test_a_subscriber_that_is_killed_and_started_again_has_missed_nothing(front: str, folder: Path) -> None:
    program, position = f"{front}subscribe.py", folder / "position.txt"
    with Relay() as relay:
        with (
            Proxy(relay.subscribe_port, down=Fault(hole=PIECE)) as down,
            running(folder, program, down.port) as before,
        ):
            relay.log.wait_for("begins a session")
            with running(folder, f"{front}publish.py", relay.publish_port) as publisher:
                assert publisher.wait_for_end() == 0, publisher.text
            before.wait_for(" line ")

            def kept() -> bool:
                last = numbers(before.text)[-1]
                return re.search(rf"-({last - 1}|{last})\n$", position.read_text()) is not None

            wait_until(kept, "the position of what is dealt with")
        with running(folder, program, relay.subscribe_port) as after:
            after.wait_for(f" {LINES[-1]}$")
        first, second = numbers(before.text), numbers(after.text)
        assert first == list(range(1, first[-1] + 1)) and len(first) < len(LINES)
        assert second == list(range(second[0], len(LINES) + 1))
        assert first[-1] <= second[0] <= first[-1] + 1, "what was dealt with more than a second ago does not come again"


@both
def test_a_relay_that_was_killed_and_started_again_is_a_gap(front: str, folder: Path) -> None:
    with lasting() as relay, running(folder, f"{front}subscribe.py", relay.subscribe_port) as subscriber:
        relay.log.wait_for("begins a session")
        with running(folder, f"{front}publish.py", relay.publish_port) as publisher:
            assert publisher.wait_for_end() == 0, publisher.text
        subscriber.wait_for(f" {LINES[-1]}$")
        relay.log.process.kill()
        relay.log.wait_for_end()
        with Relay(publish=f"tcp:{relay.publish_port}", subscribe=f"tcp:{relay.subscribe_port}"):
            subscriber.wait_for("^missing: None$")


# Tables and figures


def test_every_exception_has_a_row() -> None:
    raised = [
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ClientError) and kind is not errors.ClientError
    ]
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == sorted(raised)


def default(function: object, parameter: str) -> object:
    return inspect.signature(function).parameters[parameter].default  # type: ignore[arg-type]  # a class will do too


def test_the_figures_are_those_of_the_code() -> None:
    for publication in asyncio.publication, twisted.Publication:
        assert default(publication, "max_unacknowledged") == 2**20 and "(`max_unacknowledged`, 1 MiB)" in PAGE
        assert default(publication, "ack_within") == 30 and "`ack_within` (30 seconds)" in PAGE
    for client in asyncio.publication, twisted.Publication, asyncio.subscription, twisted.Subscription:
        assert default(client, "heartbeat") == 10
    assert connection.MISSED == 3 and "three heartbeats without a byte (`heartbeat`, 10 seconds)" in PAGE
    assert store.EVERY == 1 and "at most once a second" in PAGE
    waits = Backoff()
    assert (waits.first, waits.most) == (0.1, 30) and "a tenth of a second" in PAGE and "up to 30\nseconds" in PAGE
