"""Repair: whatever is damaged, a relay can start afterwards, and what stays is whole, newest first."""

from __future__ import annotations

import contextlib

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.inspection import look
from relay.journal.recovery import CannotOpen
from relay.journal.repair import Repair
from tests.kit.journals import FOLDER, OTHER_BOOT, MemoryDisk, expected, open_storage, stored, write


class RepairTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage = open_storage(self.disk, segment_size=406)
        write(self.storage, 14)
        self.disk.kill()
        self.paths = [segment.path for segment in self.storage.segments]

    def repair(self) -> list[str]:
        repair = Repair(self.disk, FOLDER)
        plan = repair.plan
        repair.run(0)
        repair.close()
        return plan

    def check(self, first: int, after: int, epochs: int = 1) -> None:
        """A relay starts, with those messages."""
        storage = open_storage(self.disk, segment_size=406)
        self.assertEqual((storage.oldest, storage.next, len(storage.epochs)), (first, after, epochs))
        self.assertEqual(stored(storage, self.disk), expected(first, after))

    def test_a_whole_journal_is_left_as_it_is(self) -> None:
        before = {path: bytes(file.data) for path, file in self.disk.files.items()}
        self.assertEqual(self.repair(), [])
        self.assertEqual({path: bytes(file.data) for path, file in self.disk.files.items()}, before)
        self.check(1, 15)

    def test_an_older_segment_goes_with_all_before_it(self) -> None:
        self.disk.files[self.paths[1]].data[200] ^= 1
        plan = self.repair()
        self.assertEqual([line.split()[0] for line in plan], self.paths[:2])
        self.assertIn("no record with a right checksum", plan[1])
        self.check(9, 15)

    def test_the_newest_is_cut_and_a_new_epoch_begins(self) -> None:
        size = self.storage.segments[-1].size
        self.disk.files[self.paths[-1]].data[size - 100] ^= 1
        [line] = self.repair()
        self.assertIn(f"{self.paths[-1]} is cut at byte", line)
        self.check(1, 13, epochs=2)

    def test_what_is_missing_takes_what_is_older_with_it(self) -> None:
        self.disk.remove(self.paths[1])
        self.assertEqual(len(self.repair()), 1)
        self.check(9, 15)

    def test_a_newest_segment_whose_header_is_damaged_goes(self) -> None:
        self.disk.files[self.paths[-1]].data[20] ^= 1
        [line] = self.repair()
        self.assertIn(f"{self.paths[-1]} is deleted: its header is damaged", line)
        self.check(1, 13, epochs=2)

    def test_nothing_is_done_beside_a_relay(self) -> None:
        open_storage(self.disk, segment_size=406)
        with self.assertRaisesRegex(CannotOpen, "stop it first"):
            Repair(self.disk, FOLDER)

    def test_after_any_flipped_byte_a_relay_starts_with_what_is_right(self) -> None:
        whole = {path: bytes(file.data) for path, file in self.disk.files.items()}
        for path, content in whole.items():
            for offset in range(0, len(content), 3):
                self.disk = MemoryDisk()
                for name, data in whole.items():
                    self.disk.create(name)
                    self.disk.files[name].data[:] = data
                self.disk.files[path].data[offset] ^= 0x21
                self.repair()
                self.assertFalse([one for one in look(self.disk, FOLDER, whole=True) if one.fault or one.gap])
                storage = open_storage(self.disk, boot=OTHER_BOOT, segment_size=406)
                self.assertEqual(stored(storage, self.disk), expected(storage.oldest, storage.next), (path, offset))
                self.assertGreaterEqual(storage.next - storage.oldest, 2)

    def test_a_repair_that_was_interrupted_is_done_again(self) -> None:
        for failing in range(12):
            self.setUp()
            self.disk.files[self.paths[1]].data[200] ^= 1
            self.disk.files[self.paths[-1]].data[self.storage.segments[-1].size - 100] ^= 1
            left = [failing]

            def fail(name: str, left: list[int] = left) -> None:
                left[0] -= name in ("write", "remove", "truncate", "sync", "sync_folder")
                if left[0] < 0:
                    raise OSError("interrupted")

            self.disk.fail = fail
            with contextlib.suppress(OSError):
                self.repair()
            self.disk.fail = lambda name: None
            self.disk.kill()
            self.repair()
            self.check(9, 13, epochs=2)
