"""Folders for files that a test writes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase


def temporary_folder(test: TestCase) -> Path:
    """An empty folder, which is removed with all that is in it when the test is over.

    Trial's own `mktemp` leaves its folders where the tests were started, unless trial is what runs them.
    """
    folder = TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name)
