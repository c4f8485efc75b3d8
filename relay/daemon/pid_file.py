"""twistd's pid file, when the relay that wrote it was killed.

twistd refuses to start while the process named there lives, whatever that is by now: in a container that is started
anew it is often the relay itself, and elsewhere a number is given to another program in time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from twisted.python.usage import UsageError


def take_over(file: str) -> None:
    """Remove the pid file if the process that it names is no twistd. Raises UsageError if it is one."""
    try:
        number = int(Path(file).read_text())
    except (OSError, ValueError):
        return  # there is none, or twistd says what is wrong with it
    process = Path(f"/proc/{number}")
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return  # it is gone, which twistd finds out too, or the system does not tell
    if number != os.getpid() and b"twistd" in command:
        raise UsageError(
            f"--pidfile: {os.path.abspath(file)}: twistd runs already, as process {number}; "
            "--pidfile=FILE names another file, and --pidfile= none"
        )
    with suppress(OSError):  # then twistd says why
        os.unlink(file)
