"""Reads a segment from its beginning, and finds where it ends and what lies behind that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from relay.core.journal import Key
from relay.journal.contents import (
    TRAILER_SIZE,
    BadContents,
    End,
    Seal,
    decode_epochs,
    decode_names,
    decode_seal,
    seal_offset,
)
from relay.journal.disk import Disk
from relay.journal.format import HEADER_SIZE, MARK_SIZE, Header, Kind, Record, walk, whole_size
from relay.journal.segment import Index, Segment
from relay.wire.position import Epoch

WINDOW = 4 * 1024 * 1024
"""Bytes that are read at once."""


@dataclass
class Scan:
    """What was found in a segment."""

    segment: Segment
    epochs: list[Epoch] = field(default_factory=list)
    """Empty if the segment has no records."""
    names: dict[Key, int] = field(default_factory=dict)
    """How many messages were accepted under each name, the longest unseen first."""
    end: End | None = None
    """What the seal says; None without one."""
    offset: int = HEADER_SIZE
    """Where the last record that is right ends."""
    synced: int = 0
    """The position before which all messages were on disk when the last record was written, as far as that knew."""

    @property
    def empty(self) -> bool:
        """Whether the segment has no messages."""
        return self.segment.next == self.segment.first


def records(disk: Disk, path: str, mark: bytes, offset: int = HEADER_SIZE) -> Iterator[Record]:
    """All records of a segment from `offset` on, up to the first that is not whole or not right. Raises OSError."""
    want = WINDOW
    while True:
        data = memoryview(disk.read(path, offset, want))
        begin = offset
        for record in walk(data, mark, base=offset):
            yield record
            offset = record.end
        if offset > begin:
            want = WINDOW
        elif whole_size(data, mark, 0) > want == len(data):
            want = whole_size(data, mark, 0)
        else:
            return


def scan(disk: Disk, folder: str, header: Header) -> Scan:
    """Read a whole segment. Raises OSError."""
    segment = Segment(folder, header, 0, 0, HEADER_SIZE, 0, header.created)
    segment.room = disk.size(segment.path)
    found = Scan(segment)
    try:
        for record in records(disk, segment.path, header.mark):
            if not _take(found, record):
                break
            found.offset = record.end
            found.synced = record.first - record.unsynced
            segment.latest = record.time
    except BadContents:
        pass  # the checksum is right, so no relay wrote this by accident: what follows cannot be relied on either
    return found


def _take(found: Scan, record: Record) -> bool:
    """Add a record to what was found. Returns whether it may stand there."""
    segment = found.segment
    if record.kind == Kind.START and not found.epochs and record.offset == HEADER_SIZE:
        found.names = dict(decode_names(record.extra))
        found.epochs = decode_epochs(record.data)
        segment.first = segment.next = record.first
        segment.size = record.end
        return bool(found.epochs)
    if not found.epochs or found.end is not None or record.first != segment.next:
        return False
    if record.kind == Kind.BATCH and record.messages:
        lengths = 4 * record.messages if segment.header.framing == "raw" else 0
        for key, count in decode_names(record.extra[lengths:]):
            found.names.pop(key, None)
            found.names[key] = count
        segment.index.note(record.first, record.offset, record.time)
        segment.next = record.next
        segment.size = record.end
        return True
    if record.kind == Kind.SEAL:
        found.end = decode_seal(record.data).end
        return True
    return False


def read_sealed(disk: Disk, folder: str, header: Header) -> Segment | None:
    """A segment, from its seal alone; None if it does not end with one, or the seal is damaged. Raises OSError."""
    segment = Segment(folder, header, 0, 0, HEADER_SIZE, 0, header.created)
    segment.room = disk.size(segment.path)
    trailer = disk.read(segment.path, max(0, segment.room - TRAILER_SIZE), TRAILER_SIZE)
    if len(trailer) < TRAILER_SIZE or not HEADER_SIZE <= (offset := seal_offset(trailer)) < segment.room:
        return None
    data = memoryview(disk.read(segment.path, offset, segment.room - offset))
    record = next(walk(data, header.mark, base=offset), None)
    if record is None or record.kind != Kind.SEAL or record.end != segment.room:
        return None
    try:
        seal: Seal = decode_seal(record.data)
    except BadContents:
        return None
    segment.index = Index(seal.entries)
    segment.next = record.next
    segment.first = seal.entries[0].first if seal.entries else record.next
    segment.size = offset
    segment.latest = record.time
    return segment


def blank(disk: Disk, path: str, offset: int) -> bool:
    """Whether a file has nothing but zeros from `offset` on. Raises OSError."""
    while data := disk.read(path, offset, WINDOW):
        if data != bytes(len(data)):
            return False
        offset += len(data)
    return True


def synced_behind(disk: Disk, path: str, mark: bytes, offset: int) -> int:
    """The position before which all messages were on disk, as records say that stand behind `offset`.

    0 if there are no such records. Raises OSError.
    """
    synced = 0
    while (offset := _find(disk, path, mark, offset)) >= 0:
        step = 1
        for record in records(disk, path, mark, offset):
            synced = max(synced, record.first - record.unsynced)
            step = record.end - offset
        offset += step
    return synced


def _find(disk: Disk, path: str, mark: bytes, offset: int) -> int:
    """Where `mark` comes next, from `offset` on; -1 if it does not."""
    while len(data := disk.read(path, offset, WINDOW)) >= MARK_SIZE:
        at = data.find(mark)
        if at >= 0:
            return offset + at
        offset += len(data) - MARK_SIZE + 1
    return -1
