"""Lengths of messages beside their bytes, for framings whose frames cannot tell them: 4 bytes each, big-endian."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

from relay.wire.framing import Buffer

LENGTH = 4
"""Bytes of one length."""


def encode_lengths(ends: Iterable[int]) -> bytes:
    """The lengths of messages that end at the ascending offsets `ends`."""
    lengths: array[int] = array("I")
    before = 0
    for end in ends:
        lengths.append(end - before)
        before = end
    return _swapped(lengths).tobytes()


def decode_lengths(data: Buffer, messages: int) -> array[int]:
    """The lengths of `messages` messages, with which `data` begins. Raises ValueError if some are missing."""
    lengths: array[int] = array("I")
    if len(data) < messages * LENGTH:
        raise ValueError("lengths are cut off")
    lengths.frombytes(data[: messages * LENGTH])
    return _swapped(lengths)


def _swapped(lengths: array[int]) -> array[int]:
    """Between the machine's order of bytes and the network's. Every machine that Python runs on has 4 in an "I"."""
    if sys.byteorder == "little":
        lengths.byteswap()
    return lengths
