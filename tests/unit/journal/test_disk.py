"""The calls of the system: the real disk and the one in memory behave the same."""

from __future__ import annotations

import errno
import os
import resource
import signal
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.disk import BUFFERS, Disk
from tests.kit.folders import temporary_folder
from tests.kit.journals import MemoryDisk


class DiskTests(SynchronousTestCase):
    """What holds for both."""

    def setUp(self) -> None:
        self.folder = str(temporary_folder(self))
        self.disk = Disk()

    def path(self, name: str = "file") -> str:
        return os.path.join(self.folder, name)

    def written(self, *buffers: bytes, offset: int = 0) -> str:
        descriptor = self.disk.create(self.path())
        self.disk.write(descriptor, buffers, offset)
        self.disk.sync(descriptor)
        self.disk.close(descriptor)
        return self.path()

    def test_there_is_room_on_the_disk_of_a_folder(self) -> None:
        self.assertGreater(self.disk.free(self.folder), 0)

    def test_what_is_written_is_read(self) -> None:
        path = self.written(b"one", memoryview(b"two"), b"")  # type: ignore[arg-type]
        self.assertEqual(self.disk.size(path), 6)
        self.assertEqual(self.disk.read(path, 0, 6), b"onetwo")
        self.assertEqual(self.disk.read(path, 2, 2), b"et")
        self.assertEqual(self.disk.read(path, 4, 100), b"wo", "no more than there is")
        self.assertEqual(self.disk.read(path, 100, 100), b"")

    def test_more_buffers_are_written_than_one_call_takes(self) -> None:
        buffers = [b"%d," % number for number in range(3 * BUFFERS + 1)]
        self.assertEqual(self.disk.read(self.written(*buffers), 0, 1 << 20), b"".join(buffers))

    def test_what_lies_before_an_offset_is_zeros(self) -> None:
        self.assertEqual(self.disk.read(self.written(b"x", offset=3), 0, 10), b"\0\0\0x")

    def test_room_is_allocated_and_cut_off(self) -> None:
        path = self.written(b"data")
        descriptor = self.disk.open(path)
        self.disk.allocate(descriptor, 10_000)
        self.assertEqual(self.disk.read(path, 0, 20_000), b"data" + bytes(9_996))
        self.disk.truncate(descriptor, 2)
        self.assertEqual(self.disk.read(path, 0, 20_000), b"da")
        self.disk.close(descriptor)

    def test_files_are_created_once_listed_renamed_and_removed(self) -> None:
        path = self.written(b"x")
        with self.assertRaises(FileExistsError):
            self.disk.create(path)
        self.disk.close(self.disk.create(self.path("another")))
        self.assertEqual(self.disk.list(self.folder), ["another", "file"])
        self.disk.rename(path, self.path("another"))
        self.assertEqual(self.disk.list(self.folder), ["another"])
        self.assertEqual(self.disk.read(self.path("another"), 0, 9), b"x")
        self.disk.remove(self.path("another"))
        self.disk.sync_folder(self.folder)
        self.assertEqual(self.disk.list(self.folder), [])
        for missing in (self.disk.open, self.disk.remove, self.disk.size):
            with self.assertRaises(FileNotFoundError):
                missing(path)
        with self.assertRaises(FileNotFoundError):
            self.disk.read(path, 0, 1)

    def test_a_file_that_is_open_need_not_be_where_it_was(self) -> None:
        path, other = self.path("a"), self.path("b")
        descriptor = self.disk.create(path)
        self.assertTrue(self.disk.same(path, descriptor))
        self.disk.rename(path, other)
        self.assertEqual((self.disk.same(path, descriptor), self.disk.same(other, descriptor)), (False, True))
        self.disk.close(self.disk.create(path))
        self.assertFalse(self.disk.same(path, descriptor), "that is another file")
        self.disk.close(descriptor)

    def test_one_at_a_time_has_a_lock(self) -> None:
        held = self.disk.lock(self.path())
        with self.assertRaises(BlockingIOError):
            self.disk.lock(self.path())
        self.disk.close(held)
        self.disk.close(self.disk.lock(self.path()))


class MemoryDiskTests(DiskTests):
    """The same, and what only a fake can do."""

    def setUp(self) -> None:
        super().setUp()
        self.disk = self.memory = MemoryDisk()

    def test_a_power_cut_keeps_what_was_synced(self) -> None:
        path = self.written(b"data")
        self.memory.sync_folder(self.folder)
        descriptor = self.memory.open(path)
        self.memory.write(descriptor, [b"more"], 2048)
        self.memory.cut_power(Random(0))
        self.assertEqual(self.memory.read(path, 0, 4), b"data")

    def test_a_power_cut_may_lose_each_sector_that_was_not_synced_and_each_name(self) -> None:
        found, names = set(), set()
        for seed in range(100):
            self.disk = self.memory = MemoryDisk()
            descriptor = self.memory.create(self.path())
            self.memory.sync_folder(self.folder)
            self.memory.write(descriptor, [b"a" * 512, b"b" * 512], 0)
            self.memory.create(self.path("other"))
            self.memory.cut_power(Random(seed))
            found.add(bytes(self.memory.read(self.path(), 0, 2000)[::512]))
            names.add(len(self.memory.list(self.folder)))
        self.assertEqual(found, {b"", b"a", b"\0b", b"ab"})
        self.assertEqual(names, {1, 2})

    def test_a_disk_that_is_full_writes_what_fits(self) -> None:
        self.memory.room = 6
        descriptor = self.memory.create(self.path())
        with self.assertRaises(OSError) as caught:
            self.memory.write(descriptor, [b"12345678"], 0)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertEqual(self.memory.read(self.path(), 0, 10), b"123456")


class FullDiskTests(SynchronousTestCase):
    def test_what_a_call_leaves_over_is_written_until_the_system_refuses(self) -> None:
        """A limit of the process on the size of files stands in for a disk that becomes full."""
        disk, path = Disk(), str(temporary_folder(self) / "file")
        descriptor = disk.create(path)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (6, before[1]))
            with self.assertRaises(OSError) as caught:
                disk.write(descriptor, [b"1234", b"5678"], 0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
            disk.close(descriptor)
        self.assertEqual(caught.exception.errno, errno.EFBIG)
        self.assertEqual(disk.read(path, 0, 10), b"123456")
