"""What the garbage collector of a running relay looks at: until it is done, nobody is passed a message."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.kit.process import Relay, children, wait_until

COLLECT = """
import gc, os, signal

def collect(*signal):
    gc.collect()
    with open({file!r}, "a") as file:
        print(os.getpid(), gc.get_freeze_count(), len(gc.get_objects()), file=file)

signal.signal(signal.SIGUSR2, collect)
"""
"""A module that Python imports as it starts: with a signal comes a full collection, which becomes a line of a file."""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_collection_leaves_out_what_was_there_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    file = tmp_path / "collections"
    file.touch()
    (tmp_path / "sitecustomize.py").write_text(COLLECT.format(file=str(file)))
    with monkeypatch.context() as environment:
        environment.setenv("PYTHONPATH", str(tmp_path))
        relay = Relay("--workers", str(workers))
    with relay:
        processes = {relay.pid, *children(relay.pid)}
        for process in processes:
            os.kill(process, signal.SIGUSR2)
        wait_until(lambda: file.read_text().count("\n") == 1 + workers, "each has collected")
    found = [list(map(int, line.split())) for line in file.read_text().splitlines()]
    assert {process for process, _, _ in found} == processes
    for _, left_out, others in found:
        assert left_out > 20_000 > 10 * others
