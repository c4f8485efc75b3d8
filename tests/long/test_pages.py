"""Every command block of every page, run in the order of the page, in an empty clone.

What is not run is listed with its reason. A command that measures is run for a moment.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.kit.page import ROOT
from tests.kit.walk import Step, clone, commands, reader

RUNS = "relaying messages of up to"
START = Step("bash start.sh", until=RUNS)
SERVE = Step("relay serve", until=RUNS)
SYSLOG = ("/var/log/syslog", "lines.txt")
CHECKOUT = ("/path/to/the/checkout", ".")
VENV = ("/opt/relay", ".venv")
WHOLE = "runs this test, too"
JOINED = ("bash start.sh", "subscriber .* connected")


def unwritten(begins: str, until: str | None = None) -> Step:
    """What a reader does before a block, because the text around it says so."""
    return Step(begins, until=until, unwritten=True)


PAGES: dict[str, dict[int, tuple[Step, ...]]] = {
    "README.md": {
        0: (
            START,
            Step("bash tester/client", until="connected to"),
            Step("bash tester/publisher", until="#1  1,024 B", shows=("bash tester/client", "#1  1,024 B")),
        ),
        1: (
            START,
            Step("nc ", until="", shows=JOINED),
            Step("tail -f", until="", instead=(SYSLOG,), shows=("nc ", "^hello$")),
        ),
        2: (unwritten("bash start.sh", RUNS), Step("printf", shows=("bash start.sh", "peer closed, 1 messages"))),
        3: (Step("pip", instead=(("/path/to/this/checkout", "."),)), Step("relay", until=RUNS)),
    },
    "CONTRIBUTING.md": {0: (Step("bash test.sh unit/core/test_hub.py"), Step("bash test.sh", exempt=WHOLE))},
    "examples/README.md": {
        0: (
            START,
            Step("python3 examples/python_subscriber.py", until="", shows=JOINED),
            Step("echo", shows=("python3 examples/python_subscriber.py", "hello")),
        ),
        1: (
            Step("python3 examples/resuming", until="", shows=("bash start.sh", "subscriber .* begins a session")),
            Step("python3 examples/ack", instead=(SYSLOG,), shows=("python3 examples/resuming", "hello")),
        ),
        2: (START, Step("python3 -m http.server", until="Serving HTTP")),
    },
    "docs/client.md": {0: (unwritten("relay serve", RUNS), Step("relay subscribe", until="connected to"))},
    "docs/operations.md": {
        0: (unwritten("cp deploy/relay.toml relay.toml"),),
        1: (Step("twistd", until=RUNS),),
        2: (Step("openssl s_client", until="", shows=("twistd", "subscriber .* connected")),),
        3: (Step("twistd", until=RUNS),),
        4: (Step("printf", shows=("twistd", "publisher .* disconnected: peer closed, 1 messages")),),
    },
}
"""By page and number of the block: the commands that need more than to be run."""

ALSO = (
    Step(
        "relay publish --from-journal",
        instead=(("/var/lib/relay", "journal"),),
        before=(
            unwritten("mkdir -p journal"),
            unwritten("relay serve --journal journal", RUNS),
            unwritten("relay publish --file lines.txt"),
            unwritten("relay serve --publish tcp:9001 --subscribe tcp:9002", RUNS),
        ),
    ),
    Step("curl -s http://127.0.0.1:8003", before=(unwritten("bash start.sh", RUNS),)),
    Step(
        "relay top",
        terminal=True,
        until="publishers",
        instead=(("/etc/relay/token", "token"),),
        before=(
            unwritten("(umask 077; echo 0123456789abcdef0123456789abcdef >token)"),
            unwritten("relay serve --web tcp:8003 --web-token-file token", RUNS),
        ),
    ),
    Step("python3 -m venv /opt/relay", instead=(("/opt/relay", "opt"),)),
    Step("/opt/relay/bin/pip", instead=(VENV, CHECKOUT)),
    Step(".venv/bin/relay bench --publish", before=(unwritten("relay serve", RUNS),)),
    Step("sleep 18; awk", instead=(("$PID", "self"),)),
)
"""The same for commands that are known by how they begin, wherever they stand."""

MEASURED = (
    (r"--(seconds|runs|rounds) [\d.]+", r"--\1 1"),
    (r"--subscribers [\d,]+", "--subscribers 2"),
    (r"sleep \d+", "sleep 1"),
    (r"--publishers \d+", "--publishers 2"),
    (r"--compare c,\S+", "--compare c"),
    (r"for size in .*; do", "for size in 64; do"),
)
"""What is measured for a moment only, as patterns and what stands for them."""
MEASURING = {"docs/performance.md", "docs/reliability.md"}


def pages() -> list[str]:
    """All pages, by their paths."""
    return ["README.md", "CONTRIBUTING.md", "examples/README.md", *(f"docs/{one.name}" for one in DOCS)]


DOCS = sorted((ROOT / "docs").glob("*.md"))


def prepare(command: str) -> str:
    """The command, with less to measure if it measures."""
    if any(words in command for words in ("relay bench", "tests.kit", "sleep")):
        for pattern, short in MEASURED:
            command = re.sub(pattern, short, command)
    return command


@pytest.mark.parametrize("page", [page for page in pages() if any(True for _ in commands(page))])
def test_a_page_can_be_followed_from_its_top_to_its_end(page: str, tmp_path: Path, thorough: bool) -> None:
    if page in MEASURING and not thorough:
        pytest.skip("measures, if only for a moment: --thorough")
    if "nc " in (ROOT / page).read_text() and shutil.which("nc") is None:
        pytest.skip("needs nc (Debian: netcat-openbsd)")
    checkout = clone(tmp_path)
    (checkout / "lines.txt").write_text("hello\nlines\n")
    run = 0
    with reader(checkout) as somebody:
        if somebody is None:
            pytest.skip("needs unshare and nsenter, and the right to have a network of its own")
        for number, block in enumerate(commands(page)):
            plan = PAGES.get(page, {}).get(number, ())
            steps = [next((one for one in (*plan, *ALSO) if one.is_of(command)), Step(command)) for command in block]
            first = [one for one in plan if one.unwritten] + [one for step in steps for one in step.before]
            if any(one.until == RUNS for one in (*first, *steps)):
                somebody.close()  # what had the ports
            for step in first:
                somebody.do(step.begins, step)
            for command, step in zip(block, steps, strict=True):
                if not step.exempt:
                    somebody.do(prepare(command), step)
                    run += 1
    assert run


def test_every_step_is_of_a_command_that_stands_there() -> None:
    for page, blocks in PAGES.items():
        found = list(commands(page))
        for number, plan in blocks.items():
            for step in plan:
                assert step.unwritten or any(step.is_of(command) for command in found[number]), (page, number, step)
    everything = [command for page in pages() for block in commands(page) for command in block]
    assert [step for step in ALSO if not any(step.is_of(command) for command in everything)] == []
