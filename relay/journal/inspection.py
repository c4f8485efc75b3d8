"""Looks at a journal without touching it: a copy, or one that a relay is writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from relay.journal.contents import BadContents, decode_epochs
from relay.journal.disk import Disk
from relay.journal.format import HEADER_SIZE, BadHeader, Header, Kind, OtherVersion, read_header
from relay.journal.scan import Scan, blank, read_sealed, records, scan, synced_behind
from relay.journal.segment import Damaged, Segment, read_block, segment_path, sequence_of
from relay.wire.framing import Framing
from relay.wire.framings import FRAMINGS
from relay.wire.position import Epoch
from relay.wire.printable import escaped


class Unreadable(Exception):  # noqa: N818  # named for what was found
    """What was asked for cannot be had from this folder, in words for people."""


class Message(NamedTuple):
    """A message of the journal."""

    position: int
    time: int
    """When its batch was written, in microseconds since 1970."""
    data: bytes
    """What was published, without what the framing adds."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment, as far as it can be read."""

    path: str
    segment: Segment | None
    """None if its header cannot be read, or if it has no records yet."""
    fault: Damaged | None
    """What is wrong with it."""
    gap: Damaged | None = None
    """What is wrong between it and the segment before it."""


def sequences(disk: Disk, folder: str) -> list[int]:
    """The numbers of all segments in a folder, ascending, at least one. Raises Unreadable and OSError."""
    named = (sequence_of(name) for name in disk.list(folder))
    found = sorted(sequence for sequence in named if sequence is not None)
    if not found:
        raise Unreadable(f"{folder} has no journal: none of its files is a segment, such as {segment_path('', 1)}")
    return found


def look(disk: Disk, folder: str, *, whole: bool = False) -> Iterator[Listed]:
    """All segments of a folder, the oldest first.

    `whole`: read and check every byte, not only what says how the segments follow each other. What a relay begins or
    deletes meanwhile is left out. Raises Unreadable if there is none, or one with another version of the format, and
    OSError.
    """
    found = sequences(disk, folder)
    ready = _is_ready(disk, segment_path(folder, found[-1]))  # found out first: it goes on where the one before it ends
    before: Segment | None = None
    for sequence in found:
        path = segment_path(folder, sequence)
        try:
            header = _read_header(disk, path, sequence)
            if ready and sequence == found[-1]:
                yield Listed(path, None, None)
                continue
            one = _look_at(disk, folder, header, whole)
        except OtherVersion as error:
            raise Unreadable(f"{path} cannot be read: {error}") from None
        except BadHeader as error:
            yield Listed(path, None, Damaged(path, 0, before.next if before else 0, str(error)))
            before = None
            continue
        except FileNotFoundError:  # deleted, as all before it are by now
            before = None
            continue
        if before and one.segment:
            one = replace(one, gap=_gap(before, one.segment))
        yield one
        before = one.segment


def _is_ready(disk: Disk, path: str) -> bool:
    """Whether a segment has no records yet."""
    try:
        return disk.size(path) >= HEADER_SIZE and blank(disk, path, HEADER_SIZE)
    except FileNotFoundError:
        return False


def _read_header(disk: Disk, path: str, sequence: int) -> Header:
    """The header of a segment whose file is named by `sequence`. Raises BadHeader and OSError."""
    header = read_header(disk.read(path, 0, HEADER_SIZE))
    if header.sequence != sequence:
        raise BadHeader(f"it is segment {header.sequence:,}: the file was renamed")
    return header


def _gap(before: Segment, segment: Segment) -> Damaged | None:
    """What is wrong between two segments that should follow each other; None if they do."""
    if segment.header.sequence != before.header.sequence + 1:
        missing = segment_path(segment.folder, before.header.sequence + 1)
        return Damaged(segment.path, 0, before.next, f"{missing} is missing before it")
    if segment.first != before.next:
        return Damaged(segment.path, HEADER_SIZE, before.next, f"it begins with message {segment.first:,}")
    return None


def _look_at(disk: Disk, folder: str, header: Header, whole: bool) -> Listed:
    path = segment_path(folder, header.sequence)
    sealed = None if whole else read_sealed(disk, folder, header)
    if sealed:
        return Listed(path, sealed, None)
    found = scan(disk, folder, header)
    segment = found.segment if found.epochs else None
    return Listed(path, segment, _fault(disk, found))


def _fault(disk: Disk, found: Scan) -> Damaged | None:
    """What is wrong with a segment; None if nothing is, or if its end was not written whole, which a start mends."""
    segment = found.segment
    if blank(disk, segment.path, found.offset):
        return None
    if found.end is None and not synced_behind(disk, segment.path, segment.header.mark, found.offset):
        return None
    if scan(disk, segment.folder, segment.header).offset > found.offset:
        return None  # a relay has written on since it was read
    return Damaged(segment.path, found.offset, segment.next, "no record with a right checksum begins here")


def epochs(disk: Disk, segment: Segment) -> list[Epoch]:
    """The epochs that there were when a segment was begun, the oldest first; none if that cannot be read.

    An epoch begins with a start of the relay, and so with a segment. Raises OSError.
    """
    start = next(records(disk, segment.path, segment.header.mark), None)
    try:
        return decode_epochs(start.data) if start is not None and start.kind == Kind.START else []
    except BadContents:
        return []


def messages(
    disk: Disk,
    folder: str,
    wanted: Callable[[Segment], bool] = lambda segment: True,
    framings: Mapping[str, type[Framing]] = FRAMINGS,
) -> Iterator[Message]:
    """All messages of the segments that are `wanted`, in order. Raises Damaged, Unreadable and OSError.

    `framings`: those that are known, by name. No module is imported because a journal names it.
    """
    after: int | None = None
    for listed in look(disk, folder):
        if fault := listed.gap or listed.fault:
            raise fault
        if listed.segment is None:
            continue
        if after not in (None, listed.segment.first):
            raise Unreadable(f"what comes before {listed.path} was deleted while it was read")
        after = listed.segment.next
        try:
            if wanted(listed.segment):
                yield from _messages(disk, listed.segment, framings)
        except FileNotFoundError:
            raise Unreadable(f"{listed.path} was deleted while it was read") from None


def _messages(disk: Disk, segment: Segment, framings: Mapping[str, type[Framing]]) -> Iterator[Message]:
    name = segment.header.framing
    if name not in framings:
        raise Unreadable(f"{segment.path} has the framing {escaped(name)}: give it with --framing")
    framing = framings[name]
    for number in range(len(segment.index)):
        chunk = read_block(disk, segment.block(number))
        ends = framing.ends(chunk.data) if chunk.ends is None else chunk.ends
        after = [first for _, first in chunk.marks[1:]] + [chunk.next]
        rest, begin = iter(ends), 0
        for (time, first), stop in zip(chunk.marks, after, strict=True):
            for position in range(first, stop):
                end = next(rest)
                yield Message(position, time, framing.message(chunk.data[begin:end]))
                begin = end
