"""A relay that cannot start says why in one line on standard error, also as a daemon."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.process import DEADLINE, TWISTD

FOREGROUND, DAEMON = (TWISTD, "-n"), (TWISTD,)
ANY = "tcp:0:interface=127.0.0.1"


def refusal(command: tuple[str, ...], *options: str, cwd: Path) -> str:
    """The one line that is left of a relay which cannot start; no file of it is."""
    before = set(cwd.iterdir())
    done = subprocess.run(
        [*command, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert set(cwd.iterdir()) == before
    assert done.stderr.count("\n") == 1
    return done.stderr.rstrip("\n")


@pytest.mark.parametrize("command", [FOREGROUND, DAEMON], ids=["foreground", "daemon"])
@pytest.mark.parametrize("option", ["pidfile", "logfile"])
def test_a_file_that_cannot_be_written(command: tuple[str, ...], option: str, tmp_path: Path) -> None:
    for file, reason in ((tmp_path / "none" / "file", "No such file or directory"), (tmp_path, "Is a directory")):
        line = refusal(command, f"--{option}={file}", "relay", cwd=tmp_path)
        assert line == f"relay: --{option}: {file}: {reason}"


@pytest.mark.parametrize("command", [FOREGROUND, DAEMON], ids=["foreground", "daemon"])
def test_a_port_that_is_taken(command: tuple[str, ...], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        other = refusal(command, "relay", "--publish", ANY, "--subscribe", endpoint, cwd=tmp_path)
    own = refusal(command, "relay", "--publish", endpoint, "--subscribe", endpoint, cwd=tmp_path)
    begin = rf"relay cannot start: --subscribe {endpoint}: port \d+ is taken, by "
    assert re.fullmatch(rf"{begin}\S+ \(process {os.getpid()}\)", other)
    assert re.fullmatch(rf"{begin}--publish of this relay", own)


def test_a_unix_socket_that_a_daemon_cannot_make(tmp_path: Path) -> None:
    """In the foreground standard output is the log by then; `mistakes.txt` has that."""
    (tmp_path / "file").write_text("precious")
    long, twice = "x" * 120, tmp_path / "twice"
    for publish, reason in (
        ("unix:none/s", "none: No such file or directory"),
        ("unix:file", "file is there already: remove it, if nobody needs it"),
        (f"unix:{long}", f"{long}: AF_UNIX path too long"),
        (f"unix:{twice}", f"{twice} is taken, by --publish of this relay"),
    ):
        options = ("--publish", publish, "--subscribe", f"unix:{twice}")
        line = refusal(DAEMON, "relay", *options, cwd=tmp_path)
        asked = f"--subscribe unix:{twice}" if publish == f"unix:{twice}" else f"--publish {publish}"
        assert line == f"relay cannot start: {asked}: {reason}"


@pytest.mark.parametrize("command", [FOREGROUND, DAEMON], ids=["foreground", "daemon"])
def test_a_port_that_takes_a_capability(command: tuple[str, ...], tmp_path: Path) -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv (Debian: util-linux)")
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:2]:  # pytest's own, which only root may enter
        folder.chmod(0o711)
    nobody = ("setpriv", "--reuid=65534", "--clear-groups")
    if subprocess.run([*nobody, sys.executable, "-c", "import relay"], capture_output=True, cwd=tmp_path).returncode:
        pytest.skip("needs a checkout and a Python that every user can enter")
    line = refusal((*nobody, *command), "relay", "--publish", "tcp:80", "--subscribe", ANY, cwd=tmp_path)
    assert line.startswith("relay cannot start: --publish tcp:80: port 80 needs the capability CAP_NET_BIND_SERVICE")
