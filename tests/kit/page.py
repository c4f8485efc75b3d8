"""The sections and tables of docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def section(title: str, page: str = PAGE) -> str:
    """What stands under a heading, up to the next one of its rank or above."""
    match = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^##? |\Z)", page, re.MULTILINE | re.DOTALL)
    assert match is not None, title
    return match[2]


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first heading that is, without the row of headings."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    begin = next(number for number, row in enumerate(rows) if row.startswith(f"| {heading} |"))
    found = []
    for row in rows[begin + 2 :]:
        if row.startswith("| option") or set(row) <= set("|-"):
            break
        found.append([cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]])
    return found
