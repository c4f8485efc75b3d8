"""Calls at regular intervals while the relay runs, also after one of them failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger


class Timers:
    """Calls functions at regular intervals, until all are stopped together."""

    logger = Logger()

    def __init__(self, reactor: Any) -> None:  # Any: no interface has all that LoopingCall needs of a clock
        self._reactor = reactor
        self._running: list[LoopingCall] = []

    def every(self, seconds: float, call: Callable[[float], None]) -> None:
        """Call a function every `seconds`. An exception is logged and does not end the calls, as in a LoopingCall.

        The function is told how many seconds have passed since its last call, at most `seconds`: any time beyond that
        the relay itself was not running, because it was stopped or the machine was suspended.
        """
        last = self._reactor.seconds()

        def guarded() -> None:
            nonlocal last
            passed, last = self._reactor.seconds() - last, self._reactor.seconds()
            try:
                call(min(passed, seconds))
            except Exception:
                self.logger.failure("{call} failed", call=call.__qualname__)

        timer = LoopingCall(guarded)
        timer.clock = self._reactor
        timer.start(seconds, now=False)
        self._running.append(timer)

    def stop(self) -> None:
        """End all calls."""
        for timer in self._running:
            timer.stop()
        self._running.clear()
