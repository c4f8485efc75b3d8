"""Where a mirror's journal goes on if not where it ends: what comes does not follow what it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relay.journal.disk import Disk
from relay.journal.format import HEADER_SIZE, Kind, read_header
from relay.journal.scan import records
from relay.journal.segment import Damaged, Segment
from relay.journal.writer import Writer
from relay.wire.framings import FRAMINGS
from relay.wire.position import Epoch


class Anew(NamedTuple):
    """A place to go on at."""

    position: int
    """Of the next message."""
    epochs: Sequence[Epoch]
    """Those that are known then, the oldest first."""
    keeps: bool = False
    """Whether what comes before `position` stays, which must be less than where the journal ends; else nothing does."""


def copy(disk: Disk, segment: Segment, position: int, writer: Writer) -> None:
    """Write all messages of a segment that come before `position`. Raises Damaged and OSError.

    The framing must be one of the relay's own that can tell where messages end.
    """
    ends = FRAMINGS[segment.header.framing].ends
    # Of the file that is there now: what was written here may have replaced the one that `segment` was read from.
    mark = read_header(disk.read(segment.path, 0, HEADER_SIZE)).mark
    for record in records(disk, segment.path, mark):
        if record.kind == Kind.BATCH and record.first < position:
            count = min(record.messages, position - record.first)
            data = record.data if count == record.messages else record.data[: ends(record.data)[count - 1]]
            writer.append([data], count, bytes(record.extra), 0, record.time)
    if writer.segment.next != position:
        raise Damaged(
            segment.path, writer.segment.size, writer.segment.next, "no batch with a right checksum begins here"
        )
