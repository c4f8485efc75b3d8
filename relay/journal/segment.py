"""A segment: one file of the journal, with an index that says where the blocks of its messages are.

The index has an entry for each mebibyte, never one for each message. A *block* is what lies between two entries: the
unit in which a segment is read.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.core.journal import Chunk
from relay.journal.contents import Entry
from relay.journal.disk import Disk
from relay.journal.format import Header, Kind, walk
from relay.wire.lengths import decode_lengths

BLOCK = 1024 * 1024
"""Bytes of a segment that a block has at least, except the last. At 24 bytes for an entry, an index of 10 GiB takes 240
kB. To find one message, at most a block is read: 1 ms from the page cache, 25 ms if it has 20,000 batches."""
SUFFIX = ".journal"


class Damaged(Exception):  # noqa: N818  # named for what was found
    """What is on disk is not what was written."""

    def __init__(self, path: str, offset: int, position: int, what: str) -> None:
        self.path = path
        self.offset = offset
        """Bytes of the file before the damage."""
        self.position = position
        """Position of the first message that cannot be read."""
        self.what = what
        where = f"{path} at byte {offset:,}, where message {position:,} should be"
        super().__init__(f"journal damaged: {where}: {what}")


class Index:
    """Where blocks begin in a segment."""

    __slots__ = ("_firsts", "_offsets", "_times")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._firsts: array[int] = array("Q")
        self._offsets: array[int] = array("Q")
        self._times: array[int] = array("Q")
        for entry in entries:
            self._append(*entry)

    def _append(self, first: int, offset: int, time: int) -> None:
        self._firsts.append(first)
        self._offsets.append(offset)
        self._times.append(time)

    def note(self, first: int, offset: int, time: int) -> None:
        """Take down a batch that was written: its first message, where it begins, its time in microseconds."""
        if not self._offsets or offset - self._offsets[-1] >= BLOCK:
            self._append(first, offset, time)
        elif time < self._times[-1]:
            self._times[-1] = time

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self._firsts)

    def __getitem__(self, block: int) -> Entry:
        return Entry(self._firsts[block], self._offsets[block], self._times[block])

    def find(self, position: int) -> int:
        """The block that has the message at `position`, which must be in the segment."""
        return bisect_right(self._firsts, position) - 1

    def before(self, time: int) -> int:
        """The last block with a batch from before `time`, in microseconds; -1 if there is none."""
        return next((block for block in reversed(range(len(self))) if self._times[block] < time), -1)


@dataclass(slots=True)
class Segment:
    """A file of the journal."""

    folder: str
    header: Header
    first: int
    """Position of its first message."""
    next: int
    """Position of the first message behind it."""
    size: int
    """Bytes of the file up to the end of its last batch."""
    room: int
    """Bytes that the file takes on disk."""
    latest: int
    """When it was last written to, in microseconds since 1970."""
    before: int = 0
    """Bytes of the segments before it, of all that were there when the journal was opened or begun since."""
    index: Index = field(default_factory=Index)

    @property
    def path(self) -> str:
        """Where the file is."""
        return segment_path(self.folder, self.header.sequence)

    def block(self, number: int) -> Block:
        """The block with that number, as far as the segment is written now."""
        first, start, _ = self.index[number]
        last = number + 1 == len(self.index)
        stop = self.size if last else self.index[number + 1].offset
        after = self.next if last else self.index[number + 1].first
        return Block(self.path, self.header.mark, self.header.framing == "raw", first, after, start, stop)


class Block(NamedTuple):
    """What must be known to read a block, in any thread."""

    path: str
    mark: bytes
    lengths: bool
    """Whether the batches carry the lengths of their messages."""
    first: int
    """Position of its first message."""
    next: int
    """Position of the first message behind it."""
    start: int
    """Bytes of the file before the block."""
    stop: int
    """Bytes of the file up to its end."""


def read_block(disk: Disk, block: Block) -> Chunk:
    """Read and check a block. Raises Damaged, and OSError."""
    data = memoryview(disk.read(block.path, block.start, block.stop - block.start))
    position, offset = block.first, block.start
    pieces: list[memoryview] = []
    marks: list[tuple[int, int]] = []
    ends: array[int] | None = array("I") if block.lengths else None
    size = 0
    for record in walk(data, block.mark, base=block.start):
        if record.kind != Kind.BATCH or record.first != position:
            break
        if ends is not None:
            for length in decode_lengths(record.extra, record.messages):
                size += length
                ends.append(size)
        pieces.append(record.data)
        marks.append((record.time, record.first))
        position, offset = record.next, record.end
    if offset != block.stop or position != block.next:
        raise Damaged(block.path, offset, position, "no batch with a right checksum begins here")
    return Chunk(block.first, block.next, b"".join(pieces), ends, marks)


def segment_path(folder: str, sequence: int) -> str:
    """The path of the segment with that number."""
    return os.path.join(folder, f"{sequence:010}{SUFFIX}")


def sequence_of(name: str) -> int | None:
    """The number of the segment whose file has that name; None if it is no segment's."""
    stem = name.removesuffix(SUFFIX)
    return int(stem) if stem != name and len(stem) >= 10 and stem.isdecimal() and stem.isascii() else None
