"""The signals that the relay obeys: SIGTERM and SIGINT stop it, SIGHUP has it read its configuration again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


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

        SIGUSR1 is ignored, unless something else waits for it already: to rotate twistd's log file, for example.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def _on_stop(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._stop, signal.Signals(number).name)

    def _on_reload(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reload)
