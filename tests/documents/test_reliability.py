"""docs/reliability.md names tests that there are, and forgets none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`((?:\w+/)*test_\w+(?:::test_\w+)?)`", PAGE))


def place(file: Path) -> str:
    """A file of tests as the page names it."""
    return file.relative_to(TESTS).with_suffix("").as_posix()


def names(file: Path) -> set[str]:
    """Names of the tests in a file, with the file's."""
    found = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    functions = [node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{place(file)}::{name}" for name in functions if name.startswith("test_")}


def test_every_test_that_it_names_exists() -> None:
    there = {name for file in TESTS.rglob("test_*.py") for name in {place(file)} | names(file)}
    assert NAMED - there == set()
    assert len(NAMED) > 50


def test_every_test_of_a_fault_is_named() -> None:
    files = [*TESTS.glob("faults/test_*.py"), TESTS / "long" / "test_two_minutes.py"]
    faults = {name for file in files for name in names(file)}
    assert faults - NAMED == set()
