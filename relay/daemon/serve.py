"""`relay serve`: what `twistd -n --pidfile= relay` does, under its own name.

It is twistd's own runner, with the relay as the one thing that it can run: plugins are not looked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from twisted.application.app import run
from twisted.application.service import ServiceMaker
from twisted.python.usage import Options
from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]  # chosen there for the platform

COMMAND = "serve"
RELAY = ServiceMaker("Relay", "relay.daemon.entry", "run a relay", "relay")
"""What runs, as `twisted/plugins/relay_plugin.py` tells twistd."""


class ServeOptions(ServerOptions):
    """The options of twistd with the relay as its one command, which is called `serve`."""

    synopsis = "Usage: relay"

    @property
    def subCommands(self) -> Iterator[tuple[str, None, Callable[[], Options], str]]:
        """The relay, as twistd wants a command: name, shortcut, what makes its options, what it does."""
        self.loadedPlugins = {COMMAND: RELAY}
        yield COMMAND, None, lambda: RELAY.options(), RELAY.description

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the options of the relay, by default those of the process, behind `relay serve`."""
        super().parseOptions(["-n", "--pidfile=", COMMAND, *(sys.argv[2:] if options is None else options)])


def main() -> None:
    """Run a relay in the foreground, until a signal ends it. Ends the program with status 1 if it cannot start.

    `sys.argv` has the options behind the name of the program.
    """
    sys.argv[0:1] = ["relay", COMMAND]  # Twisted begins a complaint with the first two words
    run(runApp, ServeOptions)
