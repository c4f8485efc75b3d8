"""What a subscriber gets: messages, runs of messages, and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from relay.wire.counted import HEADER
from relay.wire.framing import Frames
from relay.wire.position import Position


class Message(NamedTuple):
    """One message."""

    data: bytes
    """The message, without its length."""
    epoch: str | None
    """The epoch of its position; None without a session."""
    number: int
    """The number of its position; without a session, of the messages of the connection."""

    @property
    def position(self) -> Position | None:
        """Where the message stands; None without a session."""
        return None if self.epoch is None else Position(self.epoch, self.number)


class Run(NamedTuple):
    """Messages in a row, as they came: for those who must not touch each."""

    frames: Frames
    """The messages as whole frames."""
    epoch: str | None
    """The epoch of their positions; None without a session."""
    first: int
    """The number of the first of them."""

    @property
    def last(self) -> Position | None:
        """The position of the last message; None without a session."""
        return None if self.epoch is None else Position(self.epoch, self.first + self.frames.messages - 1)

    def messages(self) -> Iterator[Message]:
        """The messages, one by one."""
        data = bytes(self.frames.data)
        start, number = 0, self.first
        while start < len(data):
            (length,) = HEADER.unpack_from(data, start)
            start += HEADER.size + length
            yield Message(data[start - length : start], self.epoch, number)
            number += 1


class Gap(NamedTuple):
    """Messages are missing here, or come again from here."""

    lost: int | None
    """How many are missing; None if nobody knows, as when the relay was restarted."""
    position: Position
    """The position of the next message."""
    repeats: bool = False
    """Whether messages from `position` on may have been given before: the relay's count and ours differed, so the
    subscriber went back to the last position at which they agreed."""
    ahead: int = 0
    """Messages that were given before and that the relay has no more, because its machine went down before they were on
    disk. Their numbers are those of other messages now."""
