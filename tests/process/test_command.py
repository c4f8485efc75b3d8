"""The console script as a program: `relay serve` is twistd under another name, and the other commands work with it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relay import __version__
from tests.kit.process import DEADLINE, TWISTD, Lines, start

SCRIPT = str(Path(sys.executable).with_name("relay"))
ANY_PORTS = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)


def ports(relay: Lines) -> tuple[str, str]:
    """Where publishers and subscribers connect."""
    publish = relay.wait_for(r"publishers on (127\.0\.0\.1:\d+)")[1]
    subscribe = relay.wait_for(r"subscribers on (127\.0\.0\.1:\d+)")[1]
    relay.wait_for("relaying messages of up to")
    return publish, subscribe


@pytest.mark.parametrize("command", [(SCRIPT,), (sys.executable, "-m", "relay")], ids=["script", "module"])
def test_what_publish_sends_to_serve_subscribe_prints(command: tuple[str, ...], tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_text("one\ntwo\nthree\n")
    relay = start(*command, "serve", *ANY_PORTS)
    try:
        publish, subscribe = ports(relay)
        subscriber = start(*command, "subscribe", "--connect", subscribe, "--count", "3", "--raw")
        relay.wait_for("subscriber .* connected")
        publisher = run(*command, "publish", "--connect", publish, "--file", str(lines), "--interval", "0")
        assert publisher.returncode == 0, publisher.stderr
        assert subscriber.wait_for_end() == 0
        assert "onetwothree" in subscriber.text
    finally:
        relay.process.terminate()
    assert relay.wait_for_end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_the_status_that_twistd_has(number: signal.Signals) -> None:
    statuses = []
    for command in ([SCRIPT, "serve"], [TWISTD, "-n", "--pidfile=", "relay"]):
        relay = start(*command, *ANY_PORTS)
        ports(relay)
        relay.process.send_signal(number)
        statuses.append(relay.wait_for_end())
    assert statuses == [0, 0]


def test_hangup_is_a_reload_as_with_twistd() -> None:
    relay = start(SCRIPT, "serve", *ANY_PORTS)
    ports(relay)
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for("reloaded; changed: ")
    relay.process.terminate()
    assert relay.wait_for_end() == 0


MISTAKES = [  # options, and what is said of them
    (
        ["--framing", "crlf"],
        "--framing: 'crlf' is not one of int32, int16, varint, octet, netstring, line, cr, nul, raw, nor a class of"
        " your own as package.module:Class",
    ),
    (["--bufer", "1MiB"], "option --bufer not recognized: did you mean --buffer?"),
    (["--bufer=1MiB"], "option --bufer not recognized: did you mean --buffer?"),
    (["--nonsense"], "option --nonsense not recognized (--help lists the options)"),
    (["-x"], "option -x not recognized (--help lists the options)"),
    (["--slow"], "option --slow requires argument (--help lists the options)"),
    (["8001"], "unexpected argument '8001' (--help lists the options)"),
    (["--buffer", "1"], "--buffer: 1 bytes is too small: at least 1 MiB"),
    (["--config", "/nonexistent"], "/nonexistent: No such file or directory"),
    (["--certificate", "a.pem"], "--certificate: there is no TLS endpoint that it could be for"),
]


@pytest.mark.parametrize(("options", "said"), MISTAKES)
def test_a_mistake_is_one_line_on_standard_error_however_the_relay_is_started(options: list[str], said: str) -> None:
    for program in ((SCRIPT, "serve"), (TWISTD, "-n", "--pidfile=", "relay"), (TWISTD, "relay")):
        done = run(*program, *options)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"relay: {said}\n")


def test_serve_has_the_help_and_the_version_of_the_relay() -> None:
    ours, theirs = run(SCRIPT, "serve", "--help"), run(TWISTD, "relay", "--help")
    assert ours.stdout.splitlines()[0] == "Usage: relay serve [options]"
    assert ours.stdout.splitlines()[1:] == theirs.stdout.splitlines()[1:]
    assert run(SCRIPT, "serve", "--version").stdout == run(TWISTD, "relay", "--version").stdout
    assert run(SCRIPT, "--version").stdout == f"relay {__version__}\n"


def test_an_unknown_command_is_two_lines_and_status_2() -> None:
    done = run(SCRIPT, "pubish")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "relay: there is no command 'pubish': did you mean publish?",
        "relay: see relay --help for the commands",
    ]


def test_serve_loads_nothing_that_twistd_does_not() -> None:
    program = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); sys.argv = {}; from {} import {}; {}()"

    def loaded(function: str, module: str, *arguments: str) -> set[str]:
        done = run(sys.executable, "-c", program.format(list(arguments), module, function, function))
        modules = set(done.stdout.split())
        assert {"ok", "relay.daemon.options"} <= modules, done.stderr
        return modules

    ours = loaded("main", "relay.__main__", "relay", "serve", "--check")
    theirs = loaded("run", "twisted.scripts.twistd", "twistd", "-n", "--pidfile=", "relay", "--check")
    assert ours - theirs == {"relay.__main__", "relay.daemon.serve"}


@pytest.mark.parametrize("command", ["serve --help", "publish --help", "example-config"])
def test_a_reader_that_has_enough_ends_a_command_quietly(command: str) -> None:
    """The pipe is closed before the command writes: its output is larger than what is read."""
    done = run("bash", "-c", f"(sleep 0.5; exec {SCRIPT} {command}) | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")
