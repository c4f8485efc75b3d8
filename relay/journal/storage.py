"""The segments of one journal: the newest is written, the others are read until they are deleted.

Whatever takes time is apart from what has to be done in order, so that a thread can do it: `prepare` makes a spare
segment, `sync_later` returns a function that syncs, and `delete` deletes. A segment is left for the next one when it is
full and a spare is there; until then it grows. So nobody ever waits for a file to be made.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from operator import attrgetter

from relay.core.journal import Key
from relay.journal.anew import Anew, copy
from relay.journal.contents import End, encode_names
from relay.journal.disk import Disk
from relay.journal.format import Header, new_mark
from relay.journal.names import FOLLOWS, Names
from relay.journal.recovery import BEGUN, LOCK, CannotOpen, Found, Recovery, check_headers, read_headers
from relay.journal.segment import Damaged, Segment
from relay.journal.writer import Writer
from relay.wire.framing import Buffer
from relay.wire.lengths import encode_lengths
from relay.wire.position import Epoch

MAX_EPOCHS = 1000
"""Epochs that are kept. One begins with each power cut; who comes from an older one is told that nobody knows."""
MAX_BATCHES = 256 * 1024
"""Batches in a segment: to read the last segment when a relay starts takes 2 µs for each."""
SEGMENTS = 64
"""Segments that a journal of full size has: as part of its size, that is how much is deleted at once."""
LEAST_SEGMENT = 1024 * 1024
MOST_SEGMENT = 256 * 1024 * 1024
"""Bytes of a segment: to read the last one when a relay starts takes half a second from a slow disk."""


class Storage:
    """A journal's folder, open and locked."""

    def __init__(
        self,
        folder: str,
        *,
        disk: Disk,
        framing: str,
        max_message: int,
        boot: bytes,
        time: Callable[[], int],
        new_epoch: Callable[[], str],
        segment_size: int,
        mirror: bool = False,
    ) -> None:
        """Open a journal, or begin one in an empty folder. Raises CannotOpen, Damaged and OSError.

        `framing`, `max_message`: the relay's. `boot`: 16 bytes that name the machine's run from boot to shutdown.
        `time`: the time in microseconds since 1970. `new_epoch`: makes a name. `segment_size`: bytes of a segment.
        `mirror`: whether the epochs are another relay's (see `follow`).
        """
        self.segment_size = segment_size
        self.notes: list[str] = []
        """What was found when the journal was opened that the operator should know."""
        self.spare: Writer | None = None
        """The segment that comes next, if it is ready."""
        self._folder = folder
        self._disk = disk
        self._framing = framing
        self._max_message = max_message
        self._boot = boot
        self._time = time
        self.due = False  # whether the next batch has to begin a segment, so that a spare must be there
        self._full: list[Writer] = []  # sealed, and not yet synced
        self._sealed = False  # whether the newest segment is sealed although no other is begun
        self._lock = self._take_lock()
        try:
            self._open(new_epoch, mirror)
        except BaseException:
            disk.close(self._lock)
            raise

    def _take_lock(self) -> int:
        try:
            return self._disk.lock(os.path.join(self._folder, LOCK))
        except BlockingIOError:
            raise CannotOpen(f"another relay uses the journal {self._folder}") from None

    def _open(self, new_epoch: Callable[[], str], mirror: bool) -> None:
        headers = read_headers(self._disk, self._folder, self.notes)
        check_headers(self._folder, headers, self._framing, self._max_message)
        found = Recovery(self._disk, self._folder, self._boot, self._time(), self.notes).run(headers)
        self.cuts = found.cuts
        """Places that were mended when the journal was opened."""
        last = found.last
        position = last.segment.next if last else 1
        self.epochs = last.epochs if last else []
        self.names = Names(last.names.items() if last else ())
        if not self._epoch_goes_on(found, position, mirror):
            known = [epoch for epoch in self.epochs if epoch.first <= position]
            self.epochs = [*known, Epoch(new_epoch(), position)][-MAX_EPOCHS:]
        self.segments = found.segments
        """The oldest first. The last one is written."""
        self._writer = self._begin(found)
        for before, segment in pairwise(self.segments):
            segment.before = before.before + before.size
        self.synced = position
        """The position before which all messages are known to be on disk."""

    def _epoch_goes_on(self, found: Found, position: int, mirror: bool) -> bool:
        """Whether the next message, at `position`, belongs to the epoch of the last one. Sees to `FOLLOWS`."""
        if mirror:  # it is the other relay that says so
            self.names.note([(FOLLOWS, self.names.get(FOLLOWS, int(position == 1)))])
            return found.last is not None
        if self.names.pop(FOLLOWS, None) is None:
            return found.epoch_goes_on
        self.notes.append(f"a mirror wrote it: a new epoch begins behind message {position - 1:,}")
        return False

    def _begin(self, found: Found) -> Writer:
        """Begin a segment behind all that was found, or in the place of the last one if that has no messages.

        It gets its name when its first record is on disk, because that may be the only one that knows the epochs.
        """
        sequence = 1
        if found.last is not None:
            sequence = found.last.segment.header.sequence + 1
            if found.last.empty:
                sequence -= 1
                found.segments.pop()
        writer = self._begin_segment(sequence, found.last.segment.next if found.last else 1, self.epochs)
        found.segments.append(writer.segment)
        return writer

    def _begin_segment(
        self, sequence: int, position: int, epochs: Iterable[Epoch], fill: Callable[[Writer], None] | None = None
    ) -> Writer:
        """Begin a segment that gets its name, and takes the place of one with that name, when all of it is on disk.

        `fill`: writes its first messages.
        """
        path = os.path.join(self._folder, BEGUN)
        if BEGUN in self._disk.list(self._folder):
            self._disk.remove(path)
        writer = Writer.create(self._disk, self._folder, self._header(sequence), self.segment_size, path)
        try:
            writer.start(position, epochs, self.names.items(), 0, self._time())
            if fill is not None:
                fill(writer)
            writer.sync()
            self._disk.rename(path, writer.segment.path)
            self._disk.sync_folder(self._folder)
        except (OSError, Damaged):
            writer.close()
            raise
        return writer

    def _header(self, sequence: int) -> Header:
        return Header(self._framing, self._max_message, sequence, self._boot, self._time(), new_mark())

    # What is there

    @property
    def oldest(self) -> int:
        """Position of the oldest message; `next` if there is none."""
        return self.segments[0].first

    @property
    def next(self) -> int:
        """Position that the next message gets."""
        return self._writer.segment.next

    @property
    def size(self) -> int:
        """Bytes that the journal takes on disk."""
        spare = self.spare.segment.room if self.spare else 0
        return sum([segment.room for segment in self.segments]) + spare

    @property
    def free(self) -> int:
        """Bytes that the disk has left; 0 if the folder is not there any more."""
        try:
            return self._disk.free(self._folder)
        except OSError:
            return 0

    def segment(self, position: int) -> Segment:
        """The segment with the message at `position`, which must be there; the newest for `next`."""
        return self.segments[bisect_right(self.segments, position, key=attrgetter("first")) - 1]

    def behind(self, position: int) -> int:
        """About how many bytes there are from the message at `position` on, which must be there: that of its block."""
        segment, last = self.segment(position), self.segments[-1]
        offset = segment.index[segment.index.find(position)].offset if len(segment.index) else segment.size
        return last.before + last.size - segment.before - offset

    def oldest_within(self, size: int, latest: int) -> int:
        """Position of the oldest message in the newest `size` bytes, in a segment that was written to since `latest`.

        `latest`: in microseconds since 1970. The newest segment counts in any case.
        """
        total = self.size
        for segment in self.segments[:-1]:
            if total <= size and segment.latest >= latest:
                return segment.first
            total -= segment.room
        return self.segments[-1].first

    def before(self, time: int) -> tuple[Segment, int] | None:
        """The last block with a batch from before `time`, in microseconds since 1970: its segment and number.

        None if there is none. The clock may have been set back: what was published last decides.
        """
        for segment in reversed(self.segments):
            block = segment.index.before(time)
            if block >= 0:
                return segment, block
        return None

    # Writing

    def append(
        self,
        pieces: Sequence[Buffer],
        messages: int,
        names: Sequence[tuple[Key, int]] = (),
        ends: Iterable[int] = (),
    ) -> int:
        """Write a batch. Returns its bytes on disk. Raises OSError; then it is not there, and may be appended again.

        `pieces`: its frames. `messages`: how many they are. `names`: the publishers with names that contributed, and
        how many messages were accepted under each, these included. `ends`: where each message ends, for a framing that
        cannot tell.
        """
        self._leave_full_segment()
        assert not self.due, "there is no spare"
        extra = encode_names(names) if names else b""
        if self._framing == "raw":
            extra = encode_lengths(ends) + extra
        size = self._writer.append(pieces, messages, extra, self._unsynced, self._time())
        if names:
            self.names.note(names)
        return size

    @property
    def _unsynced(self) -> int:
        return min(self.next - self.synced, 0xFFFFFFFF)

    def _leave_full_segment(self) -> None:
        """Go on in the spare segment if the newest is full."""
        writer, spare = self._writer, self.spare
        if spare is None or not self.full:
            return
        if not self._sealed:
            writer.seal(End.CONTINUED, self._unsynced, self._time())
            self._sealed = True
        spare.start(writer.segment.next, self.epochs, self.names.items(), self._unsynced, self._time())
        spare.segment.before = writer.segment.before + writer.segment.size
        self._sealed = self.due = False
        self._full.append(writer)
        self._writer, self.spare = spare, None
        self.segments.append(spare.segment)

    @property
    def full(self) -> bool:
        """Whether the newest segment has enough, so that the next batch goes into the spare if there is one."""
        writer = self._writer
        return self._sealed or self.due or writer.segment.size >= self.segment_size or writer.batches >= MAX_BATCHES

    @property
    def own(self) -> bool:
        """Whether there are messages that no mirror wrote."""
        return not self.names.get(FOLLOWS)

    def follow(self, epochs: Sequence[Epoch]) -> None:
        """Note that what is appended from now on is another relay's: the next batch begins a segment if that is new.

        `epochs`: those that the other relay knows, the oldest first. Older ones that are known already stay so.
        """
        known = self.known(epochs)
        if known != self.epochs or self.own:
            self.epochs, self.due = known, True
            self.names.note([(FOLLOWS, 1)])

    def known(self, epochs: Sequence[Epoch]) -> list[Epoch]:
        """`epochs`, and before them the older ones that are known already."""
        return [*(epoch for epoch in self.epochs if epoch.first < epochs[0].first), *epochs][-MAX_EPOCHS:]

    def begin_anew_later(self, anew: Anew, expired: Sequence[Segment]) -> Callable[[], Writer]:
        """A function that has the journal on disk go on as `anew` says. Hand what it returns to `begun_anew`.

        It may run in a thread while no other does anything. If it raises, call this again. All must be synced.
        `expired`: what is taken out, and still on disk.

        Segments are deleted from one end, and the last that is left is replaced in one step. So whatever comes in
        between, what is on disk is a journal, with the old epochs until that step, and with the new ones from then on.
        """
        kept, closed = self._kept(anew), [self._writer]
        first, fill = anew.position, None
        if kept:
            replaced, gone = kept[-1], self.segments[: len(kept) - 1 : -1]
            first, fill = replaced.first, partial(copy, self._disk, replaced, anew.position)
            if self.spare and gone:
                gone.insert(0, self.spare.segment)
                closed.append(self.spare)
        else:
            *gone, replaced = [*expired, *self.segments]

        def begin() -> Writer:
            there = self._disk.list(self._folder)
            self.delete([segment for segment in gone if os.path.basename(segment.path) in there])
            last = self._begin_segment(replaced.header.sequence, first, anew.epochs, fill)
            for writer in closed:
                writer.close()
            return last

        return begin

    def _kept(self, anew: Anew) -> list[Segment]:
        return [segment for segment in self.segments if anew.keeps and segment.first < anew.position]

    def begun_anew(self, last: Writer, anew: Anew) -> None:
        """Go on with `last`, the segment that is written from now on."""
        self.segments = [*self._kept(anew)[:-1], last.segment]
        if len(self.segments) > 1:
            last.segment.before = self.segments[-2].before + self.segments[-2].size
        if self.spare and self.spare.segment.header.sequence > last.segment.header.sequence + 1:
            self.spare = None
        self._writer, self.epochs = last, list(anew.epochs)
        self._sealed = self.due = False
        self.synced = last.segment.next

    # What takes time, in a thread

    def prepare(self) -> Writer:
        """Make a spare segment. May run in a thread, one at a time; set `spare` to the result in the caller's own."""
        sequence = self._writer.segment.header.sequence + 1
        return Writer.create(self._disk, self._folder, self._header(sequence), self.segment_size)

    def sync_later(self) -> Callable[[], None]:
        """A function that returns when everything appended until now is on disk. It may run in a thread, one at a time.

        If it raises OSError, nobody knows what is on disk: the process must end. If it does not, set `synced` to the
        position that `next` has now.
        """
        full, self._full, writer = self._full, [], self._writer

        def sync() -> None:
            for one in full:
                one.finish()
            writer.sync()

        return sync

    def there_later(self) -> Callable[[], bool]:
        """A function that returns whether the newest segment is still in the folder. It may run in a thread.

        It may raise OSError, or say nothing that is true, if another segment is the newest when it has run.
        """
        return self._writer.there

    def expire(self, size: int, latest: int) -> list[Segment]:
        """Take out the oldest segments that are too much: beyond `size` bytes, or not written to since `latest`.

        `latest`: in microseconds since 1970. The newest segment stays, and each behind which nothing is known to be on
        disk: what the next one begins with may be all that knows the epochs. Hand what this returns to `delete`.
        """
        count, total = 0, self.size
        for segment, following in pairwise(self.segments):
            if (total <= size and segment.latest >= latest) or self.synced <= following.first:
                break
            total -= segment.room
            count += 1
        expired, self.segments = self.segments[:count], self.segments[count:]
        return expired

    def delete(self, segments: Iterable[Segment]) -> None:
        """Delete segments, the oldest first. May run in a thread, one at a time. Raises OSError."""
        for segment in segments:
            self._disk.remove(segment.path)
            self._disk.sync_folder(self._folder)

    def close(self) -> None:
        """Sync everything, seal the journal, and unlock it. Raises OSError. Nobody may append or sync any more."""
        try:
            self.sync_later()()
            self._writer.seal(End.CLOSED, 0, self._time())
            self._writer.finish()
            if self.spare is not None:
                self.spare.close()
                self._disk.remove(self.spare.segment.path)
        finally:
            self._disk.close(self._lock)


def segment_size(journal_size: int) -> int:
    """Bytes of a segment in a journal of `journal_size` bytes."""
    return min(MOST_SEGMENT, max(LEAST_SEGMENT, journal_size // SEGMENTS))
