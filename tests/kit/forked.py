"""Runs commands of the relay one after the other, each in a fork of this process: nothing is imported anew for each.

    python -m tests.kit.forked FOLDER <commands

`commands` has one a line. Each is run in FOLDER; the result is a line of JSON: status, standard output, standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn, cast

import twisted.scripts.twistd  # these are what takes long to import

import relay.daemon.assembly
import relay.daemon.options  # noqa: F401
import tester.client.__main__
import tester.publisher.__main__  # noqa: F401
from relay import __main__ as program

SECONDS = 20  # that a command may take


def run(command: str) -> tuple[int, str, str]:
    """Run `command`, which begins with `relay` or `twistd`. Returns its status, and what it wrote on either output."""
    with TemporaryFile() as output, TemporaryFile() as errors:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            become(shlex.split(command))
        _, status = os.waitpid(child, 0)
        written = []
        for file in (output, errors):
            file.seek(0)
            written.append(file.read().decode())
    return os.waitstatus_to_exitcode(status), written[0], written[1]


def become(words: list[str]) -> NoReturn:
    """Do what the command does, and end as it does."""
    signal.alarm(SECONDS)
    sys.argv = words
    main = cast(Callable[[], object], program.main if words[0] == "relay" else twisted.scripts.twistd.run)
    status = 0
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    assert "twisted.internet.reactor" not in sys.modules, "each command has a reactor of its own"
    os.chdir(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(run(line)), flush=True)
