"""A file that holds the last position that was dealt with, and a subscriber that begins there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from relay.client.subscriber import SubscriberCore
from relay.wire.position import Position

EVERY = 1.0
"""Seconds between two writes, at least: a program that is killed gets again what came in this time, and no more."""


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> object:
        """It shall not come."""
        ...


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Calls a function after some seconds: `call_later` of asyncio's loop, `callLater` of Twisted's reactor."""


class Store:
    """Keeps a position in a file, which is written aside and renamed: it is never half written.

    A position is in the file `every` seconds after it was given, at the latest, while the event loop runs.
    """

    def __init__(self, path: str | os.PathLike[str], every: float = EVERY) -> None:
        """`every`: seconds between two writes, at least."""
        self._path = Path(path)
        self._every = every
        self._written: float | None = None
        self._waiting: Position | None = None
        self._timer: Timer | None = None

    def load(self) -> Position | None:
        """The position in the file; None if there is no file. Raises ValueError if it holds something else."""
        try:
            return Position.parse(self._path.read_text().strip())
        except FileNotFoundError:
            return None

    def keep(self, position: Position, now: float, call_later: CallLater) -> None:
        """Everything up to `position` is dealt with. Raises OSError if the file cannot be written.

        `now`: seconds of a clock that never goes back. `call_later`: of the event loop.
        """
        self._waiting = position
        if self._written is None or now - self._written >= self._every:
            self.flush()
            self._written = now
        elif self._timer is None:
            self._timer = call_later(self._written + self._every - now, self._late)

    def _late(self) -> None:
        self._timer = None
        with suppress(OSError):  # the next call of `keep` or `flush` has the same trouble, and somebody to tell
            self.flush()

    def flush(self) -> None:
        """Write what was not written yet. Raises OSError if that cannot be done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting is None:
            return
        aside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with aside.open("w") as file:
            file.write(f"{self._waiting}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self._path)
        self._waiting = None


def open_store(path: str | os.PathLike[str] | None, core: SubscriberCore) -> Store | None:
    """The store at `path`; None for no path. A position that is in it is where `core`, which is new, begins.

    Raises ValueError for a store that holds no position, or without a session, which has none.
    """
    if path is None:
        return None
    if not core.session:
        raise ValueError("without a session there are no positions to store")
    store = Store(path)
    stored = store.load()
    if stored is not None:
        core.begin_behind(stored)
    return store
