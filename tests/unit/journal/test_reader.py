"""Reading: in threads, once for all who are near, ahead of need, within a limit; and what cannot be had is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.reader import Gone, Reader
from relay.journal.segment import BLOCK, Chunk, Damaged
from tests.kit.journals import MemoryDisk, Threads, Ticking, expected, message, open_storage, sync_now, write

SIZE = BLOCK // 4
"""Bytes of a message in these tests: some four in a block."""


class ReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.time = Ticking()
        self.storage = open_storage(self.disk, segment_size=4 * BLOCK, max_message=2 * BLOCK, time=self.time)
        self.threads = Threads()
        self.held: list[int] = []
        self.reader = Reader(self.storage, self.disk, self.threads, memory=4 * BLOCK, hold=self.held.append)
        self.found: list[Chunk | Exception] = []

    def read(self, position: int) -> Chunk:
        """The chunk with a message, when the threads have run."""
        self.found.clear()
        self.reader.read(position, self.found.append)
        self.threads.run()
        [chunk] = self.found
        assert isinstance(chunk, Chunk), chunk
        return chunk

    def test_everything_is_read_in_order(self) -> None:
        write(self.storage, 40, SIZE)
        position, data = 1, b""
        while position < self.storage.next:
            chunk = self.read(position)
            self.assertEqual(chunk.first, position)
            position, data = chunk.next, data + chunk.data
        self.assertEqual(data, expected(1, 41, SIZE))
        self.assertLessEqual(self.reader.size, self.reader.memory + BLOCK)

    def test_who_asks_in_the_middle_gets_the_chunk_around_it(self) -> None:
        write(self.storage, 40, SIZE)
        chunk = self.read(7)
        self.assertLess(chunk.first, 7)
        self.assertGreater(chunk.next, 7)

    def test_the_next_chunk_is_there_before_it_is_asked_for(self) -> None:
        write(self.storage, 40, SIZE)
        after = self.read(1).next
        self.reader.read(after, self.found.append)
        self.assertEqual(len(self.found), 2, "at once")

    def test_those_who_are_near_share_a_read(self) -> None:
        write(self.storage, 40, SIZE)
        for _ in range(100):
            self.reader.read(1, self.found.append)
        self.threads.run()
        self.assertEqual((len(self.found), len(set(map(id, self.found))), self.reader.reads), (100, 1, 2))

    def test_many_in_different_places_stay_within_the_memory(self) -> None:
        write(self.storage, 80, SIZE)
        for position in range(1, 80):
            self.read(position * 37 % 80 + 1)
            self.assertLessEqual(self.reader.size, self.reader.memory + BLOCK + 2 * SIZE)
            self.assertEqual(self.held[-1], self.reader.size)

    def test_a_block_that_grows_is_read_again(self) -> None:
        write(self.storage, 2, 10)
        self.assertEqual(self.read(1).next, 3)
        write(self.storage, 2, 10)
        self.assertEqual(self.read(3).data, expected(1, 5))

    def test_what_nobody_uses_is_forgotten(self) -> None:
        write(self.storage, 40, SIZE)
        self.read(1)
        self.reader.sweep()
        self.assertGreater(self.reader.size, 0)
        self.reader.sweep()
        self.assertEqual((self.reader.size, self.held[-1]), (0, 0))

    def test_what_is_older_than_the_journal_is_gone(self) -> None:
        write(self.storage, 40, SIZE)
        self.storage.delete(self.storage.expire(0, 0))
        self.reader.read(1, self.found.append)
        self.assertIsInstance(self.found[0], Gone)

    def test_what_is_deleted_while_it_is_read_is_gone(self) -> None:
        write(self.storage, 40, SIZE)
        self.reader.read(1, self.found.append)
        self.storage.delete(self.storage.expire(0, 0))
        self.threads.run()
        self.assertIsInstance(self.found[0], Gone)
        self.assertEqual(self.reader.size, 0)

    def test_damage_and_errors_are_told_and_not_kept(self) -> None:
        write(self.storage, 2, 10)
        data = self.disk.files[self.storage.segments[0].path].data
        data[self.storage.segments[0].size - 1] ^= 1
        self.reader.read(1, self.found.append)
        self.threads.run()
        self.assertIsInstance(self.found[0], Damaged)
        data[self.storage.segments[0].size - 1] ^= 1
        self.assertEqual(self.read(1).data, expected(1, 3))

    def test_a_time_finds_the_first_message_since(self) -> None:
        times = []
        for number in range(1, 11):
            if self.storage.spare is None:
                self.storage.spare = self.storage.prepare()
            self.time.now += 100
            self.storage.append([message(number, BLOCK // 2)], 1)
            times.append(self.time.now)
        sync_now(self.storage)
        positions: list[int | Exception] = []
        for when in (0, *times, times[-1] + 1):
            self.reader.find(when, positions.append)
            self.threads.run()
        self.assertEqual(positions, [1, *range(1, 11), 11])

    def test_a_clock_that_was_set_back_gives_too_much_rather_than_too_little(self) -> None:
        positions: list[int | Exception] = []
        for number, now in enumerate([1000, 2000, 9_000_000, 9_001_000, 3000, 4000], start=1):
            self.time.now = now
            self.storage.append([message(number)], 1)
        for when in (1500, 2500, 3500, 9_000_500):
            self.reader.find(when, positions.append)
            self.threads.run()
        self.assertEqual(positions, [2, 3, 6, 7])
