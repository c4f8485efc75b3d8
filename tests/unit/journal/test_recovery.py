"""Recovery: what a crash leaves is mended, what is damaged is told, and nothing that was promised is given up."""

from __future__ import annotations

import contextlib
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.format import HEADER_SIZE, read_header
from relay.journal.recovery import UNKNOWN_BOOT, CannotOpen
from relay.journal.scan import records
from relay.journal.segment import Damaged
from relay.journal.storage import Storage
from tests.kit.journals import (
    BOOT,
    FOLDER,
    OTHER_BOOT,
    MemoryDisk,
    expected,
    open_storage,
    stored,
    sync_now,
    write,
)

SIZE = 406
"""Bytes of a segment in these tests: room for four batches."""


def another_epoch() -> str:
    return "another"


class RecoveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage = self.open()

    def open(self, boot: bytes = BOOT) -> Storage:
        self.disk.kill()
        self.storage = open_storage(self.disk, boot=boot, new_epoch=another_epoch, segment_size=SIZE)
        return self.storage

    def path(self, segment: int = -1) -> str:
        return self.storage.segments[segment].path

    def data(self, segment: int = -1) -> bytearray:
        return self.disk.files[self.path(segment)].data

    def offsets(self, segment: int = -1) -> list[int]:
        """Where the records of a segment begin."""
        header = self.storage.segments[segment].header
        return [one.offset for one in records(self.disk, self.path(segment), header.mark)]

    def names(self) -> list[str]:
        return [epoch.name for epoch in self.storage.epochs]

    def check(self, after: int) -> None:
        """All messages before `after` are there, no others, and more can follow."""
        self.assertEqual(self.storage.next, after)
        write(self.storage, 2)
        self.assertEqual(stored(self.storage, self.disk), expected(1, after + 2))

    # The epoch

    def test_the_epoch_goes_on_over_a_stop_and_a_reboot(self) -> None:
        write(self.storage, 10)
        self.storage.close()
        self.open(OTHER_BOOT)
        self.assertEqual(self.names(), ["another"])
        self.check(11)

    def test_the_epoch_goes_on_over_a_kill(self) -> None:
        for number in range(10):
            write(self.storage, 3, sync=number % 2 == 0)
            self.open()
        self.assertEqual(self.names(), ["another"])
        self.assertEqual(self.storage.notes, [])
        self.check(31)

    def test_a_new_epoch_begins_after_a_reboot_without_a_stop_and_numbers_go_on(self) -> None:
        write(self.storage, 10)
        self.open(OTHER_BOOT)
        self.assertEqual([tuple(epoch) for epoch in self.storage.epochs], [("another", 1), ("another", 11)])
        self.check(11)

    def test_where_the_boot_is_not_known_it_is_never_the_same(self) -> None:
        self.open(UNKNOWN_BOOT)
        before = len(self.names())
        self.open(UNKNOWN_BOOT)
        self.assertEqual(len(self.names()), before + 1)

    def test_an_epoch_without_messages_is_not_forgotten(self) -> None:
        for count in range(2, 6):
            self.open(bytes([count]) * 16)
            self.assertEqual(len(self.names()), count)
            self.assertEqual(len(self.disk.list(FOLDER)), 2, "a start without messages adds no file")

    # Torn tails

    def test_the_last_segment_may_be_cut_at_every_byte(self) -> None:
        write(self.storage, 3)
        whole = {path: bytes(file.data) for path, file in self.disk.files.items()}
        path, bounds = self.path(), [*self.offsets()[2:], self.storage.segments[-1].size]
        for boot in (BOOT, OTHER_BOOT):
            for size in range(HEADER_SIZE, len(whole[path])):
                self.disk = MemoryDisk()
                for name, data in whole.items():
                    self.disk.create(name)
                    self.disk.files[name].data[:] = data[:size] if name == path else data
                self.open(boot)
                self.check(1 + sum(bound <= size for bound in bounds))
                self.storage.close()
                self.open()
                self.assertEqual(self.storage.notes, [], "it is cut once")
            self.open()

    def test_what_is_cut_off_is_told(self) -> None:
        write(self.storage, 3)
        path, offset = self.path(), self.offsets()[-1]
        del self.data()[self.storage.segments[-1].size - 1 :]
        self.open()
        [note] = self.storage.notes
        self.assertIn(f"{path} is cut at byte {offset}, behind message 2", note)

    def test_after_a_power_cut_a_hole_in_what_was_not_synced_is_cut(self) -> None:
        write(self.storage, 1)
        write(self.storage, 2, sync=False)
        offset = self.offsets()[2]
        self.data()[offset : offset + 10] = bytes(10)
        self.open(OTHER_BOOT)
        self.check(2)

    def test_the_same_hole_is_damage_if_the_machine_was_not_down(self) -> None:
        write(self.storage, 1)
        write(self.storage, 2, sync=False)
        offset = self.offsets()[2]
        self.data()[offset : offset + 10] = bytes(10)
        with self.assertRaises(Damaged) as caught:
            self.open()
        self.assertEqual((caught.exception.offset, caught.exception.position), (offset, 2))

    def test_a_hole_in_what_was_synced_is_damage_also_after_a_power_cut(self) -> None:
        write(self.storage, 2)
        write(self.storage, 1, sync=False)
        offset = self.offsets()[2]
        self.data()[offset : offset + 10] = bytes(10)
        with self.assertRaises(Damaged) as caught:
            self.open(OTHER_BOOT)
        self.assertEqual(caught.exception.position, 2)

    def test_damage_before_the_last_segment_is_not_looked_for(self) -> None:
        write(self.storage, 12)
        self.data(0)[self.offsets(0)[1] + 50] ^= 1
        self.open()
        self.assertEqual(self.storage.next, 13)
        with self.assertRaises(Damaged):
            stored(self.storage, self.disk)

    # Every byte

    def test_every_byte_of_a_journal_may_be_flipped(self) -> None:
        """It is refused, or what can be read is right; and nothing is lost but a tail behind which nothing is."""
        write(self.storage, 9)
        write(self.storage, 1, sync=False)
        whole = {path: bytes(file.data) for path, file in self.disk.files.items()}
        right = expected(1, 11)
        tails = self.path(), self.offsets()[-1]
        refused = 0
        for path, data in whole.items():
            for offset in range(len(data)):
                self.disk = MemoryDisk()
                for name, content in whole.items():
                    self.disk.create(name)
                    self.disk.files[name].data[:] = content
                self.disk.files[path].data[offset] ^= 0x81
                try:
                    self.open()
                    found = stored(self.storage, self.disk)
                except (CannotOpen, Damaged):
                    refused += 1
                    continue
                after = 10 if path == tails[0] and tails[1] <= offset < len(right) + 10_000 else 11
                self.assertIn(found, (right, expected(1, after)), (path, offset))
        self.assertGreater(refused, 500)

    # Between two segments

    def test_what_is_found_after_a_kill_is_on_disk_before_it_is_relied_on(self) -> None:
        write(self.storage, 12, sync=False)
        self.open()
        self.disk.cut_power(Random(1))
        self.open(OTHER_BOOT)
        self.check(13)

    def test_a_seal_may_be_on_disk_without_what_lies_before_it(self) -> None:
        write(self.storage, 1)
        write(self.storage, 5, sync=False)
        self.assertEqual(len(self.storage.segments), 2)
        offset = self.offsets(0)[3]
        self.data(0)[offset : offset + 10] = bytes(10)
        self.open(OTHER_BOOT)
        self.check(3)

    def test_a_kill_at_every_step_from_one_segment_to_the_next_loses_nothing(self) -> None:
        for steps in range(12):
            self.disk = MemoryDisk()
            self.storage = self.open()
            left = [steps]

            def fail(name: str, left: list[int] = left) -> None:
                if name == "write" and not left[0]:
                    raise OSError("no more")
                left[0] -= name == "write"

            self.disk.fail = fail
            with contextlib.suppress(OSError):
                write(self.storage, 10, sync=False)
            self.disk.fail = lambda name: None
            after = self.storage.next
            self.open()
            self.assertEqual(self.names(), ["another"])
            self.check(after)

    def test_a_start_that_failed_is_made_again_by_the_next_append(self) -> None:
        write(self.storage, 4)
        for failing in range(4):
            left = [failing]

            def fail(name: str, left: list[int] = left) -> None:
                if name == "write":
                    left[0] -= 1
                    if left[0] < 0:
                        raise OSError("no more")

            self.storage.spare = self.storage.spare or self.storage.prepare()
            self.disk.fail = fail
            for _ in range(4):
                with contextlib.suppress(OSError):
                    write(self.storage, 1, sync=False)
            self.disk.fail = lambda name: None
        sync_now(self.storage)
        self.check(self.storage.next)

    def test_a_segment_that_was_sealed_but_not_shortened_is_shortened(self) -> None:
        write(self.storage, 7, sync=False)
        self.assertEqual(len(self.storage.segments), 2)
        size = self.storage.segments[0].room
        path = self.path(0)
        self.data(0).extend(bytes(100))
        self.open()
        self.assertEqual(len(self.disk.files[path].data), size)
        self.check(8)

    def test_a_damaged_seal_before_the_last_segment_is_written_again(self) -> None:
        write(self.storage, 12)
        path, size = self.path(0), self.storage.segments[0].room
        self.data(0)[-3] ^= 1
        self.open()
        self.assertEqual(len(self.disk.files[path].data), size)
        self.check(13)

    def test_power_cuts_at_any_time_lose_nothing_that_was_synced_and_no_prefix(self) -> None:
        for seed in range(400):
            random = Random(seed)
            self.disk = MemoryDisk()
            self.open(bytes([1]) * 16)
            synced = 1
            for boot in range(2, 5):
                write(self.storage, random.randrange(8), sync=False)
                if random.random() < 0.7:
                    sync_now(self.storage)
                    synced = self.storage.next
                write(self.storage, random.randrange(8), sync=False)
                self.disk.cut_power(random)
                self.open(bytes([boot]) * 16)
                self.assertGreaterEqual(self.storage.next, synced, seed)
                self.assertEqual(stored(self.storage, self.disk), expected(1, self.storage.next), seed)
                self.assertEqual(len(self.names()), boot)
                synced = self.storage.next

    # What is no journal, and what is missing

    def test_files_of_somebody_else_are_left_alone_and_told(self) -> None:
        self.disk.create(f"{FOLDER}/notes.txt")
        self.open()
        self.assertEqual(self.storage.notes, [f"{FOLDER}/notes.txt is no file of a journal: it is left alone"])
        self.assertIn("notes.txt", self.disk.list(FOLDER))

    def test_a_missing_segment_is_named(self) -> None:
        write(self.storage, 20)
        path = self.path(1)
        self.disk.remove(path)
        with self.assertRaisesRegex(CannotOpen, f"{path} is missing"):
            self.open()

    def test_a_segment_in_the_place_of_another_is_noticed(self) -> None:
        write(self.storage, 20)
        self.disk.files[self.path(1)] = self.disk.files[self.path(0)]
        with self.assertRaisesRegex(CannotOpen, "renamed"):
            self.open()

    def test_segments_that_do_not_continue_each_other_are_damage(self) -> None:
        write(self.storage, 20)
        other = MemoryDisk()
        storage = open_storage(other, segment_size=2 * SIZE)
        write(storage, 40)
        self.disk.files[self.path(1)] = other.files[storage.segments[1].path]
        with self.assertRaises(Damaged):
            self.open()

    def test_a_newer_version_is_refused(self) -> None:
        write(self.storage, 1)
        self.data()[9:HEADER_SIZE] = b"\x03" + bytes(HEADER_SIZE - 10)
        with self.assertRaisesRegex(CannotOpen, "version 3"):
            self.open()

    def test_a_file_whose_creation_was_interrupted_is_no_damage(self) -> None:
        write(self.storage, 1)
        sequence = self.storage.segments[-1].header.sequence + 1
        path = f"{FOLDER}/{sequence + 1:010}.journal"
        self.storage.spare = None
        for content in (b"", bytes(SIZE)):
            self.disk.files.pop(path, None)
            self.disk.create(path)
            self.disk.files[path].data[:] = content
            self.open()
            self.assertEqual(self.names(), ["another"])

    def test_a_header_is_damaged(self) -> None:
        write(self.storage, 1)
        self.data()[30] ^= 1
        with self.assertRaises(Damaged) as caught:
            self.open()
        self.assertEqual((caught.exception.offset, caught.exception.what), (0, "its header is damaged"))

    def test_spares_are_removed(self) -> None:
        write(self.storage, 1)
        assert self.storage.spare
        self.open()
        self.assertEqual(len(self.disk.list(FOLDER)), 3)
        self.assertEqual(
            [read_header(self.disk.read(one.path, 0, HEADER_SIZE)).sequence for one in self.storage.segments], [1, 2]
        )
