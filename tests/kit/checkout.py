"""The files of the checkout, as a clone of it has them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.kit.page import ROOT


def ignored() -> list[str]:
    """The patterns of `.gitignore`, and the folder of git itself; each is for a name, wherever it is."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    return [".git", *(line.rstrip("/") for line in lines if line[:1] != "#")]


def checkout_files() -> Iterator[Path]:
    """Every file of the checkout that is not ignored, sorted within its folder. Needs no git."""
    patterns = ignored()

    def kept(names: list[str]) -> list[str]:
        return sorted(name for name in names if not any(fnmatch(name, pattern) for pattern in patterns))

    for folder, folders, files in os.walk(ROOT):
        folders[:] = kept(folders)
        yield from (Path(folder, file) for file in kept(files))
