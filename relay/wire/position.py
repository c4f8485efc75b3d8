"""A message's position: an unbroken numbering of messages, and the message's number in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple, Self

SHOWN = 64
"""Characters of what is no position that are shown to its author, at most: no position is that long, and the words for
a peer have to fit into a control frame, also where every character is escaped."""


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a message, written `EPOCH-NUMBER` in events, in JSON and in what a client sends back."""

    epoch: str
    """Name of one unbroken numbering of messages. A relay that starts without its old messages begins a new one."""
    number: int
    """1 for the first message of an epoch; 0 for the position before it, when nothing has been received."""

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `str` wrote as `text`: a hexadecimal epoch, and a number below 10**18.

        Raises ValueError for anything else.
        """
        match = re.fullmatch("([0-9a-f]{1,32})-(0|[1-9][0-9]{0,17})", text)
        if match is None:
            shown = repr(text[:SHOWN]) + ("..." if len(text) > SHOWN else "")
            raise ValueError(f"{shown} is not a position: give one such as 5289cfdd2847-17")
        return cls(match[1], int(match[2]))


class Epoch(NamedTuple):
    """One unbroken numbering of messages."""

    name: str
    first: int
    """Position of its first message. Numbers go on counting from one epoch to the next."""


def new_epoch() -> str:
    """A name for a new epoch: 48 random bits in hexadecimal, so that no other has it."""
    return os.urandom(6).hex()
