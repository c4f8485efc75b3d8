"""The signals that the relay obeys: SIGTERM and SIGINT stop it, SIGHUP has it read its configuration again."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

STOP = (signal.SIGTERM, signal.SIGINT)


class Held:
    """The handler of SIGHUP while the relay starts: there is no configuration yet that could be read again."""

    def __init__(self) -> None:
        self.came = False
        """Whether the signal has come."""

    def __call__(self, number: int, frame: object) -> None:
        self.came = True


def hold() -> None:
    """Have signals do while the relay starts what they do when it runs, until `Signals.take`.

    SIGTERM and SIGINT end the process with status 0. SIGHUP is kept until there is something to reload.
    """
    for number in STOP:
        signal.signal(number, lambda number, frame: sys.exit(0))
    signal.signal(signal.SIGHUP, Held())


class Signals:
    """Passes signals on to functions, which are called by the reactor and not in the middle of anything."""

    def __init__(self, reactor: Any, *, stop: Callable[[str], None], reload: Callable[[], None]) -> None:  # Any: no
        # interface has all of a reactor
        """`stop` is called with the name of the signal, each time that one comes; `reload` without anything."""
        self._reactor = reactor
        self._stop = stop
        self._reload = reload

    def take(self) -> None:
        """Replace the handlers of the reactor, which is running: they would have the process end by the signal.

        A SIGHUP that came before (see `hold`) is obeyed now.
        SIGUSR1 is ignored, unless something else waits for it already: to rotate twistd's log file, for example.
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
