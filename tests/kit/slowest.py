"""`python -m tests.kit.slowest FILE...`: the ten slowest tests of several runs of pytest, from their JUnit files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

COUNT = 10


def tests(file: Path) -> Iterator[tuple[float, str]]:
    """How many seconds each test of a run took, and its name. Nothing of a run that did not come to its end."""
    try:
        root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError):
        return
    for case in root.iter("testcase"):
        yield float(case.get("time", 0)), f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"


def main() -> None:
    found = [test for name in sys.argv[1:] for test in tests(Path(name))]
    for seconds, name in sorted(found, reverse=True)[:COUNT]:
        print(f"{seconds:6.1f} s  {name}")


if __name__ == "__main__":
    main()
