"""Whole runs of the benchmark, which are processes: verified, compared, interrupted, refused."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.kit.bench import BENCH, bench, needs_rich
from tests.kit.process import Relay, start

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)
needs_cc = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux", reason="there is no C compiler for Linux"
)


@needs_rich
def test_a_relay_of_its_own_is_verified_and_the_figures_are_kept(tmp_path: Path) -> None:
    """Peers that are not there are named, with how to get them, and do no harm."""
    ended = bench(
        tmp_path,
        *("--seconds", "1", "--subscribers", "3", "--publishers", "2", "--verify", "--json", "figures.json"),
        *("--compare", "redis,bun"),
        PATH="/nowhere",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr.splitlines() == [
        "redis: redis-server is not installed; to get it: Debian: apt install redis-server",
        "bun: bun is not installed; to get it: npm install bun",
    ]
    kept = json.loads((tmp_path / "figures.json").read_text())
    (figures,) = kept["figures"]
    assert (figures["system"], figures["subscribers"]) == ("relay", 3)
    assert (figures["incomplete"], figures["damaged"], figures["orders"]) == (0, 0, 1)
    assert figures["deliveries_per_second"] == pytest.approx(3 * figures["published"] / figures["seconds"])
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["p99"] <= figures["latency"]["p999"] < 1e6
    assert kept["command"].startswith("python -m tester.bench --seconds 1")
    assert {"cpu", "cores", "kernel"} == set(kept["machine"])
    assert {"relay", "Twisted", "Python"} == set(kept["versions"])
    if sys.platform == "linux":
        assert 0 < figures["server_cpu_per_delivery"] < 1000
        assert 20e6 < figures["server_peak_memory"] < 500e6


@needs_rich
def test_workers_are_verified_and_their_processor_time_and_memory_count(tmp_path: Path) -> None:
    ended = bench(
        tmp_path,
        *("--workers", "0,1", "--subscribers", "3", "--seconds", "0.5", "--runs", "1", "--verify"),
        *("--json", "figures.json"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    without, one = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert (without["system"], one["system"]) == ("relay", "relay, 1 worker")
    assert (one["incomplete"], one["damaged"], one["orders"]) == (0, 0, 1)
    if sys.platform == "linux":
        assert one["server_peak_memory"] > 1.5 * without["server_peak_memory"]


@needs_rich
def test_another_framing_is_verified(tmp_path: Path) -> None:
    ended = bench(
        tmp_path,
        *("--framing", "nul", "--seconds", "0.5", "--subscribers", "2", "--publishers", "2", "--size", "40"),
        "--verify",
    )
    assert ended.returncode == 0, ended.stderr


def test_sessions_are_verified_over_heartbeats_and_acknowledgements_are_timed(tmp_path: Path) -> None:
    """Short messages: many of them would fit into a heartbeat that was taken for messages."""
    ended = bench(
        tmp_path,
        *("--session", "--acks", "--heartbeat", "1", "--seconds", "2.5", "--subscribers", "3", "--publishers", "2"),
        *("--rate", "500", "--size", "16", "--verify", "--compare", "silent", "--json", "figures.json"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "ack p99 ms" in ended.stdout
    spoken, silent = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert (spoken["system"], silent["system"]) == ("relay", "silent")
    for figures in (spoken, silent):
        assert (figures["incomplete"], figures["damaged"], figures["unacknowledged"]) == (0, 0, 0)
        assert figures["orders"] == 1
    assert 0 < spoken["ack_ms"]["p50"] <= spoken["ack_ms"]["p99"] < 1000
    assert silent["ack_ms"] is None


@needs_rich
def test_a_relay_without_room_for_sessions_is_not_measured(tmp_path: Path) -> None:
    with Relay("--framing", "line") as relay:
        where = ("--publish", f"127.0.0.1:{relay.publish_port}", "--subscribe", f"127.0.0.1:{relay.subscribe_port}")
        ended = bench(tmp_path, *where, "--acks", "--seconds", "0.3")
    assert ended.returncode == 1
    assert "the relay ended it: this relay has the framing line" in ended.stderr


@needs_rich
@needs_matplotlib
@needs_cc
def test_a_relay_in_c_has_the_same_load_and_both_are_drawn(tmp_path: Path) -> None:
    arguments = ("--seconds", "0.3", "--subscribers", "1,20", "--compare", "c", "--plot", "drawing.svg")
    ended = bench(tmp_path, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("│ c ") == ended.stdout.count("│ relay ") == 2
    drawing = ElementTree.parse(tmp_path / "drawing.svg")
    texts = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"relay", "c", "subscribers", "deliveries per second", "1", "20"} <= texts


@needs_rich
def test_a_relay_that_runs_already_is_measured_at_a_rate_and_goes_on(tmp_path: Path) -> None:
    with Relay() as relay:
        where = ("--publish", f"127.0.0.1:{relay.publish_port}", "--subscribe", f"127.0.0.1:{relay.subscribe_port}")
        ended = bench(tmp_path, *where, "--rate", "1000", "--seconds", "0.3", "--json", "figures.json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "unknown" in ended.stdout
        assert relay.log.process.poll() is None
    (figures,) = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert figures["server_peak_memory"] is None
    assert 0 < figures["published"] <= 1000 * figures["seconds"] + 1  # as fast as it can, it would be many thousands


@needs_rich
def test_an_interrupt_ends_it_without_a_word(tmp_path: Path) -> None:
    with Relay("--log-level", "debug") as relay:  # that of a publisher that has sent nothing yet is in the log too
        where = ("--publish", f"127.0.0.1:{relay.publish_port}", "--subscribe", f"127.0.0.1:{relay.subscribe_port}")
        program = start(*BENCH, *where, "--subscribers", "2", "--seconds", "60", cwd=tmp_path, process_group=0)
        relay.log.wait_for("publisher .* connected")
        os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does: to all processes of the program
        assert program.wait_for_end() == 130
        assert program.text == ""
        relay.log.wait_for("publisher .* disconnected")


@needs_rich
def test_what_cannot_be_measured_is_one_line(tmp_path: Path) -> None:
    ended = bench(tmp_path, "--publish", "127.0.0.1:1", "--subscribe", "127.0.0.1:1", "--seconds", "1")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "refused" in line


def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    hide = "import sys, runpy; sys.modules['rich'] = None; sys.argv = ['bench']; "
    program = start(sys.executable, "-c", hide + "runpy.run_module('tester.bench', run_name='__main__')", cwd=tmp_path)
    assert program.wait_for_end() == 1
    assert program.text == f"rich is not installed; to get it: {sys.executable} -m pip install rich"
