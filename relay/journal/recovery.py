"""What a journal is found to be when it is opened: whole, cut, or damaged.

Of all segments but the last only header and seal are read, so that a large journal opens fast. The last is read whole.
Three things can be wrong with it:

- A *torn tail*. The process was killed in the middle of a write, or a power cut came before all that was written was on
  disk. After a power cut the disk may have later parts of what was written last, and not earlier ones. What cannot be
  read, and all behind it, is cut off. Nothing of it was acknowledged as synced.
- *Damage*. A record behind it says that the place was on disk; or the machine has not been down, so that nothing that
  was written can be missing. Then `Damaged` is raised: to cut would lose what was promised.
- *What was seen is lost*. The machine was down, and nothing says that all that anybody has seen was on disk. Then a new
  epoch must begin.

Each step leaves the folder so that one which is interrupted is done again by the next start.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.journal.contents import End
from relay.journal.disk import Disk
from relay.journal.format import HEADER_SIZE, BadHeader, Header, OtherVersion, read_header
from relay.journal.scan import Scan, blank, read_sealed, scan, synced_behind
from relay.journal.segment import Damaged, Segment, segment_path, sequence_of
from relay.journal.writer import Writer

LOCK = "lock"
"""The file that is locked by whoever writes."""
BEGUN = "begun"
"""The name of a segment that gets its own when its first record is on disk."""
UNKNOWN_BOOT = bytes(16)
"""Where the system does not say which boot it is: then it is never the same."""


class CannotOpen(Exception):  # noqa: N818  # named for what it means to the caller
    """The journal cannot be used, in words for the operator."""


@dataclass
class Found:
    """What was in a journal's folder."""

    segments: list[Segment] = field(default_factory=list)
    """The oldest first. None of them is written any more."""
    last: Scan | None = None
    """The newest of them, read whole; None if there is none."""
    epoch_goes_on: bool = False
    """Whether nothing is lost that anybody may have seen."""
    notes: list[str] = field(default_factory=list)
    """What the operator should know, a line each."""
    cuts: int = 0
    """Places where something was not written whole, and is cut off now."""


def read_headers(disk: Disk, folder: str, notes: list[str]) -> list[Header]:
    """The headers of all segments in a folder, the oldest first. Raises CannotOpen, Damaged and OSError.

    What is no segment is noted. A last file without anything in it, whose creation was interrupted, is left out.
    """
    sequences = []
    for name in disk.list(folder):
        sequence = sequence_of(name)
        if sequence is not None:
            sequences.append(sequence)
        elif name not in (LOCK, BEGUN):
            notes.append(f"{os.path.join(folder, name)} is no file of a journal: it is left alone")
    headers: list[Header] = []
    for sequence in sorted(sequences):
        path = segment_path(folder, sequence)
        if headers and sequence != headers[-1].sequence + 1:
            raise CannotOpen(f"the journal is incomplete: {segment_path(folder, headers[-1].sequence + 1)} is missing")
        try:
            header = read_header(disk.read(path, 0, HEADER_SIZE))
        except OtherVersion as error:
            raise CannotOpen(f"{path} cannot be read: {error}") from None
        except BadHeader as error:
            if sequence == max(sequences) and blank(disk, path, 0):
                return headers
            raise Damaged(path, 0, 0, str(error)) from None
        if header.sequence != sequence:
            raise CannotOpen(f"{path} is segment {header.sequence:,}: it was renamed")
        headers.append(header)
    return headers


def check_headers(folder: str, headers: Iterable[Header], framing: str, max_message: int) -> None:
    """Raise CannotOpen if a relay with that framing and limit cannot go on with the segments of `headers`."""
    for header in headers:
        if header.framing != framing:
            raise CannotOpen(
                f"the journal {folder} has the framing {header.framing}, and this relay {framing}: "
                "give the same --framing, or another --journal"
            )
        if header.max_message > max_message:
            raise CannotOpen(
                f"the journal {folder} may have messages of {header.max_message:,} bytes: "
                "--max-message must not be less"
            )


class Recovery:
    """Reads a journal's folder, and mends what a crash has left."""

    def __init__(self, disk: Disk, folder: str, boot: bytes, time: int, notes: list[str]) -> None:
        """`boot`: names the machine's run from boot to shutdown. `time`: now, in microseconds since 1970.

        `notes`: gets a line for everything that the operator should know.
        """
        self._disk = disk
        self._folder = folder
        self._boot = boot
        self._time = time
        self._found = Found(notes=notes)

    def run(self, headers: list[Header]) -> Found:
        """Find everything behind `headers`, all that there are. Raises Damaged and OSError."""
        found = self._found
        spares = self._without_records(headers)
        segments = self._read(headers)
        for number, one in enumerate(segments):
            if isinstance(one, Segment):
                self._append(one)
            elif not self._settle(one, segments[number + 1 :]):
                self._cut(one, segments[number + 1 :])
                break
        if last := found.last:
            same = self._is_this_boot(last.segment)
            if last.end is None or (last.end is End.CONTINUED and same and spares):
                last.end = End.CLOSED if same else End.CUT
                self._seal(last)
            found.epoch_goes_on = last.end is End.CLOSED
        self._remove(spares)
        return found

    def _without_records(self, headers: list[Header]) -> list[Header]:
        """Take the segments off the end of `headers` that were made ready but have nothing in them, and return them."""
        spares = []
        while headers and blank(self._disk, segment_path(self._folder, headers[-1].sequence), HEADER_SIZE):
            spares.append(headers.pop())
        return spares

    def _read(self, headers: list[Header]) -> list[Segment | Scan]:
        """All segments: from their seals alone as far as those can be relied on, the others read whole.

        After a power cut a seal may be on disk without all that lies before it. So it is relied on only if a later
        record says that all that was synced.
        """
        segments: list[Segment | Scan] = []
        synced = 0
        for header in reversed(headers):
            sealed = read_sealed(self._disk, self._folder, header) if segments else None
            if sealed and sealed.next <= synced:
                segments.append(sealed)
                continue
            self._sync(header)
            if sealed and self._is_this_boot(sealed):
                segments.append(sealed)
            else:
                one = scan(self._disk, self._folder, header)
                synced = max(synced, one.synced)
                segments.append(one)
        return segments[::-1]

    def _sync(self, header: Header) -> None:
        """Have on disk what is found in a segment: the process that wrote it may have been killed before it was."""
        descriptor = self._disk.open(segment_path(self._folder, header.sequence))
        self._disk.sync(descriptor)
        self._disk.close(descriptor)

    def _is_this_boot(self, segment: Segment) -> bool:
        """Whether the machine was not down since the segment was begun, so that nothing can be lost."""
        return segment.header.boot == self._boot != UNKNOWN_BOOT

    def _append(self, segment: Segment) -> None:
        """Take a segment that is all right if it goes on where the one before ends."""
        segments = self._found.segments
        if segments and segment.first != segments[-1].next:
            raise Damaged(segment.path, HEADER_SIZE, segments[-1].next, f"it begins with message {segment.first:,}")
        segments.append(segment)

    def _settle(self, one: Scan, later: list[Segment | Scan]) -> bool:
        """Take a segment that was read whole, if it is all right. Returns whether it is."""
        segments, segment = self._found.segments, one.segment
        if not one.epochs or (segments and segment.first != segments[-1].next):
            return False
        following = _first(later[0]) if later else None
        if following is None and one.end is None and not blank(self._disk, segment.path, one.offset):
            return False
        if following not in (segment.next, None):
            return False
        if later and (one.end is None or segment.room != one.offset):
            one.end = End.CONTINUED
            self._seal(one)
        segments.append(segment)
        self._found.last = one
        return True

    def _cut(self, one: Scan, later: list[Segment | Scan]) -> None:
        """Cut off what cannot be read, and all behind it. Raises Damaged if that may not be."""
        self._found.cuts += 1
        segments, segment = self._found.segments, one.segment
        fits = bool(one.epochs) and (not segments or segment.first == segments[-1].next)
        position = segment.next if fits else segments[-1].next if segments else 0
        offset = one.offset if fits else HEADER_SIZE
        behind = max((self._synced(two, HEADER_SIZE) for two in later), default=0)
        behind = max(behind, self._synced(one, offset))
        if behind and (behind > position or self._is_this_boot(segment)):
            raise Damaged(segment.path, offset, position, "no record with a right checksum begins here")
        for two in reversed(later):
            path = segment_path(self._folder, _segment(two).header.sequence)
            self._drop(path, f"{path} is removed: what comes before it was not written whole")
        if not fits:
            self._drop(segment.path, f"{segment.path} is removed: it was not written whole")
            if segments:
                self._found.last = scan(self._disk, self._folder, segments[-1].header)
                if self._found.last.end is End.CONTINUED:
                    self._found.last.end = None
            return
        cut = segment.room - offset
        self._found.notes.append(
            f"{segment.path} is cut at byte {offset:,}, behind message {segment.next - 1:,}: "
            f"{cut:,} bytes there were not written whole"
        )
        one.end = None
        segments.append(segment)
        self._found.last = one

    def _synced(self, one: Segment | Scan, offset: int) -> int:
        """How far the disk was synced, as the records of a segment say from `offset` on; 0 if there are none."""
        segment = _segment(one)
        return synced_behind(self._disk, segment.path, segment.header.mark, offset)

    def _drop(self, path: str, note: str) -> None:
        self._disk.remove(path)
        self._disk.sync_folder(self._folder)
        self._found.notes.append(note)

    def _seal(self, one: Scan) -> None:
        """Let a segment end behind its last batch, for the reason `one.end`."""
        assert one.end is not None
        writer = Writer(self._disk, self._disk.open(one.segment.path), one.segment)
        writer.seal(one.end, 0, self._time)
        writer.finish()

    def _remove(self, spares: list[Header]) -> None:
        for header in spares:
            self._disk.remove(segment_path(self._folder, header.sequence))


def _segment(one: Segment | Scan) -> Segment:
    return one if isinstance(one, Segment) else one.segment


def _first(one: Segment | Scan) -> int | None:
    """Position of a segment's first message; None if nobody knows."""
    return None if isinstance(one, Scan) and not one.epochs else _segment(one).first
