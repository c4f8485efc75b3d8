"""A place in the log: cheaper to keep than a position, because moving it needs no look at the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relay.wire.framing import Buffer


class Place(NamedTuple):
    """A byte in the log. Only the log does arithmetic with places."""

    batch: int
    """Number of a batch."""
    offset: int
    """Bytes of the batch before the place."""


class Messages(NamedTuple):
    """Whole messages that follow each other in one batch."""

    data: Buffer
    """The whole batch."""
    bounds: Sequence[int]
    """Where the messages begin and end, as ascending offsets into `data`: one more than there are messages."""
    first: int
    """Position of the first message."""
    end: Place
    """Where the last message ends: the front of the next batch, if it is the last of its batch."""

    @property
    def size(self) -> int:
        """Bytes of the messages as they stand in the log."""
        return self.bounds[-1] - self.bounds[0]
