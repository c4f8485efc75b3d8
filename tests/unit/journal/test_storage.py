"""The storage: what is appended is found again; segments come and go; what fails leaves it as it was."""

from __future__ import annotations

import contextlib
import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.disk import Disk
from relay.journal.recovery import CannotOpen
from relay.journal.storage import LEAST_SEGMENT, MAX_EPOCHS, MOST_SEGMENT, Storage, segment_size
from tests.kit.folders import temporary_folder
from tests.kit.journals import (
    BOOT,
    FOLDER,
    OTHER_BOOT,
    MemoryDisk,
    Ticking,
    expected,
    message,
    open_storage,
    stored,
    sync_now,
    write,
)


class StorageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.time = Ticking()
        self.storage = open_storage(self.disk, time=self.time)

    def reopen(self, boot: bytes = BOOT) -> Storage:
        self.disk.kill()
        self.storage = open_storage(self.disk, boot=boot)
        return self.storage

    # Opening

    def test_an_empty_folder_becomes_a_journal(self) -> None:
        self.assertEqual((self.storage.oldest, self.storage.next, self.storage.synced), (1, 1, 1))
        self.assertEqual([tuple(epoch) for epoch in self.storage.epochs], [("e1", 1)])
        self.assertEqual(self.storage.notes, [])
        self.assertEqual(self.disk.list(FOLDER), ["0000000001.journal", "lock"])

    def test_one_relay_at_a_time_uses_it(self) -> None:
        with self.assertRaisesRegex(CannotOpen, f"another relay uses the journal {FOLDER}"):
            open_storage(self.disk)
        self.storage.close()
        open_storage(self.disk)

    def test_a_journal_that_cannot_be_opened_is_not_locked(self) -> None:
        self.storage.close()
        with self.assertRaises(CannotOpen):
            open_storage(self.disk, framing="line")
        open_storage(self.disk)

    def test_another_framing_and_shorter_messages_are_refused(self) -> None:
        self.storage.close()
        with self.assertRaisesRegex(CannotOpen, "has the framing int32, and this relay line"):
            open_storage(self.disk, framing="line")
        with self.assertRaisesRegex(CannotOpen, "may have messages of 99,999 bytes"):
            open_storage(self.disk, max_message=99_998)
        open_storage(self.disk, max_message=100_000)

    def test_a_start_that_was_interrupted_is_made_again(self) -> None:
        for failing in range(20):
            disk, left = MemoryDisk(), [failing]

            def fail(name: str, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(errno.EIO, name)

            disk.fail = fail
            with contextlib.suppress(OSError):
                open_storage(disk)
            disk.fail = lambda name: None
            disk.kill()
            storage = open_storage(disk)
            self.assertEqual((storage.next, storage.notes, len(storage.segments)), (1, [], 1))

    def test_names_and_epochs_survive_the_segments_that_said_so(self) -> None:
        self.storage.append([message(1)], 1, [(("CN=x", "p"), 7)])
        self.reopen(OTHER_BOOT)
        write(self.storage, 300)
        self.storage.append([message(302)], 1, [(("", "q"), 1)])
        sync_now(self.storage)
        self.storage.delete(self.storage.expire(0, 0))
        self.assertGreater(self.storage.oldest, 1)
        self.reopen(OTHER_BOOT)
        self.assertEqual(list(self.storage.names.items()), [(("CN=x", "p"), 7), (("", "q"), 1)])
        self.assertEqual([epoch.first for epoch in self.storage.epochs], [1, 2])

    def test_epochs_are_limited(self) -> None:
        for number in range(MAX_EPOCHS + 5):
            self.reopen(number.to_bytes(16, "big"))
        self.assertEqual(len(self.storage.epochs), MAX_EPOCHS)

    # Segments

    def test_a_full_segment_is_left_for_a_spare(self) -> None:
        write(self.storage, 200)
        self.assertGreater(len(self.storage.segments), 2)
        for one, two in zip(self.storage.segments, self.storage.segments[1:], strict=False):
            self.assertEqual(one.next, two.first)
            self.assertGreaterEqual(one.size, 4096)
            self.assertLess(one.size, 4096 + 100)
        self.assertEqual(stored(self.storage, self.disk), expected(1, 201))

    def test_a_full_segment_grows_while_there_is_no_spare(self) -> None:
        for number in range(1, 501):
            self.storage.append([message(number)], 1)
        self.assertTrue(self.storage.full)
        self.assertEqual(len(self.storage.segments), 1)
        self.assertEqual(stored(self.storage, self.disk), expected(1, 501))
        self.assertEqual(self.reopen().next, 501)

    def test_a_message_finds_its_segment(self) -> None:
        write(self.storage, 200)
        for position in range(1, 201):
            segment = self.storage.segment(position)
            self.assertTrue(segment.first <= position < segment.next)
        self.assertIs(self.storage.segment(201), self.storage.segments[-1])

    def test_a_time_finds_its_block(self) -> None:
        write(self.storage, 200)
        self.assertIsNone(self.storage.before(0))
        for segment in self.storage.segments[:-1]:
            self.assertEqual(self.storage.before(segment.latest), (segment, 0))
        self.assertEqual(self.storage.before(1 << 60), (self.storage.segments[-1], 0))

    def test_what_is_synced_is_on_disk_in_all_segments(self) -> None:
        write(self.storage, 200)
        for segment in self.storage.segments:
            self.assertEqual(self.disk.files[segment.path].changes, [])
        write(self.storage, 1, sync=False)
        self.assertEqual(len(self.disk.files[self.storage.segments[-1].path].changes), 1)

    def test_the_oldest_are_deleted_whole_beyond_a_size(self) -> None:
        write(self.storage, 500)
        self.assertEqual(self.storage.size, sum(len(file.data) for file in self.disk.files.values()))
        before, oldest = self.storage.next, self.storage.segments[2].first
        size = self.storage.size - self.storage.segments[0].room - 1
        self.storage.delete(self.storage.expire(size, 0))
        self.assertLessEqual(self.storage.size, size)
        self.assertEqual((self.storage.oldest, self.storage.next), (oldest, before))
        self.assertEqual(stored(self.storage, self.disk), expected(oldest, before))
        self.assertEqual(self.reopen().oldest, oldest)

    def test_the_oldest_are_deleted_beyond_an_age(self) -> None:
        write(self.storage, 500)
        third = self.storage.segments[3]
        expired = self.storage.expire(1 << 40, third.latest)
        self.assertEqual(len(expired), 3)
        self.assertEqual(self.storage.oldest, third.first)

    def test_a_segment_stays_until_the_next_one_is_known_to_be_on_disk(self) -> None:
        while len(self.storage.segments) == 1:
            write(self.storage, 1, sync=False)
        self.assertEqual(self.storage.expire(0, 1 << 60), [])
        sync_now(self.storage)
        self.assertEqual(len(self.storage.expire(0, 1 << 60)), 1)

    def test_the_newest_segment_stays(self) -> None:
        write(self.storage, 500)
        self.storage.delete(self.storage.expire(0, 1 << 60))
        self.assertEqual(len(self.storage.segments), 1)

    # Faults

    def test_a_full_disk_leaves_it_as_it_was_and_it_goes_on_when_there_is_room(self) -> None:
        write(self.storage, 50)
        spare, self.storage.spare = self.storage.spare, None
        assert spare
        spare.close()
        self.disk.remove(spare.segment.path)
        self.disk.room = sum(len(file.data) for file in self.disk.files.values())
        with self.assertRaises(OSError):
            self.storage.prepare()
        with self.assertRaises(OSError):
            for _ in range(100):
                self.storage.append([message(self.storage.next)], 1, [(("", "p"), self.storage.next)])
        after, count = self.storage.next, self.storage.names["", "p"]
        self.assertEqual(count, after - 1)
        with self.assertRaises(OSError):
            self.storage.append([message(after)], 1, [(("", "p"), after)])
        self.assertEqual((self.storage.next, self.storage.names["", "p"]), (after, count))
        self.disk.room = 1 << 40
        write(self.storage, 100)
        self.assertEqual(stored(self.storage, self.disk), expected(1, after + 100))
        self.assertEqual(self.reopen().next, after + 100)

    def test_a_stop_that_fails_unlocks_all_the_same(self) -> None:
        def fail(name: str) -> None:
            if name == "sync":
                raise OSError(errno.EIO, "Input/output error")

        self.disk.fail = fail
        with self.assertRaises(OSError):
            self.storage.close()
        self.disk.fail = lambda name: None
        open_storage(self.disk)

    # On a real disk

    def test_all_of_it_on_a_real_disk(self) -> None:
        folder = str(temporary_folder(self))
        disk = Disk()
        storage = open_storage(disk, folder)
        write(storage, 500)
        storage.close()
        storage = open_storage(disk, folder)
        write(storage, 500)
        storage.delete(storage.expire(20_000, 0))
        oldest = storage.oldest
        self.assertGreater(oldest, 1)
        self.assertEqual(stored(storage, disk), expected(oldest, 1001))
        self.assertEqual(storage.size, sum(disk.size(os.path.join(folder, name)) for name in disk.list(folder)))
        storage.close()
        storage = open_storage(disk, folder, boot=OTHER_BOOT)
        self.assertEqual((storage.notes, len(storage.epochs), storage.next), ([], 1, 1001))
        storage.close()


class SizeTests(SynchronousTestCase):
    def test_a_segment_is_a_part_of_the_journal_within_limits(self) -> None:
        self.assertEqual(segment_size(10 * 2**30), 160 * 2**20)
        self.assertEqual(segment_size(1), LEAST_SEGMENT)
        self.assertEqual(segment_size(2**40), MOST_SEGMENT)
