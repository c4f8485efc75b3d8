"""Looking at a journal: every fault is found and nothing is touched, also while a relay writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.format import HEADER_SIZE
from relay.journal.inspection import Message, Unreadable, epochs, look, messages, sequences
from relay.journal.segment import Damaged
from relay.wire.framings import FRAMINGS
from relay.wire.position import Epoch
from tests.kit.journals import FOLDER, OTHER_BOOT, MemoryDisk, Ticking, message, open_storage, write
from tests.kit.own_framing import Own


def moments() -> Iterator[Callable[[], MemoryDisk]]:
    """Journals of 14 messages, in which a relay writes 9 more and begins segments just before one of the reads.

    Once for each read, and once more with the oldest segments deleted at that moment.
    """

    def busy(moment: int, delete: bool) -> MemoryDisk:
        disk = MemoryDisk()
        storage = open_storage(disk, segment_size=406)
        write(storage, 14)
        reads = iter(range(moment, -1, -1))

        def work(name: str) -> None:
            if name == "read" and next(reads, None) == 0:
                write(storage, 9)
                storage.delete(storage.expire(2000 if delete else 1 << 20, 0))

        disk.fail = work
        return disk

    return (partial(busy, moment, delete) for moment in range(40) for delete in (False, True))


class InspectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage = open_storage(self.disk, segment_size=406)
        write(self.storage, 14)

    def data(self, segment: int) -> bytearray:
        return self.disk.files[self.storage.segments[segment].path].data

    def faults(self) -> list[tuple[int, str]]:
        """The position and words of all that is found to be wrong."""
        found = [fault for one in look(self.disk, FOLDER, whole=True) for fault in (one.gap, one.fault) if fault]
        return [(fault.position, fault.what) for fault in found]

    def test_a_journal_that_is_being_written_is_whole_and_stays_as_it_is(self) -> None:
        before = {path: bytes(file.data) for path, file in self.disk.files.items()}
        for whole in (False, True):
            listed = list(look(self.disk, FOLDER, whole=whole))
            segments = [one.segment for one in listed if one.segment]
            self.assertEqual([(one.first, one.next) for one in segments], [(1, 5), (5, 9), (9, 13), (13, 15)])
            self.assertEqual([one.fault for one in listed], [None] * 5, "the spare is one more")
        self.assertEqual({path: bytes(file.data) for path, file in self.disk.files.items()}, before)
        self.assertEqual(sequences(self.disk, FOLDER), [1, 2, 3, 4, 5])

    def test_a_record_that_is_being_written_is_no_fault(self) -> None:
        size = self.storage.segments[-1].size
        self.data(-1)[size - 5 : size] = bytes(5)
        self.assertEqual(self.faults(), [])

    def test_what_a_relay_does_between_any_two_reads_is_no_fault(self) -> None:
        for busy in moments():
            for whole in (False, True):
                faults = [fault for one in look(busy(), FOLDER, whole=whole) if (fault := one.fault or one.gap)]
                self.assertEqual(faults, [])

    def test_beside_a_relay_messages_come_all_or_it_is_said_that_they_were_deleted(self) -> None:
        for busy in moments():
            found: list[int] = []
            try:
                found.extend(one.position for one in messages(busy(), FOLDER))
                self.assertGreaterEqual(found[-1], 14)
            except Unreadable as error:
                self.assertIn("deleted while it was read", str(error))
            if found:
                self.assertEqual(found, list(range(found[0], found[-1] + 1)))

    def test_every_flipped_byte_before_the_seal_of_an_older_segment_is_found(self) -> None:
        for offset in range(self.storage.segments[1].size):
            self.data(1)[offset] ^= 4
            self.assertNotEqual(self.faults(), [], offset)
            self.data(1)[offset] ^= 4

    def test_what_is_missing_between_two_segments_is_found(self) -> None:
        self.disk.remove(self.storage.segments[1].path)
        [(position, what)] = self.faults()
        self.assertEqual(position, 5)
        self.assertIn(f"{self.storage.segments[1].path} is missing", what)

    def test_segments_that_do_not_continue_each_other_are_found(self) -> None:
        other = MemoryDisk()
        storage = open_storage(other, segment_size=556)
        write(storage, 14)
        self.disk.files[self.storage.segments[1].path] = other.files[storage.segments[1].path]
        self.assertIn("it begins with message", self.faults()[0][1])

    def test_every_segment_knows_the_epochs_until_it_was_begun(self) -> None:
        self.disk.kill()
        storage = open_storage(self.disk, boot=OTHER_BOOT, new_epoch=lambda: "another")
        older, newer = self.storage.segments[0], storage.segments[-1]
        self.assertEqual(epochs(self.disk, older), [Epoch("e1", 1)])
        self.assertEqual(epochs(self.disk, newer), [Epoch("e1", 1), Epoch("another", 15)])
        self.data(0)[HEADER_SIZE] ^= 1
        self.assertEqual(epochs(self.disk, older), [], "its beginning cannot be read")

    def test_messages_are_told_with_their_numbers_and_times(self) -> None:
        time = Ticking()
        storage = open_storage(disk := MemoryDisk(), time=time)
        storage.append([message(1), message(2)], 2)
        first = time.now
        storage.append([message(3)], 1)
        bodies = [message(number)[4:] for number in (1, 2, 3)]
        self.assertEqual(
            list(messages(disk, FOLDER)),
            [Message(1, first, bodies[0]), Message(2, first, bodies[1]), Message(3, time.now, bodies[2])],
        )

    def test_messages_of_other_framings_come_without_what_they_add(self) -> None:
        for framing, kind in FRAMINGS.items():
            storage = open_storage(disk := MemoryDisk(), framing=framing)
            storage.append([kind.frame(b"one") + kind.frame(b"three")], 2, ends=() if kind.self_delimiting else (3, 8))
            self.assertEqual([one.data for one in messages(disk, FOLDER)], [b"one", b"three"], framing)

    def test_a_framing_that_a_journal_names_is_not_looked_for(self) -> None:
        name = "tests.kit.own_framing:Own"
        storage = open_storage(disk := MemoryDisk(), framing=name)
        storage.append([b"one.two."], 2)
        self.assertEqual([one.fault for one in look(disk, FOLDER, whole=True)], [None])
        error = self.assertRaises(Unreadable, list, messages(disk, FOLDER))
        self.assertEqual(str(error), f"{storage.segments[0].path} has the framing {name}: give it with --framing")
        found = [one.data for one in messages(disk, FOLDER, framings={name: Own})]
        self.assertEqual(found, [b"one.", b"two."])

    def test_a_folder_without_a_journal_and_one_of_another_version_are_told(self) -> None:
        with self.assertRaisesRegex(Unreadable, "/journal has no journal: none of its files is a segment"):
            list(look(MemoryDisk(), FOLDER))
        self.data(1)[9:HEADER_SIZE] = b"\x03" + bytes(HEADER_SIZE - 10)
        with self.assertRaisesRegex(Unreadable, "2.journal cannot be read: it has version 3 of the format"):
            list(look(self.disk, FOLDER))

    def test_a_file_that_was_renamed_is_found(self) -> None:
        self.data(1)[:] = self.data(0)
        self.assertIn((5, "it is segment 1: the file was renamed"), self.faults())

    def test_messages_end_at_damage(self) -> None:
        self.data(2)[200] ^= 1
        found: list[int] = []
        with self.assertRaises(Damaged):
            found.extend(one.position for one in messages(self.disk, FOLDER))
        self.assertEqual(found, list(range(1, 9)))
