"""What the processes of a load tell each other while it runs: numbers in memory that they share."""

from __future__ import annotations

from ctypes import c_longlong
from multiprocessing.context import SpawnContext

_PUBLISHED, _END, _STOP, _LEAST = range(4)
UNKNOWN = -1


class Counters:
    """Each number has one writer at a time. Readers may see it a little late, and never torn."""

    def __init__(self, context: SpawnContext, receivers: int) -> None:
        self._cells = context.RawArray(c_longlong, _LEAST + receivers)
        self.reset()

    def reset(self) -> None:
        """Begin a phase."""
        self._cells[:] = [0] * len(self._cells)
        self._cells[_END] = UNKNOWN

    @property
    def published(self) -> int:
        """Messages so far."""
        return self._cells[_PUBLISHED]

    @published.setter
    def published(self, messages: int) -> None:
        self._cells[_PUBLISHED] = messages

    @property
    def end(self) -> int:
        """Messages in the whole phase; `UNKNOWN` while it is not over."""
        return self._cells[_END]

    @end.setter
    def end(self, messages: int) -> None:
        self._cells[_END] = messages

    @property
    def stopped(self) -> bool:
        """Whether everybody is to give up."""
        return bool(self._cells[_STOP])

    def stop(self) -> None:
        """Have everybody give up."""
        self._cells[_STOP] = 1

    @property
    def least(self) -> int:
        """Bytes that the slowest subscriber has."""
        return min(self._cells[_LEAST:])

    def set_least(self, receiver: int, octets: int) -> None:
        """The same of one process's subscribers."""
        self._cells[_LEAST + receiver] = octets
