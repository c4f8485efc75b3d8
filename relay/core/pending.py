"""Messages published in this turn of the reactor that are not in the log yet."""

from __future__ import annotations

from array import array
from itertools import accumulate

from relay.core.log import Log
from relay.core.timing import Clock
from relay.wire.framing import Frames

LARGE = 64 * 1024
"""Published pieces of at least this many bytes are batches of their own: joining them with others would copy them."""


class Pending:
    """Collects published frames, and makes few batches of them."""

    def __init__(self, self_delimiting: bool) -> None:
        """`self_delimiting`: whether the framing is (see `Framing`). If not, a batch records where its messages end."""
        self.frames: list[Frames] = []
        """In order of arrival. Whoever adds frames adds to `size` too: a method would cost one more call a read."""
        self.size = 0
        """Bytes of all frames."""
        self._self_delimiting = self_delimiting

    def move_to(self, log: Log, clock: Clock) -> None:
        """Append everything to `log`: small pieces in a row joined into one batch, each large piece as it is."""
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

    def _append(self, frames: list[Frames], log: Log, clock: Clock) -> None:
        if not frames:
            return
        if len(frames) == 1:
            data, messages, held = frames[0]
        else:
            data = b"".join([one.data for one in frames])
            messages, held = sum([one.messages for one in frames]), len(data)
        ends = None if self._self_delimiting else array("I", accumulate(len(one.data) for one in frames))
        log.append(data, messages, held, clock(), ends)
