"""Numbers in shared memory, by which the processes of a load follow each other's progress."""

from __future__ import annotations

from ctypes import c_longlong
from multiprocessing.context import SpawnContext

_PUBLISHED, _END, _STOP, _LEAST = range(4)
UNKNOWN = -1


class Counters:
    """Each number has one writer at a time. Readers may see a change a little late, but never half of it."""

    def __init__(self, context: SpawnContext, receivers: int) -> None:
        self._cells = context.RawArray(c_longlong, _LEAST + receivers)
        self.reset()

    def reset(self) -> None:
        """Set all numbers back, for the next phase."""
        self._cells[:] = [0] * len(self._cells)
        self._cells[_END] = UNKNOWN

    @property
    def published(self) -> int:
        """Messages published so far."""
        return self._cells[_PUBLISHED]

    @published.setter
    def published(self, messages: int) -> None:
        self._cells[_PUBLISHED] = messages

    @property
    def end(self) -> int:
        """Messages published in the whole phase; `UNKNOWN` until it is over."""
        return self._cells[_END]

    @end.setter
    def end(self, messages: int) -> None:
        self._cells[_END] = messages

    @property
    def stopped(self) -> bool:
        """Whether all processes are to give up."""
        return bool(self._cells[_STOP])

    def stop(self) -> None:
        """Have all processes give up."""
        self._cells[_STOP] = 1

    @property
    def least(self) -> int:
        """Bytes that the slowest subscriber has received."""
        return min(self._cells[_LEAST:])

    def set_least(self, receiver: int, octets: int) -> None:
        """Set the bytes that the slowest subscriber of one process has received; `receiver`: the process's index."""
        self._cells[_LEAST + receiver] = octets
