"""What the rest of a relay sees of a backbone: figures, and why publishers wait for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BackboneFigures:
    """A backbone at one moment. Totals are since the relay's start; sizes are in bytes, times in seconds."""

    proposed: int
    """Proposals of this relay, each counted once."""
    again: int
    """How often this relay proposed again all that was on its way."""
    folded: int
    """Proposals of all relays that were folded."""
    ignored: Mapping[str, int]
    """Proposals, and contributions of folded ones (`stale`), that were ignored, by cause."""
    window: int
    """Proposals of this relay that are on their way."""
    window_bytes: int
    waiting: int
    """What waits for room in the window."""
    bounds: tuple[float, ...]
    """Upper bounds of the buckets of `trips`, in seconds; one more bucket has what took longer."""
    trips: tuple[int, ...]
    """Proposals of this relay that came back, by how long that took."""
    trip_seconds: float
    """What all of those took together."""
    behind: int
    """Messages of the stream that this relay has not read yet, when it last read one."""
    names: int
    """Names of publishers that the fold knows."""
    sequence: int
    """The stream's number of the last message that was folded."""
    snapshot: int
    """The stream's number of the last message in the newest snapshot that this relay wrote; 0: none."""
    trouble: str
    """Why it takes nothing, in words for people: NATS cannot be reached, or takes no proposals. Empty if it does."""
    held: bool
    """Whether publishers wait for it, because of that or because they are faster than the stream."""
    held_seconds: float
    """Time during which they did."""


class Backbone(Protocol):
    """The order of many relays."""

    @property
    def trouble(self) -> str:
        """Why it takes nothing, in words for people; empty if it does."""
        ...

    def figures(self) -> BackboneFigures:
        """How it is."""
        ...
