"""Memory: what the garbage collector need not look at, and what the system is given back after a crowd has left.

A TLS connection in its handshake takes 57 kB, which the C library keeps when they are gone: pieces that are still in
use stand between them. 2,000 of them left 118 MB behind, of which glibc's `malloc_trim` gives back 96 MB.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from threading import Thread

from relay.core.timing import SWEEP, Every

CROWD = 100
"""Connections that must have left before it is worth the effort, and at least half of those that there were.

A crowd may pause while it leaves, and what is left of it then is a crowd of its own: with 500, 376 of 1,000 that had
stayed longer left 20 MB behind."""


def settle() -> None:
    """Have the garbage collector leave alone what is there by now, and stays: modules, their classes and functions.

    A full collection looks at all objects, and until it is over no message is passed on. At the start of a relay there
    are some 50,000 of them, which take 20 to 30 ms each time; afterwards it looks only at what connections brought.
    """
    gc.collect()
    gc.freeze()


def trim() -> None:
    """Have the C library give back what it can, if it is one that knows how: glibc.

    That takes 0.6 ms for each MB that is given back, so it is done in a thread. Other threads may go on meanwhile.
    """
    from ctypes import CDLL  # not needed before there was a crowd

    give_back = getattr(CDLL(None), "malloc_trim", None)
    if give_back is not None:
        Thread(target=give_back, args=(0,), name="malloc_trim", daemon=True).start()


class Memory:
    """Watches how many connections there are, and has memory given back when many of them have gone."""

    def __init__(self, connections: Callable[[], int], trim: Callable[[], None] = trim) -> None:
        """`connections`: returns how many there are. `trim`: gives memory back."""
        self._connections = connections
        self._trim = trim
        self._most = 0  # since memory was given back last
        self._last = 0  # at the last sweep

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Look whether a crowd has left."""
        now, before = self._connections(), self._last
        self._last = now
        self._most = max(self._most, now)
        if now >= before and self._most - now >= max(CROWD, self._most // 2):  # and nobody is leaving still
            self._most = now
            self._trim()
