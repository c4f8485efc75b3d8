"""Messages published in this turn of the reactor that are not in the log yet.

With a journal they are `Journaled`: written before they are in the log, and so before anybody is given them. Without
one, they are `Pending`, and nothing asks for one.
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import NamedTuple, Protocol

from relay.core.journal import Journal
from relay.core.timing import Clock
from relay.wire.framing import Buffer, Frames

LARGE = 64 * 1024
"""Published pieces of at least this many bytes are batches of their own: joining them with others would copy them."""


class Batches(Protocol):
    """What takes batches: a log."""

    def append(self, data: Buffer, messages: int, held: int, time: float, ends: array[int] | None = None) -> None:
        """As `Log.append`."""
        ...


class Pending:
    """Collects published frames, and makes few batches of them."""

    def __init__(self, self_delimiting: bool) -> None:
        """`self_delimiting`: whether the framing is (see `Framing`). If not, a batch records where its messages end."""
        self.frames: list[Frames] = []
        """In order of arrival. Whoever adds frames adds to `size` too: a method would cost one more call a read."""
        self.size = 0
        """Bytes of all frames."""
        self._self_delimiting = self_delimiting

    @property
    def messages(self) -> int:
        """Messages in all frames."""
        return sum([one.messages for one in self.frames])

    def forget(self) -> None:
        """Drop everything."""
        self.frames, self.size = [], 0

    def move_to(self, log: Batches, clock: Clock) -> bool:
        """Append everything to `log`: small pieces in a row joined into one batch, each large piece as it is.

        Returns whether that could be done.
        """
        frames, self.frames, self.size = self.frames, [], 0
        small: list[Frames] = []
        for one in frames:
            if len(one.data) < LARGE:
                small.append(one)
                continue
            self._append(small, log, clock)
            self._append([one], log, clock)
            small = []
        self._append(small, log, clock)
        return True

    def _append(self, frames: list[Frames], log: Batches, clock: Clock) -> None:
        if not frames:
            return
        if len(frames) == 1:
            data, messages, held = frames[0]
        else:
            data = b"".join([one.data for one in frames])
            messages, held = sum([one.messages for one in frames]), len(data)
        ends = None if self._self_delimiting else array("I", accumulate(len(one.data) for one in frames))
        log.append(data, messages, held, clock(), ends)


class Journaled(Pending):
    """Pending frames that are written to a journal before they are in the log."""

    def __init__(self, self_delimiting: bool, journal: Journal) -> None:
        """`self_delimiting`: as in `Pending`."""
        super().__init__(self_delimiting)
        self._journal = journal

    def move_to(self, log: Batches, clock: Clock) -> bool:
        """As `Pending.move_to`. If the journal does not take them, they stay pending, and `log` gets nothing."""
        if not self._journal.ready:
            return False
        frames, size = self.frames, self.size
        joined = _Joined()
        super().move_to(joined, clock)
        batches = joined.batches
        if self._journal.append([one.data for one in batches], sum([one.messages for one in batches]), _ends(batches)):
            for one in batches:
                log.append(*one)
            return True
        self.frames, self.size = frames, size
        return False


class _Batch(NamedTuple):
    data: Buffer
    messages: int
    held: int
    time: float
    ends: array[int] | None


class _Joined:
    """Batches on their way to the journal and the log."""

    def __init__(self) -> None:
        self.batches: list[_Batch] = []

    def append(self, data: Buffer, messages: int, held: int, time: float, ends: array[int] | None = None) -> None:
        self.batches.append(_Batch(data, messages, held, time, ends))


def _ends(batches: list[_Batch]) -> list[int]:
    """Where each message ends in the data of all batches together, as far as batches say where theirs do."""
    found: list[int] = []
    offset = 0
    for one in batches:
        found += [offset + end for end in one.ends or ()]
        offset += len(one.data)
    return found
