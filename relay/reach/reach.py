"""All other relays and servers that a relay connects to."""

from __future__ import annotations

from collections.abc import Callable

from relay.config.values import Remote
from relay.observe.stats import ReachFigures
from relay.reach.link import Surroundings
from relay.reach.mirror import Mirror
from relay.reach.pull import Pull
from relay.reach.push import Push

KINDS: dict[str, Callable[[Remote, Surroundings], Pull | Push]] = {"pull": Pull, "push": Push, "mirror": Mirror}
"""What can be done with another relay or server, by the name of the setting that asks for it."""
Wanted = tuple[str, Remote]
"""What to do, and where."""


class Reach:
    """Holds a pull or a push for each relay or server that is wanted now."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._tasks: dict[Wanted, Pull | Push] = {}
        self._started = False

    def change(self, wanted: list[Wanted]) -> None:
        """Have these from now on. What was wanted before and still is goes on."""
        for gone in [one for one in self._tasks if one not in wanted]:
            self._tasks.pop(gone).remove()
        for one in wanted:
            if one not in self._tasks:
                kind, remote = one
                task = self._tasks[one] = KINDS[kind](remote, self._surroundings)
                if self._started:
                    task.start()

    def start(self) -> None:
        """Begin to connect."""
        self._started = True
        for task in self._tasks.values():
            task.start()

    def stop(self) -> None:
        """Make no connection any more. Those that are there end with all others."""
        self._started = False
        for task in self._tasks.values():
            task.stop()

    def sweep(self) -> None:
        """Do what is due every second. (The connections of pulls are swept with all publishers.)"""
        for task in self._tasks.values():
            task.sweep()

    @property
    def trouble(self) -> str:
        """Why nobody should connect now, in words for people; empty if they may."""
        return next((task.trouble for task in self._tasks.values() if task.trouble), "")

    def figures(self) -> list[ReachFigures]:
        """How each of them is."""
        return [task.figures() for task in self._tasks.values()]
