"""The bytes of a segment: a header, and records behind it. `docs/journal.md` is the specification.

Every record begins with the segment's *mark*, four random bytes, and carries a checksum over all of itself. The mark is
what a reader looks for behind damage. No peer can know it, so no message can be made to look like a record.

There are three kinds of records. A *start* is the first in a segment, and says what a reader could otherwise only learn
from older segments. A *batch* is what one flush of the hub brought: the wire's own bytes, and how far each publisher
with a name has come. A *seal* is the last in a segment, and says what is where in it.

Nothing here touches a file: bytes become values, and values bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from relay.journal.checksum import crc32
from relay.wire.framing import Buffer
from relay.wire.framings import MAX_NAME

MAGIC = b"\x89RelayJ\n"
"""The first bytes of every segment. The first is no ASCII and the last a line's end, so that a copy as text shows."""
VERSION = 2
_VERSION = Struct("!8sH")
_HEADER = Struct(f"!8sH{MAX_NAME}sIQ16sQ4s")
_CHECKSUM = Struct("!I")
HEADER_SIZE = _HEADER.size + _CHECKSUM.size
_HEAD = Struct("!4sIBIIQIIQ")
_CHECKED = Struct("!BIIQIIQ")
_AHEAD = _HEAD.size - _CHECKED.size  # bytes of a head that the checksum does not cover
HEAD_SIZE = _HEAD.size
MARK_SIZE = 4


class BadHeader(Exception):  # noqa: N818  # named for what was found
    """What is no header of a segment, in words for people."""


class OtherVersion(BadHeader):
    """The segment was written by a relay with another version of the format."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment's first bytes say. They are on disk before any record is written."""

    framing: str
    """How messages are told apart in the batches: the framing's name, at most `MAX_NAME` bytes in UTF-8."""
    max_message: int
    """Bytes that a message may have."""
    sequence: int
    """The segment's number. The next segment of the journal has the next number."""
    boot: bytes
    """16 bytes that name the machine's run from boot to shutdown in which the segment was begun."""
    created: int
    """When, in microseconds since 1970, UTC."""
    mark: bytes
    """The 4 bytes that every record of the segment begins with."""

    def encode(self) -> bytes:
        """The header's bytes."""
        data = _HEADER.pack(
            MAGIC,
            VERSION,
            self.framing.encode(),
            self.max_message,
            self.sequence,
            self.boot,
            self.created,
            self.mark,
        )
        return data + _CHECKSUM.pack(crc32(data))


def read_header(data: bytes) -> Header:
    """The header that `data` begins with. Raises BadHeader if there is none, OtherVersion if it cannot be read."""
    if len(data) < _VERSION.size:
        raise BadHeader("it is too short for a segment")
    magic, version = _VERSION.unpack_from(data)
    if magic != MAGIC:
        raise BadHeader("it does not begin as a segment does")
    ours = _VERSION.pack(MAGIC, VERSION) + data[_VERSION.size : _HEADER.size]
    right = len(data) >= HEADER_SIZE and _CHECKSUM.unpack_from(data, _HEADER.size)[0] == crc32(ours)
    if version != VERSION and not right:  # if it is right but for the version, that is what is damaged
        known = f"and this relay knows {VERSION}" if version > VERSION else "from before the first release"
        raise OtherVersion(f"it has version {version} of the format, {known}")
    if version != VERSION or not right:
        raise BadHeader("its header is damaged")
    _, _, framing, max_message, sequence, boot, created, mark = _HEADER.unpack_from(data)
    return Header(framing.rstrip(b"\0").decode(), max_message, sequence, boot, created, mark)


def new_mark() -> bytes:
    """A mark for a new segment. It is never all zeros, as the room behind the last record is."""
    return os.urandom(MARK_SIZE - 1) + b"\xa5"


class Kind(IntEnum):
    """What a record is."""

    START = 1
    BATCH = 2
    SEAL = 3


class Record(NamedTuple):
    """One record, checked. `extra` and `data` are views of what was read."""

    kind: int
    extra: memoryview
    data: memoryview
    first: int
    """Position of the first message of a batch; in other records, of the next message."""
    messages: int
    """Messages in a batch; 0 in other records."""
    unsynced: int
    """Messages before `first` that were not known to be on disk when the record was written."""
    time: int
    """When it was written, in microseconds since 1970, UTC, by a clock that may be set."""
    offset: int
    """Where the record begins in the segment."""
    end: int
    """Where it ends."""

    @property
    def next(self) -> int:
        """Position of the first message behind the record."""
        return self.first + self.messages


class Head(NamedTuple):
    """What is written before the contents of a record; see `Record`."""

    kind: Kind
    first: int
    messages: int
    unsynced: int
    time: int


def encode(mark: bytes, head: Head, extra: Buffer, pieces: Sequence[Buffer]) -> list[Buffer]:
    """The buffers of one record, in the order in which they are written. `pieces` together are its data."""
    size = sum([len(piece) for piece in pieces])
    kind, first, messages, unsynced, time = head
    checked = _CHECKED.pack(kind, len(extra), size, first, messages, unsynced, time)
    checksum = crc32(extra, crc32(checked))
    for piece in pieces:
        checksum = crc32(piece, checksum)
    front = mark + _CHECKSUM.pack(checksum) + checked
    return [front, extra, *pieces] if extra else [front, *pieces]


def walk(data: memoryview, mark: bytes, offset: int = 0, base: int = 0) -> Iterator[Record]:
    """All records in `data` from `offset` on, up to the first that is not whole or not right.

    `base`: where `data` begins in the segment.
    """
    size = len(data)
    while size - offset >= HEAD_SIZE:
        found, checksum, kind, extra, length, first, messages, unsynced, time = _HEAD.unpack_from(data, offset)
        begin = offset + HEAD_SIZE
        end = begin + extra + length
        if found != mark or end > size or crc32(data[offset + _AHEAD : end]) != checksum:
            return
        middle = begin + extra
        yield Record(
            kind, data[begin:middle], data[middle:end], first, messages, unsynced, time, base + offset, base + end
        )
        offset = end


def whole_size(data: memoryview, mark: bytes, offset: int) -> int:
    """Bytes of the record at `offset`, as its head says without being checked; 0 if there is no head."""
    if len(data) - offset < HEAD_SIZE or data[offset : offset + MARK_SIZE] != mark:
        return 0
    _, _, _, extra, length, *_ = _HEAD.unpack_from(data, offset)
    return HEAD_SIZE + int(extra) + int(length)
