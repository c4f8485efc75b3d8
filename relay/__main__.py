"""The console script `relay`, and `python -m relay`: a command for each thing that there is to do.

A command is the name of a module with a function `main`. It is imported when somebody gives the command, and this
module depends on none of them. So `relay serve` loads what `twistd` would, and nothing for the other commands. The
programs in `tester` try a relay from outside: they can be started from here, but the relay imports none of them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from signal import SIGINT
from typing import NoReturn

from relay import __version__

COMMANDS = {
    "serve": ("relay.daemon.serve", "run a relay, as `relay` alone does"),
    "publish": ("tester.publisher.__main__", "publish random messages, a file, or what a journal has"),
    "subscribe": ("tester.client.__main__", "print every message"),
    "journal": ("relay.journal.program", "show what is in a journal, check it, and mend it"),
    "top": ("tester.top.__main__", "watch a relay in the terminal"),
    "bench": ("tester.bench.__main__", "measure a relay on this machine"),
    "example-config": ("relay.daemon.example_config", "print a configuration file with every setting at its default"),
    "systemd-units": ("relay.daemon.systemd_units", "print the units for systemd"),
}
"""For each command the module whose `main` it is, and what it does, for people."""
HELP = """\
Usage: relay [COMMAND] [OPTIONS]

{commands}

  --version  show the version, and exit
  --help     show this, and exit

Each command has a --help of its own. A relay that is started from here stays in the foreground; `twistd relay` makes it
a daemon.
""".format(commands="\n".join(f"  {name:16}{does}" for name, (_, does) in COMMANDS.items()))


def main() -> None:
    """Run the command that the command line gives, `serve` if it gives nothing.

    The command finds its own name in `sys.argv[0]`, as in `relay publish`, and its arguments behind it. If there is no
    such command, this ends the program with status 2 and two lines. It is no error if the reader of the output has
    enough, as `head` has. Ctrl-C ends a command that does not mind it without a word.
    """
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
    except KeyboardInterrupt:
        sys.exit(128 + SIGINT)  # as a shell says it


def _run() -> None:
    name, *arguments = sys.argv[1:] or ["serve"]
    if name in ("--help", "-h", "help"):
        print(HELP, end="")
    elif name == "--version":
        print(f"relay {__version__}")
    elif name in COMMANDS:
        sys.argv = [f"relay {name}", *arguments]
        import_module(COMMANDS[name][0]).main()
    else:
        _refuse(name)


def _refuse(name: str) -> NoReturn:
    print(f"relay: there is no command {name!r}{_guess(name)}", file=sys.stderr)
    print("relay: see relay --help for the commands", file=sys.stderr)
    sys.exit(2)


def _guess(name: str) -> str:
    """What somebody may have meant who gave `name` for a command, as the end of a sentence; empty without an idea."""
    if name.startswith("-"):
        return f": an option of a relay comes behind serve, as in relay serve {name}"
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f": did you mean {close[0]}?" if close else ""


if __name__ == "__main__":
    main()
