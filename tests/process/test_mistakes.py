"""Fifty mistakes and more, each with all that is printed and the status: `mistakes.txt` is the table."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.page import ROOT
from tests.kit.process import Relay

TABLE = Path(__file__).with_name("mistakes.txt").read_text()
PROGRESS = re.compile(r"connected to |waiting for |all is sent; waiting until |received 0 |\d\d:\d\d:\d\d\.")
"""Lines that say how it goes, not what is wrong."""


@dataclass(frozen=True)
class Mistake:
    """A command, and what comes of it. Words in braces stand for what differs each time, `...` for anything."""

    command: str
    printed: str
    status: int


def mistakes() -> Iterator[Mistake]:
    """Those of the table."""
    for command, printed, status in re.findall(r"^\$ (.*)\n((?:.*\n)*?)= (\d+)$", TABLE, re.MULTILINE):
        yield Mistake(command, printed, int(status))


MISTAKES = list(mistakes())


def write_files(folder: Path, authority: Authority) -> None:
    """The files that the commands name."""
    whole = authority.issue().read_text()
    key, certificate = re.split("(?<=KEY-----\n)(?=-----BEGIN CERT)", whole)
    for name, text in (
        ("whole.pem", whole),
        ("certificate.pem", certificate),
        ("key.pem", key),
        ("other.pem", authority.issue().read_text()),
        ("text", "neither a certificate nor a token\n"),
        ("typo.toml", 'bufer = "1MiB"\n'),
        ("table.toml", "keepalive = 1\n"),
        ("broken.toml", "[limits\n"),
        ("tls.toml", '[tls]\ncertificate = "whole.pem"\n'),
    ):
        (folder / name).write_text(text)
    (folder / "utf16.toml").write_text('slow = "skip"\n', encoding="utf-16")
    (folder / "utf16.token").write_text("0123456789abcdef\n", encoding="utf-16")


@pytest.fixture(scope="module")
def results(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """What each command printed, with words in braces for what differs each time."""
    folder = tmp_path_factory.mktemp("mistakes")
    write_files(folder, authority)
    web = ("--web", "tcp:0:interface=127.0.0.1")
    with ExitStack() as stack:
        doors = stack.enter_context(Doors(authority.issue()))
        relay = stack.enter_context(Relay(*web))
        line, raw = (stack.enter_context(Relay("--framing", framing)) for framing in ("line", "raw"))
        taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        names = {
            "folder": folder,
            "ca": authority.ca,
            "publish": relay.publish_port,
            "subscribe": relay.subscribe_port,
            "web": relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1],
            "publish-tls": doors.publish_tls_port,
            "subscribe-tls": doors.subscribe_tls_port,
            "publish-line": line.publish_port,
            "subscribe-line": line.subscribe_port,
            "subscribe-raw": raw.subscribe_port,
            "taken": taken.getsockname()[1],
        }
        commands = [mistake.command for mistake in MISTAKES]
        for name, value in names.items():
            commands = [command.replace(f"{{{name}}}", str(value)) for command in commands]
        done = subprocess.run(
            [sys.executable, "-m", "tests.kit.forked", folder],
            input="\n".join(commands),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    found = {}
    for mistake, text in zip(MISTAKES, done.stdout.splitlines(), strict=True):
        for name, value in names.items():
            text = text.replace(str(value), f"{{{name}}}")
        found[mistake.command] = json.loads(text)
    return found


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.command for mistake in MISTAKES])
def test_a_mistake_is_a_line_or_two_on_standard_error(
    mistake: Mistake, results: dict[str, tuple[int, str, str]]
) -> None:
    status, output, errors = results[mistake.command]
    wrong = "".join(line for line in errors.splitlines(keepends=True) if not PROGRESS.match(line))
    assert status == mistake.status, errors
    assert re.fullmatch(re.escape(mistake.printed).replace(r"\.\.\.", ".*"), wrong), wrong
    assert 1 <= wrong.count("\n") <= 2
    assert all(PROGRESS.match(line) or "[" in line[:30] for line in output.splitlines()), output


def test_there_are_fifty_and_no_two_alike() -> None:
    assert len(MISTAKES) == TABLE.count("\n$ ") + TABLE.startswith("$ ")
    assert len(MISTAKES) == len({mistake.command for mistake in MISTAKES}) >= 50
