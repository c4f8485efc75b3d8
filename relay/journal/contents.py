"""What stands in the records of a segment besides messages: names, epochs, the index. `docs/journal.md` has the bytes.

All of it is behind a checksum. So what cannot be read here was written wrongly, and raises BadContents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct, error
from typing import NamedTuple

from relay.core.journal import Key
from relay.wire.framing import Buffer
from relay.wire.position import Epoch

_CONTRIBUTION = Struct("!IIQ")
_EPOCH = Struct("!32sQ")
_ENTRY = Struct("!QQQ")
_SEALED = Struct("!BQ")
TRAILER_SIZE = _SEALED.size
"""Bytes at the end of a seal, and so of a sealed segment."""


class BadContents(Exception):  # noqa: N818  # named for what was found
    """A record says what no relay writes."""


class Entry(NamedTuple):
    """Where a block of records begins in a segment."""

    first: int
    """Position of the block's first message."""
    offset: int
    """Bytes of the segment before the block."""
    time: int
    """The earliest time of a batch in the block, in microseconds since 1970, UTC."""


class End(IntEnum):
    """Why nothing follows in a segment."""

    CONTINUED = 1
    """The next segment goes on."""
    CLOSED = 2
    """The relay stopped, and all that anybody has seen was on disk."""
    CUT = 3
    """Somebody may have seen messages that followed and are lost: what comes next belongs to a new epoch."""


class Seal(NamedTuple):
    """The contents of the last record in a segment."""

    entries: list[Entry]
    end: End
    offset: int
    """Where the seal itself begins in the segment."""


def encode_names(counts: Iterable[tuple[Key, int]]) -> bytes:
    """Names and how many messages were accepted under each so far."""
    parts = []
    for (subject, name), count in counts:
        words = subject.encode(), name.encode()
        parts += [_CONTRIBUTION.pack(len(words[0]), len(words[1]), count), *words]
    return b"".join(parts)


def decode_names(data: Buffer) -> Iterator[tuple[Key, int]]:
    """What `encode_names` was given. Raises BadContents."""
    whole = bytes(data)
    offset = 0
    try:
        while offset < len(whole):
            subject, name, count = _CONTRIBUTION.unpack_from(whole, offset)
            offset += _CONTRIBUTION.size
            words = whole[offset : offset + subject], whole[offset + subject : offset + subject + name]
            offset += subject + name
            yield (words[0].decode(), words[1].decode()), count
    except (error, UnicodeDecodeError):
        raise BadContents("its names cannot be read") from None
    if offset != len(whole):
        raise BadContents("its names are cut off")


def encode_epochs(epochs: Iterable[Epoch]) -> bytes:
    """Epochs, the oldest first."""
    return b"".join([_EPOCH.pack(name.encode(), first) for name, first in epochs])


def decode_epochs(data: Buffer) -> list[Epoch]:
    """What `encode_epochs` was given. Raises BadContents."""
    try:
        return [Epoch(name.rstrip(b"\0").decode("ascii"), first) for name, first in _EPOCH.iter_unpack(data)]
    except (error, UnicodeDecodeError):
        raise BadContents("its epochs cannot be read") from None


def encode_seal(seal: Seal) -> bytes:
    """The data of a seal."""
    entries = b"".join([_ENTRY.pack(*entry) for entry in seal.entries])
    return entries + _SEALED.pack(seal.end, seal.offset)


def decode_seal(data: Buffer) -> Seal:
    """What `encode_seal` was given. Raises BadContents."""
    split = len(data) - TRAILER_SIZE
    try:
        end, offset = _SEALED.unpack_from(data, split)
        return Seal([Entry(*entry) for entry in _ENTRY.iter_unpack(data[:split])], End(end), offset)
    except (error, ValueError):
        raise BadContents("its seal cannot be read") from None


def seal_offset(trailer: bytes) -> int:
    """Where the seal begins in a segment that ends with `trailer`, if it is a trailer at all."""
    offset: int = _SEALED.unpack(trailer)[1]
    return offset
