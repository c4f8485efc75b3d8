"""What `--slow` may say, and the publishers as the hub sees them, whom one of the policies stops and starts."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from relay.core.cursor import Lag


class Slow(StrEnum):
    """What happens to a subscriber that falls further behind than the log reaches."""

    DISCONNECT = "disconnect"
    SKIP = "skip"
    BLOCK = "block"


class Intake(Protocol):
    """What the hub needs of the publishers, all together."""

    @property
    def alone(self) -> bool:
        """Whether there is but one of them, so that no other can be read in the same turn."""
        ...

    def pause(self, lag: Lag) -> None:
        """Read from no publisher, present or to come; the slowest subscriber is `lag` behind."""
        ...

    def resume(self) -> None:
        """Read from them again."""
        ...
