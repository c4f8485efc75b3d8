"""A segment: its index is sparse and finds blocks; a block is read as it was written, or found to be damaged."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.contents import Entry
from relay.journal.segment import BLOCK, Damaged, Index, read_block, segment_path, sequence_of
from tests.kit.journals import FOLDER, MemoryDisk, expected, message, open_storage, stored, write


class IndexTests(SynchronousTestCase):
    def test_it_has_an_entry_for_each_block_not_for_each_batch(self) -> None:
        index = Index()
        for number in range(10_000):
            index.note(1 + number, 100 + number * BLOCK // 1000, number)
        self.assertEqual(len(index), 10)
        self.assertEqual(index[1], Entry(1001, 100 + BLOCK, 1000))

    def test_large_batches_are_blocks_of_their_own(self) -> None:
        index = Index()
        for number in range(3):
            index.note(number, number * 5 * BLOCK, 0)
        self.assertEqual(len(index), 3)

    def test_it_finds_the_block_of_a_message(self) -> None:
        index = Index([Entry(5, 0, 0), Entry(10, BLOCK, 0), Entry(11, 2 * BLOCK, 0)])
        self.assertEqual([index.find(position) for position in (5, 9, 10, 11, 500)], [0, 0, 1, 2, 2])

    def test_it_finds_the_last_block_from_before_a_time_though_the_clock_was_set_back(self) -> None:
        index = Index()
        for first, offset, time in [(1, 0, 100), (2, 1, 90), (3, BLOCK, 200), (4, 2 * BLOCK, 50), (5, 3 * BLOCK, 300)]:
            index.note(first, offset, time)
        self.assertEqual([index.before(time) for time in (10, 50, 51, 90, 91, 300, 301)], [-1, -1, 2, 2, 2, 2, 3])


class BlockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage = open_storage(self.disk, segment_size=8 * BLOCK)

    def test_blocks_together_are_the_segment(self) -> None:
        write(self.storage, 30, size=BLOCK // 8)
        segment = self.storage.segments[0]
        self.assertGreater(len(segment.index), 2)
        blocks = [segment.block(number) for number in range(len(segment.index))]
        self.assertEqual([one.stop for one in blocks[:-1]], [two.start for two in blocks[1:]])
        self.assertEqual(
            b"".join(read_block(self.disk, block).data for block in blocks), expected(1, 31, size=BLOCK // 8)
        )

    def test_a_chunk_knows_when_each_batch_was_written(self) -> None:
        write(self.storage, 3)
        chunk = read_block(self.disk, self.storage.segments[0].block(0))
        self.assertEqual([first for _, first in chunk.marks], [1, 2, 3])
        times = [time for time, _ in chunk.marks]
        self.assertEqual(times, sorted(times))
        self.assertEqual((chunk.first, chunk.next, chunk.ends), (1, 4, None))

    def test_a_block_that_grows_is_read_as_far_as_it_went_when_it_was_asked_for(self) -> None:
        write(self.storage, 3)
        block = self.storage.segments[0].block(0)
        write(self.storage, 3)
        self.assertEqual(read_block(self.disk, block).data, expected(1, 4))

    def test_where_messages_cannot_be_told_apart_a_chunk_says_where_they_end(self) -> None:
        disk = MemoryDisk()
        storage = open_storage(disk, framing="raw")
        storage.append([b"one", b"three"], 2, ends=[3, 8])
        storage.append([b"", b"x"], 2, [(("", "p"), 4)], ends=[0, 1])
        chunk = read_block(disk, storage.segments[0].block(0))
        self.assertEqual((chunk.data, list(chunk.ends or [])), (b"onethreex", [3, 8, 8, 9]))

    def test_every_flipped_byte_is_damage_with_its_place(self) -> None:
        write(self.storage, 3)
        segment = self.storage.segments[0]
        block = segment.block(0)
        data = self.disk.files[segment.path].data
        size = (block.stop - block.start) // 3
        for offset in range(block.start, block.stop):
            data[offset] ^= 0x40
            with self.assertRaises(Damaged) as caught:
                read_block(self.disk, block)
            data[offset] ^= 0x40
            number = (offset - block.start) // size
            self.assertEqual(
                (caught.exception.offset, caught.exception.position), (block.start + number * size, 1 + number)
            )
        self.assertIn(f"{segment.path} at byte", str(caught.exception))
        self.assertIn("where message 3 should be", str(caught.exception))

    def test_a_file_that_became_shorter_is_damage(self) -> None:
        write(self.storage, 3)
        block = self.storage.segments[0].block(0)
        del self.disk.files[block.path].data[block.stop - 1 :]
        with self.assertRaises(Damaged):
            read_block(self.disk, block)

    def test_a_file_that_is_gone_is_an_error_of_the_system(self) -> None:
        write(self.storage, 3)
        block = self.storage.segments[0].block(0)
        self.disk.remove(block.path)
        with self.assertRaises(FileNotFoundError):
            read_block(self.disk, block)

    def test_a_batch_of_many_pieces_is_read_as_one(self) -> None:
        self.storage.append([message(number) for number in range(1, 3000)], 2999)
        self.assertEqual(stored(self.storage, self.disk), expected(1, 3000))


class PathTests(SynchronousTestCase):
    def test_names_sort_as_their_numbers(self) -> None:
        self.assertEqual(segment_path(FOLDER, 12), f"{FOLDER}/0000000012.journal")
        self.assertEqual(sequence_of("0000000012.journal"), 12)
        self.assertEqual(sequence_of("12345678901.journal"), 12345678901)

    def test_other_names_are_none_of_the_journal(self) -> None:
        for name in ("lock", "12.journal", "000000000x.journal", "0000000012.journal.bak", "0000000012", ".journal"):
            self.assertIsNone(sequence_of(name), name)
