"""The examples with sessions, in each language, as programs that run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.kit.javascript import BUN, NODE, needs_bun, needs_node
from tests.kit.page import ROOT
from tests.kit.process import DEADLINE, wait_until

CC = shutil.which("cc")
EXAMPLES = ROOT / "examples"
SUBSCRIBER, PUBLISHER = "resuming_subscriber", "acknowledged_publisher"
needs_cc = pytest.mark.skipif(not CC, reason="needs a C compiler: apt install gcc")
PUBLISHERS = [
    pytest.param((sys.executable, ".py"), id="python"),
    pytest.param((NODE, ".mjs"), id="node", marks=needs_node),
    pytest.param((BUN, ".mjs"), id="bun", marks=needs_bun),
]
SUBSCRIBERS = [*PUBLISHERS, pytest.param((CC, ".c"), id="c", marks=needs_cc)]
Command = list[str]


class Running:
    """An example that runs. What it says and what it prints are files."""

    def __init__(self, command: Command, port: int, folder: Path, stdin: int | IO[bytes] = subprocess.DEVNULL) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "127.0.0.1", str(port)], stdin=stdin, stdout=output, stderr=errors
            )

    @property
    def output(self) -> bytes:
        return self._output.read_bytes()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def wait_for(self, output: bytes) -> None:
        """Wait until it has printed so much, and see that it is exactly that."""
        wait_until(lambda: len(self.output) >= len(output), "all of the messages")
        assert self.output == output

    def wait_for_words(self, words: str) -> None:
        wait_until(lambda: words in self.errors, f"{words!r}")

    def wait_for_end(self) -> int:
        return self.process.wait(DEADLINE)


@contextmanager
def running(
    command: Command, port: int, folder: Path, stdin: int | IO[bytes] = subprocess.DEVNULL
) -> Iterator[Running]:
    example = Running(command, port, folder, stdin)
    try:
        yield example
    finally:
        example.process.kill()
        example.process.wait()


def subscriber_command(language: tuple[str, str], folder: Callable[[str], Path]) -> Command:
    """The command of the subscriber in one language of `SUBSCRIBERS`, but for host and port.

    `folder`: makes a folder for what has to be compiled, named after what it is given.
    """
    program, suffix = language
    source = str(EXAMPLES / (SUBSCRIBER + suffix))
    if suffix != ".c":
        return [program, source]
    built = folder("c") / SUBSCRIBER
    subprocess.run(
        [program, "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-o", str(built), source], check=True
    )
    return [str(built)]


def publisher_command(language: tuple[str, str]) -> Command:
    """The command of the publisher in one language of `PUBLISHERS`, but for its name, host and port."""
    program, suffix = language
    return [program, str(EXAMPLES / (PUBLISHER + suffix))]
