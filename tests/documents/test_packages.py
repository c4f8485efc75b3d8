"""The house: what lies where, that every module has its tests, and that modules and functions stay small."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from tests.kit.page import ROOT
from tests.kit.process import DEADLINE

RELAY = ROOT / "relay"
UNIT = ROOT / "tests" / "unit"
MODULES = [file for file in sorted(RELAY.rglob("*.py")) if file.name != "__init__.py"]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "NEWS.md", *sorted((ROOT / "docs").glob("*.md"))]

MOST_LINES = 400
"""Of a module."""
MOST_IN_A_FUNCTION = 40


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


# Packages


def test_setup_cfg_lists_every_package() -> None:
    """`test_install` compares the files of a wheel, and starts a relay from it."""
    folders = {file.parent for top in ("relay", "tester") for file in (ROOT / top).rglob("*.py")}
    there = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders} | {"twisted.plugins"}
    listed = setup_cfg()["options"]["packages"].split()
    assert listed == sorted(set(listed))
    assert set(listed) == there


def test_every_folder_with_modules_is_a_package_and_says_what_lives_there() -> None:
    for folder in {file.parent for file in (*MODULES, *TESTS)}:
        init = folder / "__init__.py"
        assert init.exists(), name(folder)
        assert ast.get_docstring(ast.parse(init.read_text())), f"{name(init)} says nothing"


# Tests


def test_every_module_of_the_relay_has_its_unit_tests() -> None:
    wanted = [UNIT / file.relative_to(RELAY).with_name(f"test_{file.name}") for file in MODULES]
    missing = [name(file) for file in wanted if not file.exists()]
    assert not missing, "missing:\n" + "\n".join(missing)


def test_every_file_of_unit_tests_is_that_of_a_module() -> None:
    """`test_hub_shares.py` is one of those of `hub.py`, as `test_hub.py` is."""

    def has_module(file: Path) -> bool:
        words = file.stem.removeprefix("test_").split("_")
        folder = RELAY / file.parent.relative_to(UNIT)
        return any((folder / ("_".join(words[:count]) + ".py")).exists() for count in range(1, len(words) + 1))

    strays = [name(file) for file in sorted(UNIT.rglob("test_*.py")) if not has_module(file)]
    assert not strays, "there is no module for:\n" + "\n".join(strays)


def imported(file: Path) -> Iterator[str]:
    """The names of the modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)}:{node.lineno}: a relative import"
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_no_test_imports_a_test() -> None:
    """What tests share is in `tests.kit`."""
    for file in TESTS:
        wrong = [module for module in imported(file) if re.match(r"tests\.(?!kit\b)", module)]
        assert not wrong, f"{name(file)} imports {wrong}"


def test_pytest_finds_in_unit_the_tests_that_trial_finds(tmp_path: Path) -> None:
    """The whole run has trial run them, and `bash test.sh unit/core` has pytest."""

    def output(module: str, *arguments: str) -> str:
        command = (sys.executable, "-m", module, *arguments, "tests/unit")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=4 * DEADLINE
        )
        return done.stdout

    by_pytest = re.search(r"^(\d+) tests collected", output("pytest", "--collect-only", "-q"), re.MULTILINE)
    by_trial = re.search(
        r"^Ran (\d+) tests",
        output("twisted.trial", "--dry-run", "--temp-directory", str(tmp_path / "trial")),
        re.MULTILINE,
    )
    assert by_pytest and by_trial
    assert by_pytest[1] == by_trial[1]


# Sizes


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_a_module_can_be_read_in_one_sitting_and_a_function_seen_at_once(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= MOST_IN_A_FUNCTION, f"{name(file)}:{node.lineno}: {node.name} has {lines} lines"


# Names in pages


def test_every_module_that_a_page_or_a_docstring_names_is_there() -> None:
    """`relay.service` and the like are files, and what `relay` begins otherwise is a name in Python."""
    files = {"crt", "service", "socket", "toml"}
    programs = [file for top in ("relay", "tester", "tests") for file in (ROOT / top).rglob("*.py")]
    for file in (*PAGES, *programs):
        for dotted in re.findall(r"(?:`|python -m )((?:relay|tester|tests)(?:\.[A-Za-z_]\w*)+)", file.read_text()):
            if dotted.rpartition(".")[2] not in files:
                try:
                    resolve_name(dotted)
                except (ImportError, AttributeError) as error:
                    pytest.fail(f"{name(file)} names {dotted}: {error}")
