"""Journals in tests: a disk in memory that can be cut off from power, and storages on it that are small."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

from twisted.internet.task import Clock

from relay.core.journal import Chunk
from relay.journal.disk import Disk
from relay.journal.journal import DiskJournal, Keeper
from relay.journal.segment import Segment, read_block
from relay.journal.storage import Storage
from relay.wire.framing import Buffer

T = TypeVar("T")

FOLDER = "/journal"
SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""
BOOT = bytes(range(16))
OTHER_BOOT = bytes(range(1, 17))


class File:
    """A file: what processes see of it, and what is on the disk."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.disk = bytearray()
        self.changes: list[tuple[int, bytes] | int] = []  # not synced: writes by their offset, and new sizes

    def change(self, change: tuple[int, bytes] | int) -> None:
        self.changes.append(change)
        apply(self.data, change)

    def sync(self) -> None:
        self.changes.clear()
        self.disk = bytearray(self.data)

    def lose(self, random: Random) -> None:
        """Keep what was synced, and of everything later whatever sectors the disk had come to."""
        for change in self.changes:
            if isinstance(change, int):
                if random.random() < 0.5:
                    apply(self.disk, change)
                continue
            offset, data = change
            while data:
                size = SECTOR - offset % SECTOR
                if random.random() < 0.5:
                    apply(self.disk, (offset, data[:size]))
                offset, data = offset + size, data[size:]
        self.changes.clear()
        self.data = bytearray(self.disk)


def apply(data: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        data[change:] = bytes(max(0, change - len(data)))
        return
    offset, written = change
    data += bytes(max(0, offset - len(data)))
    data[offset : offset + len(written)] = written


class MemoryDisk(Disk):
    """A file system in memory, with one folder."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.room = 1 << 40
        """Bytes that all files together may have."""
        self.fail: Callable[[str], None] = lambda name: None
        """Called with the name of each method before it does anything: may raise OSError."""
        self.syncs = 0
        self._on_disk: list[dict[str, File]] = [{}]  # the folder as it was last synced, and after each change since
        self._open: dict[int, File] = {}
        self._locked: set[str] = set()
        self._next = 100

    # What happens to machines

    def kill(self) -> None:
        """End the process: the system closes and unlocks everything, and forgets nothing."""
        self._open.clear()
        self._locked.clear()

    def cut_power(self, random: Random) -> None:
        """Forget what was not synced, or some of it."""
        self.kill()
        self.files = dict(random.choice(self._on_disk))
        self._on_disk = [dict(self.files)]
        for file in self.files.values():
            file.lose(random)

    # What a disk does

    def lock(self, path: str) -> int:
        self.fail("lock")
        if path in self._locked:
            raise BlockingIOError(errno.EAGAIN, "locked")
        self._locked.add(path)
        if path not in self.files:
            return self.create(path)
        return self.open(path)

    def list(self, folder: str) -> list[str]:
        self.fail("list")
        return sorted(os.path.basename(path) for path in self.files)

    def size(self, path: str) -> int:
        return len(self._file(path).data)

    def same(self, path: str, descriptor: int) -> bool:
        return self.files.get(path) is self._open[descriptor]

    def free(self, folder: str) -> int:
        self.fail("free")
        return self.room - sum(len(file.data) for file in self.files.values())

    def read(self, path: str, offset: int, size: int) -> bytes:
        self.fail("read")
        return bytes(self._file(path).data[offset : offset + size])

    def create(self, path: str) -> int:
        self.fail("create")
        if path in self.files:
            raise FileExistsError(errno.EEXIST, "exists", path)
        self.files[path] = File()
        self._renamed()
        return self.open(path)

    def open(self, path: str) -> int:
        self._next += 1
        self._open[self._next] = self._file(path)
        return self._next

    def write(self, descriptor: int, buffers: Sequence[Buffer], offset: int) -> None:
        self.fail("write")
        data = b"".join(buffers)
        file = self._open[descriptor]
        free = self.room - sum(len(other.data) for other in self.files.values())
        fits = max(0, len(file.data) + free - offset)
        file.change((offset, data[:fits]))
        if len(data) > fits:
            raise OSError(errno.ENOSPC, "No space left on device")

    def allocate(self, descriptor: int, size: int) -> None:
        self.fail("allocate")
        if size > self.room - sum(len(other.data) for other in self.files.values()):
            raise OSError(errno.ENOSPC, "No space left on device")
        self._open[descriptor].change(size)

    def truncate(self, descriptor: int, size: int) -> None:
        self.fail("truncate")
        self._open[descriptor].change(size)

    def sync(self, descriptor: int) -> None:
        self.fail("sync")
        self.syncs += 1
        self._open[descriptor].sync()

    def sync_folder(self, folder: str) -> None:
        self.fail("sync_folder")
        self._on_disk = [dict(self.files)]

    def close(self, descriptor: int) -> None:
        file = self._open.pop(descriptor)
        for path, other in self.files.items():
            if other is file:
                self._locked.discard(path)

    def rename(self, path: str, new: str) -> None:
        self.fail("rename")
        self.files[new] = self.files.pop(path)
        self._renamed()

    def remove(self, path: str) -> None:
        self.fail("remove")
        self._file(path)
        del self.files[path]
        self._renamed()

    def _file(self, path: str) -> File:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self.files[path]

    def _renamed(self) -> None:
        self._on_disk.append(dict(self.files))


class Threads:
    """Threads that run what they are given when the test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, function: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        def work() -> None:
            try:
                result: T | Exception = function()
            except Exception as error:
                result = error
            done(result)

        self.due.append(work)

    def run(self) -> None:
        """Run everything, what comes of it included."""
        while self.due:
            self.due.pop(0)()


class RecordingKeeper:
    """A relay that takes down what its journal tells it."""

    def __init__(self) -> None:
        self.held = ""
        self.told: list[str] = []
        self.flushing: Callable[[], object] = lambda: None
        self.dropping: Callable[[], None] = lambda: None

    def hold(self, reason: str) -> None:
        self.held = reason
        self.told.append(f"hold: {reason}")

    def release(self) -> None:
        self.held = ""
        self.told.append("release")

    def flush(self) -> None:
        self.told.append("flush")
        self.flushing()

    def synced(self) -> None:
        self.told.append("synced")

    def dropped(self, segment: Segment) -> None:
        self.told.append(f"dropped {segment.header.sequence}")
        self.dropping()

    def lost(self, error: Exception) -> None:
        self.told.append(f"lost: {error}")


class Ticking:
    """A clock, in microseconds, that goes on by one each time it is read."""

    def __init__(self, now: int = 1_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now


def epochs() -> Callable[[], str]:
    """Names for epochs: e1, e2 and so on."""
    numbers = iter(range(1, 1 << 30))
    return lambda: f"e{next(numbers)}"


def open_storage(
    disk: Disk,
    folder: str = FOLDER,
    *,
    framing: str = "int32",
    max_message: int = 99_999,
    boot: bytes = BOOT,
    time: Callable[[], int] | None = None,
    new_epoch: Callable[[], str] | None = None,
    segment_size: int = 4096,
    mirror: bool = False,
) -> Storage:
    """A storage with small segments."""
    return Storage(
        folder,
        disk=disk,
        framing=framing,
        max_message=max_message,
        boot=boot,
        time=time or Ticking(),
        new_epoch=new_epoch or epochs(),
        segment_size=segment_size,
        mirror=mirror,
    )


def open_journal(
    storage: Storage,
    disk: Disk,
    keeper: Keeper,
    threads: Threads,
    clock: Clock,
    time: Callable[[], int],
    *,
    size: int = 1 << 40,
    memory: int = 0,
) -> DiskJournal:
    """A journal on `storage`, with the timers of `clock`. `time`: as the storage's. `memory`: for reading ahead."""
    return DiskJournal(
        storage,
        keeper,
        disk=disk,
        in_thread=threads,
        call_later=clock.callLater,
        clock=clock.seconds,
        time=time,
        size=size,
        memory=memory,
    )


def message(number: int, size: int = 10) -> bytes:
    """A frame of `int32` that tells its number."""
    body = b"%d" % number + b"." * size
    return len(body).to_bytes(4, "big") + body


def write(storage: Storage, count: int, size: int = 10, *, sync: bool = True) -> None:
    """Append `count` messages, one a batch, prepare spares, and sync."""
    for _ in range(count):
        if storage.spare is None:
            storage.spare = storage.prepare()
        storage.append([message(storage.next, size)], 1)
    if sync:
        sync_now(storage)


def sync_now(storage: Storage) -> None:
    position = storage.next
    storage.sync_later()()
    storage.synced = position


def chunks(storage: Storage, disk: Disk, position: int | None = None) -> Iterator[Chunk]:
    """All blocks from the one with the message at `position` on, by default the oldest."""
    at = storage.oldest if position is None else position
    while at < storage.next:
        segment = storage.segment(at)
        chunk = read_block(disk, segment.block(segment.index.find(at)))
        yield chunk
        at = chunk.next


def stored(storage: Storage, disk: Disk) -> bytes:
    """All messages that there are."""
    return b"".join(chunk.data for chunk in chunks(storage, disk))


def expected(first: int, after: int, size: int = 10) -> bytes:
    """What `write` wrote, from the message `first` to the one before `after`."""
    return b"".join(message(number, size) for number in range(first, after))
