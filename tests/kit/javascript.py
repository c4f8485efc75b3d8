"""What can run JavaScript here outside a browser, and the marks of tests that need it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def find_bun() -> str | None:
    """Bun, on the path or as `npm install bun` leaves it. Without install scripts it leaves one that does not run."""
    modules = ROOT / "node_modules"
    for candidate in (shutil.which("bun"), modules / ".bin/bun", *modules.glob("@oven/*/bin/bun")):
        if candidate and Path(candidate).exists():
            version = subprocess.run([candidate, "--version"], capture_output=True)
            if version.returncode == 0:
                return str(candidate)
    return None


NODE = shutil.which("node")
BUN = find_bun()
needs_node = pytest.mark.skipif(not NODE, reason="needs Node.js: apt install nodejs")
needs_bun = pytest.mark.skipif(not BUN, reason="needs Bun: npm install bun")
