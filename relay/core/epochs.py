"""Where one goes on that comes back with a position, in whatever epoch that was."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from relay.wire.position import Epoch, Position


class Resumption(NamedTuple):
    """Where one goes on that comes back."""

    wanted: int
    """Position of the first message that it lacks."""
    ahead: int
    """Messages that it was given and that a journal's disk never got: their numbers are those of other messages now."""


def resume(epochs: Sequence[Epoch], after: Position, following: int) -> Resumption | None:
    """Where one goes on behind `after`; None if nobody knows.

    `epochs`: all that are known, the oldest first. `following`: the position that the next message gets.

    Numbers go on counting from one epoch to the next. So up to the last message of its epoch, a position is that of the
    same message in every later one.
    """
    for epoch, behind in pairwise([*epochs, Epoch("", following)]):
        if epoch.name == after.epoch:
            ahead = max(0, after.number - (behind.first - 1))
            if ahead and epoch is epochs[-1]:
                return None
            return Resumption(after.number - ahead + 1, ahead)
    return None
