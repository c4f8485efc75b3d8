"""How messages look to a subscriber that does not get them as publishers sent them, but over HTTP or WebSocket.

An encoding takes messages and gives bytes, without I/O. What it makes of a message stands by itself, so that a stream
can begin and end between any two, and so that the ends of messages can be found in it again when somebody asks.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Protocol

from relay.wire.framing import Buffer


class Encoding(Protocol):
    """One way to write messages."""

    @property
    def name(self) -> str:
        """A word for the log and for metrics."""
        ...

    def encode(self, messages: Iterable[bytes], number: int) -> bytes:
        """Write messages that follow each other, as they are sent. `number`: the position of the first of them."""
        ...

    def ends(self, data: Buffer) -> array[int]:
        """Where each message ends in what `encode` made, as ascending offsets."""
        ...
