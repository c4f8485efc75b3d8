"""A place in the log, which is cheaper to keep than a position, because it needs no look at the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relay.wire.framing import Buffer


class Place(NamedTuple):
    """A byte in the log. Only the log computes with places."""

    batch: int
    """Number of a batch."""
    offset: int
    """Bytes of its data that are before the place; 0 at the front of the batch."""


class Messages(NamedTuple):
    """Whole messages that follow each other in one batch."""

    data: Buffer
    """All of the batch."""
    bounds: Sequence[int]
    """Where they begin and end, as ascending offsets into `data`: one more than there are messages."""
    first: int
    """Position of the first of them."""
    end: Place
    """Where they end: the front of the next batch, if they are the last of theirs."""

    @property
    def size(self) -> int:
        """How many bytes they are, as they stand in the log."""
        return self.bounds[-1] - self.bounds[0]
