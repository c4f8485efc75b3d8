"""What the README shows, run as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay.daemon.options import Options
from tests.kit.process import DEADLINE, Relay, start

README = Path(__file__).parents[2].joinpath("README.md").read_text()


def block(language: str, containing: str) -> str:
    """The code block of the README that has those words in it, with a relay's real ports still to be put in."""
    [found] = [code for code in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in code]
    assert isinstance(found, str)
    return found


def at(relay: Relay, code: str) -> str:
    return code.replace("8001", str(relay.publish_port)).replace("8002", str(relay.subscribe_port))


def test_the_python_programs_are_as_short_as_promised_and_understand_each_other() -> None:
    publish, subscribe = block("python", "sendall"), block("python", "makefile")
    for program in (publish, subscribe):
        assert len(program.splitlines()) < 10
    with Relay() as relay:
        subscriber = start(sys.executable, "-u", "-c", at(relay, subscribe))
        relay.log.wait_for("subscriber .* connected")
        subprocess.run([sys.executable, "-c", at(relay, publish)], check=True, timeout=DEADLINE)
        subscriber.wait_for("^b'hello'$")
    assert subscriber.wait_for_end() == 0


def test_printf_and_netcat_publish_a_message() -> None:
    if shutil.which("nc") is None:
        pytest.skip("needs nc (Debian: netcat-openbsd)")
    with Relay() as relay:
        subscriber = start(sys.executable, "-u", "-c", at(relay, block("python", "makefile")))
        relay.log.wait_for("subscriber .* connected")
        subprocess.run(["sh", "-c", at(relay, block("sh", "printf"))], check=True, timeout=DEADLINE)
        subscriber.wait_for("^b'hello'$")
    subscriber.wait_for_end()


def test_there_is_every_option_that_it_shows() -> None:
    shown = set(re.findall(r"`--([a-z-]+)", README)) - {"help"}
    offered = {option.rstrip("=") for option in Options().longOpt}
    assert {"publish", "subscribe", "buffer", "slow"} <= shown <= offered
