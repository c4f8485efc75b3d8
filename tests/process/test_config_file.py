"""The configuration file and `--check`, with a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, TWISTD, Relay


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "relay.toml"


def twistd_check(*arguments: str) -> tuple[object, str, str]:
    """The exit status of `--check`, its output and its error output."""
    done = subprocess.run([TWISTD, "relay", "--check", *arguments], capture_output=True, text=True, timeout=DEADLINE)
    return done.returncode, done.stdout, done.stderr


def test_check_says_ok(file: Path) -> None:
    file.write_text("replay = 1\n")
    assert twistd_check("--config", str(file)) == (0, "ok\n", "")


def test_check_has_a_line_for_each_fault_and_status_1(file: Path) -> None:
    """Of names, types and values first; then of the files that it names, all of them."""
    file.write_text('slwo = 1\nreplay = true\nslow = "wait"\n')
    lines = (
        f"{file}: slwo: there is no such setting\n{file}: replay: True is not a whole number\n"
        f"{file}: slow: 'wait' is not one of disconnect, skip, block\n"
    )
    assert twistd_check("--config", str(file)) == (1, "", lines)
    file.write_text("[journal]\njournal = '/none'\n[web]\nweb = 'tcp:0'\nweb-token-file = '/none'\n")
    lines = "web-token-file: /none: No such file or directory\njournal: /none: there is no such folder\n"
    assert twistd_check("--config", str(file)) == (1, "", lines)


def test_check_looks_at_the_folder_of_the_journal(tmp_path: Path) -> None:
    size = "--journal-size", "64MiB"
    assert twistd_check("--journal", str(tmp_path), *size) == (0, "ok\n", "")
    for missing in (tmp_path / "none", Path(__file__)):
        assert twistd_check("--journal", str(missing)) == (1, "", f"journal: {missing}: there is no such folder\n")


def test_without_check_the_start_ends_the_same_way(file: Path) -> None:
    file.write_text("slwo = 1\n")
    start = [TWISTD, "-n", "--pidfile=", "relay", "--config", str(file)]
    done = subprocess.run(start, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1
    assert f"{file}: slwo: there is no such setting" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_reload_does_not_open_a_door_that_asked_for_certificates(file: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = f'[tls]\ncertificate = "{authority.issue()}"\nsubscribe-tls = "tcp:0:interface=127.0.0.1"\n'
    door = f'publish-tls = "tcp:0:interface=127.0.0.1"\npublisher-ca = "{authority.ca}"\n'
    file.write_text(certificate + door)
    with Relay("--config", str(file)) as relay:
        port = int(relay.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        file.write_text(certificate)
        os.kill(relay.pid, signal.SIGHUP)
        relay.log.wait_for("reloaded; .*; only after a restart: publish-tls")
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain,
            authority.client().wrap_socket(plain, server_hostname="localhost") as publisher,
        ):
            publisher.sendall(frame(b"forged"))
        relay.log.wait_for("publisher .* disconnected")
        assert not relay.log.find("publisher .* connected$")
