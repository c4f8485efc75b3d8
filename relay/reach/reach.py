"""All other relays and servers that a relay connects to."""

from __future__ import annotations

from relay.config.values import Remote
from relay.observe.stats import ReachFigures
from relay.reach.pull import Pull, Surroundings


class Reach:
    """Holds a pull for each relay or server that is wanted now."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._pulls: dict[Remote, Pull] = {}
        self._started = False

    def change(self, pulls: tuple[Remote, ...]) -> None:
        """Have these pulls from now on. What was wanted before and still is goes on."""
        for remote in [one for one in self._pulls if one not in pulls]:
            self._pulls.pop(remote).remove()
        for remote in pulls:
            if remote not in self._pulls:
                pull = self._pulls[remote] = Pull(remote, self._surroundings)
                if self._started:
                    pull.start()

    def start(self) -> None:
        """Begin to connect."""
        self._started = True
        for pull in self._pulls.values():
            pull.start()

    def stop(self) -> None:
        """Make no connection any more. Those that are there end with all others."""
        self._started = False
        for pull in self._pulls.values():
            pull.stop()

    def figures(self) -> list[ReachFigures]:
        """How each of them is."""
        return [pull.figures() for pull in self._pulls.values()]
