"""The web port's token, as `--check` sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.kit.process import DEADLINE, TWISTD


def test_check_reads_the_token_too(tmp_path: Path) -> None:
    command = [TWISTD, "relay", "--check", "--web", "tcp:8003", "--web-token-file"]
    for file, says in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        done = subprocess.run([*command, file], capture_output=True, text=True, timeout=DEADLINE)
        assert (done.returncode, done.stderr) == (1, f"web-token-file: {file}: {says}\n")


def test_a_token_without_a_web_port_is_a_mistake() -> None:
    done = subprocess.run(
        [TWISTD, "relay", "--check", "--web-token-file", "x"], capture_output=True, text=True, timeout=DEADLINE
    )
    assert (done.returncode, done.stderr) == (1, "--web-token-file: there is no web port that it could be for\n")
