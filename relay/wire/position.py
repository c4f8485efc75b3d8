"""Where a message stands: in which unbroken numbering of messages, and its number there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a message, written `EPOCH-NUMBER` wherever it is told: events, JSON, what a client sends back."""

    epoch: str
    """Names one unbroken numbering of messages: a relay that starts without a memory begins another."""
    number: int
    """The first message of an epoch is 1. 0 is the position before it: nothing was received yet."""

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote, if the epoch is in hexadecimal and the number less than 10**18.

        Raises ValueError for anything else.
        """
        match = re.fullmatch("([0-9a-f]{1,32})-(0|[1-9][0-9]{0,17})", text)
        if match is None:
            raise ValueError(f"{text!r} is not a position: give one such as 5289cfdd2847-17")
        return cls(match[1], int(match[2]))


def new_epoch() -> str:
    """A name for an epoch that no other has: 48 random bits in hexadecimal."""
    return os.urandom(6).hex()
