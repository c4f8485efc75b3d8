"""docs/reliability.md names tests that there are, and forgets none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`(test_\w+(?:::test_\w+)?)`", PAGE))


def names(file: Path) -> set[str]:
    """Names of the tests in a file, with the file's."""
    found = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    functions = [node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{file.stem}::{name}" for name in functions if name.startswith("test_")}


def test_every_test_that_it_names_exists() -> None:
    there = {name for file in TESTS.glob("test_*.py") for name in {file.stem} | names(file)}
    assert NAMED - there == set()
    assert len(NAMED) > 50


def test_every_test_of_a_fault_is_named() -> None:
    faults = {name for file in TESTS.glob("test_faults_*.py") for name in names(file)}
    assert faults - NAMED == set()
