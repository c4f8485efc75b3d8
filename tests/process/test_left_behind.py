"""A relay that was killed leaves a Unix socket, its lock and a pid file behind: the next one starts all the same."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, TWISTD, Lines, start


def begin(folder: Path) -> Lines:
    """A relay with a socket and a pid file in `folder`."""
    options = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", f"unix:{folder / 's'}")
    return start(TWISTD, "-n", f"--pidfile={folder / 'pid'}", "relay", *options)


@pytest.mark.parametrize("number", ["1", "its own", "another's"])
def test_it_starts_whatever_process_has_that_number_now(number: str, tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.wait_for("relaying messages")
    first.process.kill()
    first.wait_for_end()
    if number != "its own":
        number = "1" if number == "1" else str(os.getpid())
        (tmp_path / "pid").write_text(number)
        lock = tmp_path / "s.lock"
        lock.unlink()
        lock.symlink_to(number)
        os.utime(lock, (0, 0), follow_symlinks=False)
    second = begin(tmp_path)
    try:
        port = int(second.wait_for(r"publishers on 127\.0\.0\.1:(\d+)")[1])
        with socket.socket(socket.AF_UNIX) as subscriber, socket.create_connection(("127.0.0.1", port)) as publisher:
            subscriber.settimeout(DEADLINE)
            subscriber.connect(str(tmp_path / "s"))
            second.wait_for("subscriber .* connected")
            publisher.sendall(frame(b"one"))
            assert subscriber.recv(100) == frame(b"one")
            third = begin(tmp_path)
            assert third.wait_for_end() == 1
            assert third.text == (
                f"relay: --pidfile: {tmp_path / 'pid'}: twistd runs already, as process {second.process.pid}; "
                "--pidfile=FILE names another file, and --pidfile= none"
            )
    finally:
        second.process.terminate()
        second.wait_for_end()
    assert not os.path.lexists(tmp_path / "s.lock")
