"""Calls that come again and again while the relay runs, whatever happens in one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger


class Timers:
    """Calls functions every so many seconds, until all are stopped together."""

    logger = Logger()

    def __init__(self, reactor: Any) -> None:  # Any: what LoopingCall takes as a clock
        self._reactor = reactor
        self._running: list[LoopingCall] = []

    def every(self, seconds: float, call: Callable[[float], None]) -> None:
        """Call a function every so many seconds, also after it failed: a bare LoopingCall stops at an exception.

        The function is told how many seconds have passed since it was last called, at most `seconds`: for what is more,
        the relay slept itself, stopped or suspended.
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
        """Call nothing any more."""
        for timer in self._running:
            timer.stop()
        self._running.clear()
