"""Writes the end of a segment. Every write is at an offset: one that fails leaves nothing behind that counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.core.journal import Key
from relay.journal.contents import End, Seal, encode_epochs, encode_names, encode_seal
from relay.journal.disk import Disk
from relay.journal.format import HEADER_SIZE, Head, Header, Kind, encode
from relay.journal.segment import Segment
from relay.wire.framing import Buffer
from relay.wire.position import Epoch


class Writer:
    """A segment that is written. Between `create` and `start` it has no records, and is a spare."""

    def __init__(self, disk: Disk, descriptor: int, segment: Segment) -> None:
        """`descriptor`: of the segment's file, which belongs to the writer from now on."""
        self.segment = segment
        self.batches = 0
        """How many batches it has."""
        self._disk = disk
        self._descriptor = descriptor

    @classmethod
    def create(cls, disk: Disk, folder: str, header: Header, room: int, path: str | None = None) -> Writer:
        """Create a segment, and return when its header is on disk. Raises OSError; then there is no such file.

        `room`: bytes to allocate in advance. `path`: where, if it is not to have its own name yet.
        """
        segment = Segment(folder, header, 0, 0, HEADER_SIZE, room, header.created)
        path = path or segment.path
        descriptor = disk.create(path)
        try:
            if room:
                disk.allocate(descriptor, room)
            disk.write(descriptor, [header.encode()], 0)
            disk.sync(descriptor)
            disk.sync_folder(folder)
        except OSError:
            disk.close(descriptor)
            disk.remove(path)
            raise
        return cls(disk, descriptor, segment)

    def start(
        self, first: int, epochs: Iterable[Epoch], names: Iterable[tuple[Key, int]], unsynced: int, time: int
    ) -> None:
        """Write the first record. `first`: position of the next message. The rest is as in `append`."""
        segment = self.segment
        head = Head(Kind.START, first, 0, unsynced, time)
        size = self._write(HEADER_SIZE, head, encode_names(names), [encode_epochs(epochs)])
        segment.first = segment.next = first
        segment.size = HEADER_SIZE + size
        segment.latest = time

    def append(self, pieces: Sequence[Buffer], messages: int, extra: bytes, unsynced: int, time: int) -> int:
        """Write a batch behind all others. Returns its size. Raises OSError; then it was not written.

        `pieces`: its frames. `messages`: how many they are. `extra`: what is known of them. `unsynced`: messages before
        it that are not known to be on disk. `time`: now, in microseconds since 1970.
        """
        segment = self.segment
        head = Head(Kind.BATCH, segment.next, messages, unsynced, time)
        size = self._write(segment.size, head, extra, pieces)
        segment.index.note(segment.next, segment.size, time)
        segment.next += messages
        segment.size += size
        segment.room = max(segment.room, segment.size)
        segment.latest = time
        self.batches += 1
        return size

    def seal(self, end: End, unsynced: int, time: int) -> None:
        """Write the last record. Call `finish` when nobody waits."""
        segment = self.segment
        entries = [segment.index[block] for block in range(len(segment.index))]
        head = Head(Kind.SEAL, segment.next, 0, unsynced, time)
        size = self._write(segment.size, head, b"", [encode_seal(Seal(entries, end, segment.size))])
        segment.room = segment.size + size

    def _write(self, offset: int, head: Head, extra: bytes, pieces: Sequence[Buffer]) -> int:
        """Write a record. Returns its size."""
        buffers = encode(self.segment.header.mark, head, extra, pieces)
        self._disk.write(self._descriptor, buffers, offset)
        return sum([len(buffer) for buffer in buffers])

    # What takes time

    def there(self) -> bool:
        """Whether the file is still where it was made. Raises OSError."""
        return self._disk.same(self.segment.path, self._descriptor)

    def sync(self) -> None:
        """Return when all that was written is on disk."""
        self._disk.sync(self._descriptor)

    def finish(self) -> None:
        """Cut off what was allocated behind the seal, sync, and close. Nothing may be called after it."""
        self._disk.truncate(self._descriptor, self.segment.room)
        self._disk.sync(self._descriptor)
        self.close()

    def close(self) -> None:
        """Close the file, as it is."""
        self._disk.close(self._descriptor)
