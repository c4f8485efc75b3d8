"""Reading a segment from its beginning: what is right is found, however it is cut, and what lies behind is judged."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.format import HEADER_SIZE
from relay.journal.scan import WINDOW, blank, read_sealed, records, scan, synced_behind
from relay.journal.segment import Segment
from tests.kit.journals import FOLDER, MemoryDisk, message, open_storage, sync_now, write


class ScanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage = open_storage(self.disk, segment_size=4096)

    @property
    def segment(self) -> Segment:
        return self.storage.segments[-1]

    @property
    def data(self) -> bytearray:
        return self.disk.files[self.segment.path].data

    def offsets(self) -> list[int]:
        """Where the records of the segment begin."""
        return [one.offset for one in records(self.disk, self.segment.path, self.segment.header.mark)]

    def test_it_finds_what_the_writer_knows(self) -> None:
        write(self.storage, 5)
        self.storage.append([message(6)], 1, [(("", "p"), 1)])
        self.storage.append([message(7)], 1, [(("", "q"), 1)])
        self.storage.append([message(8)], 1, [(("", "p"), 2)])
        found = scan(self.disk, FOLDER, self.segment.header)
        self.assertEqual((found.segment.first, found.segment.next), (1, 9))
        self.assertEqual((found.segment.size, found.offset), (self.segment.size, self.segment.size))
        self.assertEqual(found.segment.index[0], self.segment.index[0])
        self.assertEqual(list(found.names.items()), [(("", "q"), 1), (("", "p"), 2)])
        self.assertEqual(found.epochs, self.storage.epochs)

    def test_records_are_found_across_what_is_read_at_once(self) -> None:
        storage = open_storage(disk := MemoryDisk(), max_message=1 << 30)
        sizes = [WINDOW // 3] * 7 + [10, 2 * WINDOW, 10]
        for size in sizes:
            storage.append([bytes(size)], 1)
        segment = storage.segments[0]
        found = list(records(disk, segment.path, segment.header.mark))
        self.assertEqual([len(one.data) for one in found[1:]], sizes)

    def test_every_cut_leaves_a_good_prefix(self) -> None:
        write(self.storage, 4)
        whole, bounds = bytes(self.data), [*self.offsets()[1:], self.segment.size]
        for size in range(HEADER_SIZE, self.segment.size + 1):
            self.data[:] = whole[:size]
            found = scan(self.disk, FOLDER, self.segment.header)
            self.assertEqual(found.offset, max([HEADER_SIZE, *(bound for bound in bounds if bound <= size)]))
            self.assertEqual(found.segment.next, 1 + sum(bound <= size for bound in bounds[1:]) if found.epochs else 0)

    def test_a_record_that_does_not_continue_ends_it(self) -> None:
        write(self.storage, 4)
        offsets = self.offsets()
        del self.data[offsets[2] : offsets[3]]
        found = scan(self.disk, FOLDER, self.segment.header)
        self.assertEqual((found.segment.next, found.offset), (2, offsets[2]))

    def test_what_lies_behind_says_how_far_the_disk_was_synced(self) -> None:
        write(self.storage, 3)  # synced behind the third
        write(self.storage, 3, sync=False)
        offsets = self.offsets()
        path, mark = self.segment.path, self.segment.header.mark
        self.assertEqual(synced_behind(self.disk, path, mark, offsets[2] + 1), 4)
        self.assertEqual(synced_behind(self.disk, path, mark, offsets[3] + 1), 4)
        self.assertEqual(synced_behind(self.disk, path, mark, offsets[6] + 1), 0)
        sync_now(self.storage)
        write(self.storage, 1, sync=False)
        self.assertEqual(synced_behind(self.disk, path, mark, offsets[2] + 1), 7)

    def test_a_message_cannot_look_like_a_record(self) -> None:
        write(self.storage, 1)
        other = open_storage(MemoryDisk())
        write(other, 3)
        self.storage.append([bytes(self.data[HEADER_SIZE : self.segment.size])], 1)
        offset = self.offsets()[-1]
        self.data[offset] ^= 1
        found = synced_behind(self.disk, self.segment.path, other.segments[0].header.mark, HEADER_SIZE)
        self.assertEqual(found, 0)

    def test_a_file_is_blank_behind_its_last_record(self) -> None:
        write(self.storage, 1)
        self.assertTrue(blank(self.disk, self.segment.path, self.segment.size))
        self.assertFalse(blank(self.disk, self.segment.path, self.segment.size - 1))
        self.data[-1] = 1
        self.assertFalse(blank(self.disk, self.segment.path, self.segment.size))

    def test_a_seal_that_is_cut_or_damaged_is_none(self) -> None:
        write(self.storage, 4)
        self.storage.close()
        whole, size = bytes(self.data), self.segment.size
        self.assertIsNotNone(read_sealed(self.disk, FOLDER, self.segment.header))
        for cut in range(len(whole)):
            self.data[:] = whole[:cut]
            self.assertIsNone(read_sealed(self.disk, FOLDER, self.segment.header), cut)
        for offset in range(size, len(whole)):
            self.data[:] = whole
            self.data[offset] ^= 0x10
            self.assertIsNone(read_sealed(self.disk, FOLDER, self.segment.header), offset)
