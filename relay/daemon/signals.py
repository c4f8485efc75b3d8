"""The signals that the relay handles: SIGTERM and SIGINT stop it, SIGHUP makes it reload its configuration."""

from __future__ import annotations

import signal
from collections.abc import Callable
from os import _exit as end_at_once
from typing import Any

STOP = (signal.SIGTERM, signal.SIGINT)


class Held:
    """The handler of SIGHUP while the relay starts, when there is nothing to reload yet: it remembers the signal."""

    def __init__(self) -> None:
        self.came = False
        """Whether the signal has come."""

    def __call__(self, number: int, frame: object) -> None:
        self.came = True


def hold(end: Callable[[int], object] = end_at_once) -> None:
    """Handle signals while the relay starts, until `Signals.take`.

    SIGTERM and SIGINT end the process with status 0, as they do later. SIGHUP is remembered until `Signals.take`.
    `end`: ends the process with a status. It does so at once, because an exception such as SystemExit gets lost if the
    signal comes while the interpreter runs what ignores exceptions: then the relay would go on as if nothing had come.
    """
    for number in STOP:
        signal.signal(number, lambda number, frame: end(0))
    signal.signal(signal.SIGHUP, Held())


class Signals:
    """Passes signals on to functions. The reactor calls them, so that they never interrupt other code."""

    def __init__(
        self,
        reactor: Any,  # Any: no interface has all that a reactor provides
        *,
        stop: Callable[[str], None],
        reload: Callable[[], None],
    ) -> None:
        """`stop`: called with the name of the signal at each SIGTERM and SIGINT. `reload`: called at each SIGHUP."""
        self._reactor = reactor
        self._stop = stop
        self._reload = reload

    def take(self) -> None:
        """Replace the reactor's signal handlers, which would have the process die of the signal.

        To be called when the reactor runs, because it installs its handlers when it starts. A SIGHUP that came since
        `hold` is obeyed now. SIGUSR1 is ignored from then on, unless it has a handler already, such as the one that
        rotates twistd's log file.
        """
        for number in STOP:
            signal.signal(number, self._on_stop)
        held = signal.signal(signal.SIGHUP, self._on_reload)
        if isinstance(held, Held) and held.came:
            self._reactor.callFromThread(self._reload)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def _on_stop(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._stop, signal.Signals(number).name)

    def _on_reload(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reload)
