"""How messages are written for subscribers over HTTP or WebSocket, which do not get them as publishers sent them.

An encoding turns messages into bytes, without I/O. Each encoded message stands by itself, so that a stream can begin
and end between any two messages, and the ends of messages can be found in the encoded bytes again.
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
        """The bytes to send for `messages`, which follow each other. `number`: position of the first message."""
        ...

    def ends(self, data: Buffer) -> array[int]:
        """Where each message ends in `data`, which `encode` made, as ascending offsets."""
        ...
