"""Does what a page says, command by command, in an empty clone and on a network of its own, where all ports are free.

The commands of a block in `sh` are run as they stand, one after the other. One that goes on, such as a relay, stays
until the page needs its ports again, or is over.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.checkout import ignored
from tests.kit.page import ROOT
from tests.kit.process import DEADLINE, Lines, start

LOOPBACK = (
    "import fcntl, socket, struct;"
    'fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))'  # SIOCSIFFLAGS: up, running (netdevice(7))
)

PIP = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
"""pip finds out all that it would install, and that it is there by now: it installs nothing, and asks nobody. (The last
one says that it does not isolate the build: https://github.com/pypa/pip/issues/5735.)"""


@dataclass(frozen=True)
class Step:
    """How a command is run that is not over at once, or not as it stands."""

    begins: str
    """How the command begins."""
    until: str | None = None
    """What is printed by a command that goes on, as a pattern; None for one that ends, with status 0."""
    shows: tuple[str, str] = ("", "")
    """How an earlier command begins that goes on, and a pattern that it prints because of this one."""
    instead: tuple[tuple[str, str], ...] = ()
    """Words of the page that stand for something of the reader's, each with what it is here."""
    exempt: str = ""
    """Why it is not run here."""
    terminal: bool = False
    """Whether it wants a terminal."""
    unwritten: bool = False
    """Whether the block does not have it."""
    before: tuple[Step, ...] = ()
    """What has to be there before the block."""

    def is_of(self, command: str) -> bool:
        """Whether it is about that command of a page."""
        return not self.unwritten and command.startswith(self.begins)


def commands(page: str) -> Iterator[list[str]]:
    """The commands of each block, in order."""
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        joined = re.sub(r"\\\n\s*", "", block)
        yield re.findall(r"for .*?done|[^\n]+", joined, re.DOTALL)


def clone(folder: Path) -> Path:
    """The checkout as a clone of it is once it has been started: with its `.venv`, which is that of the tests."""
    there = folder / "relay"
    shutil.copytree(ROOT, there, ignore=shutil.ignore_patterns(*ignored()))
    venv = there / ".venv"
    venv.mkdir()
    for name in os.listdir(sys.prefix):
        (venv / name).symlink_to(Path(sys.prefix, name))
    for extra in ("", "[web]", "[test]"):
        ready = venv / f"ready{extra}"
        ready.unlink(missing_ok=True)
        ready.write_text(f"{there}\n{(there / 'setup.cfg').read_text()}")
    return there


class Reader:
    """Somebody at a shell, with as many terminals as it takes."""

    def __init__(self, folder: Path, holder: int) -> None:
        """`folder`: where the commands are run. `holder`: the process whose network it is."""
        self.folder = folder
        self.open: dict[str, Lines] = {}
        """What goes on, by its command."""
        user = () if os.getuid() == 0 else ("--user", "--preserve-credentials")
        self._enter = ("nsenter", "--target", str(holder), *user, "--net", "--", "bash", "-c")
        programs = str(folder / ".venv" / "bin"), os.environ["PATH"]
        self._environment = (
            os.environ | {"PATH": os.pathsep.join(programs), "PYTHONUNBUFFERED": "1", "TERM": "xterm"} | PIP
        )

    def do(self, command: str, step: Step) -> None:
        """Run one command. Fails if it does, or if what should follow does not."""
        for words, here in step.instead:
            assert words in command, f"{words} is not on the page any more"
            command = command.replace(words, here)
        outside = re.search(r"(?<![\w./])/(?:boot|etc|home|opt|root|srv|usr|var)/\S*", command)
        assert outside is None, f"{outside} is not the clone's: say in the table of this test what stands for it"
        shell = f"exec script --quiet --return --command {shlex.quote(command)} /dev/null" if step.terminal else command
        lines = start(*self._enter, shell, cwd=self.folder, env=self._environment, start_new_session=True)
        if step.until is not None:
            self.open[command] = lines
            if step.until:
                lines.wait_for(step.until)
        else:
            assert lines.wait_for_end(4 * DEADLINE) == 0, f"{command}\n{lines.text}"
        whose, pattern = step.shows
        if whose:
            next(found for opened, found in self.open.items() if opened.startswith(whose)).wait_for(pattern)

    def close(self) -> None:
        """End what goes on: Ctrl-C in every terminal, the last first."""
        for lines in reversed(self.open.values()):
            subprocess.run(["kill", "-INT", "--", f"-{lines.process.pid}"], check=False, stderr=subprocess.DEVNULL)
            try:
                lines.wait_for_end(5)
            except subprocess.TimeoutExpired:
                os.killpg(lines.process.pid, 9)
                lines.wait_for_end()
        self.open.clear()


@contextmanager
def reader(folder: Path) -> Iterator[Reader | None]:
    """A reader with a network of its own; None where there can be none."""
    user = () if os.getuid() == 0 else ("--user", "--map-root-user")
    script = f"exec {sys.executable} -c '{LOOPBACK}; print(\"up\", flush=True); import time; time.sleep(3600)'"
    holder = start("unshare", *user, "--net", "sh", "-c", script)
    one = None
    try:
        try:
            holder.wait_for("^up$")
            one = Reader(folder, holder.process.pid)
        except AssertionError:
            pass
        yield one
    finally:
        if one is not None:
            one.close()
        holder.process.kill()
        holder.wait_for_end()
