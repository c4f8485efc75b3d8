"""The commands of all pages: every program can be found as it is written, and every option of ours is one.

They are run, in the order of each page, by `tests/long/test_pages.py`. This needs neither a network nor time.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from relay.daemon.options import Options
from relay.journal.disk import Disk
from tester.bench import options as bench
from tester.client import options as client
from tester.publisher import options as publisher
from tester.top import options as top
from tests.kit.journals import open_storage
from tests.kit.page import ROOT
from tests.kit.setup_cfg import setup_cfg

PAGES = (
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"),
    *sorted((ROOT / "docs").glob("*.md")),
)
TOOLS = {"awk", "curl", "echo", "jq", "nc", "node", "openssl", "printf", "sleep", "tail"}
"""Programs of the system. Their options are their own; what they read or run of ours is looked for."""
SHELL = {"for", "do", "done"}
PREFIX = (".venv/bin/", "/opt/relay/bin/")
"""Where the programs of the relay are, on pages that do not have them on the path."""


def serve(arguments: list[str]) -> None:
    """Take options of a relay, as `relay serve` does."""
    Options().parseOptions(arguments)


COMMANDS: dict[str, Callable[[list[str]], object]] = {
    "serve": serve,
    "publish": publisher.parse,
    "subscribe": client.parse,
    "top": top.parse,
    "bench": bench.parse,
}
SCRIPTS = {"start.sh": "serve", "tester/client/start.sh": "subscribe", "tester/publisher/start.sh": "publish"}


def words(text: str) -> Iterator[list[str]]:
    """The words of each command in a block of shell, without comments and redirections."""
    for line in text.replace("\\\n", " ").replace("$size", "64").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        redirected = False
        for token in lexer:
            operator = not set(token) - set("();<>|&")
            if operator and not set(token) & set("<>"):
                yield command
                command = []
            elif not operator and not redirected:
                command.append(token)
            redirected = operator and bool(set(token) & set("<>"))
        yield command


def check(program: str, arguments: list[str]) -> None:
    """Fail unless the command is one that a reader of the page can run."""
    name = next((program.removeprefix(prefix) for prefix in PREFIX if program.startswith(prefix)), program)
    if name == "bash" and arguments[0] == "test.sh":
        paths = [argument for argument in arguments[1:] if re.match(r"[a-z]+(/|$)", argument)]
        assert paths == [] or any((ROOT / "tests" / path).exists() for path in paths), arguments
    elif name == "bash":
        COMMANDS[SCRIPTS[arguments[0]]](arguments[1:])
    elif name == "relay":
        COMMANDS[arguments[0] if arguments else "serve"](arguments[1:])
    elif name == "twistd":
        serve(arguments[arguments.index("relay") + 1 :])
    elif name == "pip":
        extras = re.findall(r"\[(.*)\]", arguments[-1])
        assert set(extras) <= set(setup_cfg()["options.extras_require"]), arguments
    elif name in ("python", "python3") and arguments[0] == "-m":
        assert program != "python", "which Python? An active environment is not told of"
        assert find_spec(arguments[1]), arguments
    elif name in ("python3", "node"):
        assert (ROOT / arguments[0]).exists(), arguments
    else:
        assert program in TOOLS | SHELL, f"a reader has no {program}"


BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_command_of_a_page_can_be_run_as_it_stands(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("a line\n")
    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "relay.toml").write_text((ROOT / "deploy" / "relay.toml").read_text())
    (tmp_path / "journal").mkdir()
    open_storage(Disk(), str(tmp_path / "journal"))
    block = block.replace("/etc/relay/", "").replace("/var/lib/relay", "journal")
    checked = 0
    for program, *arguments in filter(None, words(block)):
        if "--check" in arguments:
            arguments.remove("--check")
        check(program, arguments)
        checked += 1
    assert checked


@pytest.mark.parametrize(
    "command",
    [
        "python -m tester.bench",
        "relay bench --no-such-option",
        "bash start.sh --bufer 1MiB",
        "bash no/such/start.sh",
        "relay nonsense",
        "pip install '.[nonsense]'",
        "python3 examples/nonsense.py",
        "twist relay",
    ],
)
def test_a_command_that_cannot_be_run_is_noticed(command: str) -> None:
    [[program, *arguments]] = words(command)
    with pytest.raises((AssertionError, KeyError, SystemExit, UsageError)):
        check(program, arguments)
