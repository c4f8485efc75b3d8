"""Reading: in threads, once for all who are near, ahead of need, within a limit; and what cannot be had is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Chunk, Gone
from relay.journal.reader import LEAST, LEFT, READS, Reader
from relay.journal.segment import BLOCK, Damaged
from tests.kit.journals import MemoryDisk, Threads, Ticking, expected, message, open_storage, sync_now, write

SIZE = BLOCK // 4
"""Bytes of a message in these tests: some four in a block."""
MEMORY = 4 * BLOCK


class ReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.time = Ticking()
        self.storage = open_storage(self.disk, segment_size=4 * BLOCK, max_message=9 * BLOCK, time=self.time)
        self.threads = Threads()
        self.lent: list[int] = []
        self.limits = (100 * BLOCK, 0.0)
        self.reader = Reader(
            self.storage,
            self.disk,
            self.threads,
            self.time,
            lambda: self.limits,
            memory=MEMORY,
            lend=self.lent.append,
        )
        self.found: list[Chunk | Exception] = []

    def borrow(self, position: int) -> Chunk:
        """The chunk with a message, when the threads have run."""
        self.found.clear()
        self.reader.borrow(position, self.found.append)
        self.threads.run()
        [chunk] = self.found
        assert isinstance(chunk, Chunk), chunk
        return chunk

    def read(self, position: int) -> Chunk:
        """The same, given back at once."""
        chunk = self.borrow(position)
        self.reader.give_back(chunk)
        return chunk

    def test_everything_is_read_in_order(self) -> None:
        write(self.storage, 40, SIZE)
        position, data = 1, b""
        while position < self.storage.next:
            chunk = self.read(position)
            self.assertEqual(chunk.first, position)
            position, data = chunk.next, data + chunk.data
        self.assertEqual(data, expected(1, 41, SIZE))
        self.assertLessEqual(self.reader.size, self.reader.memory)

    def test_who_asks_in_the_middle_gets_the_chunk_around_it(self) -> None:
        write(self.storage, 40, SIZE)
        chunk = self.read(7)
        self.assertLess(chunk.first, 7)
        self.assertGreater(chunk.next, 7)

    def test_the_next_chunk_is_there_before_it_is_asked_for(self) -> None:
        write(self.storage, 40, SIZE)
        after = self.borrow(1).next
        self.reader.borrow(after, self.found.append)
        self.assertEqual(len(self.found), 2, "at once")

    def test_those_who_are_near_share_a_read(self) -> None:
        write(self.storage, 40, SIZE)
        for _ in range(100):
            self.reader.borrow(1, self.found.append)
        self.threads.run()
        self.assertEqual((len(self.found), len(set(map(id, self.found))), self.reader.reads), (100, 1, 2))

    def test_many_in_different_places_stay_within_the_memory_and_all_are_served(self) -> None:
        write(self.storage, 80, SIZE)
        for position in range(1, 80):
            self.reader.borrow(position * 37 % 80 + 1, self.found.append)
        served = 0
        while self.threads.due or served < len(self.found):
            self.assertLessEqual(len(self.threads.due), READS)
            self.assertLessEqual(self.reader.size, MEMORY)
            self.assertEqual(self.lent[-1], self.reader.size)
            self.threads.run()
            while served < len(self.found):
                chunk = self.found[served]
                assert isinstance(chunk, Chunk), chunk
                self.reader.give_back(chunk)
                served += 1
        self.assertEqual(served, 79)

    def test_who_finds_no_memory_waits_until_something_is_given_back(self) -> None:
        write(self.storage, 80, SIZE)
        held = [self.borrow(position) for position in (1, 21, 41)]
        self.found.clear()
        self.reader.borrow(61, self.found.append)
        self.reader.borrow(71, self.found.append)
        self.threads.run()
        self.assertEqual(self.found, [])
        self.reader.give_back(held[0])
        self.threads.run()
        [first] = self.found
        assert isinstance(first, Chunk)
        self.assertLess(first.first, 62)
        self.reader.give_back(first)
        self.threads.run()
        self.assertEqual(len(self.found), 2)

    def test_a_message_larger_than_the_memory_can_be_read(self) -> None:
        self.storage.append([message(1, 8 * BLOCK)], 1)
        self.assertEqual(len(self.read(1).data), 8 * BLOCK + 5)
        self.assertEqual(self.read(1).next, 2)

    def test_there_is_memory_for_two_chunks_however_little_there_is(self) -> None:
        reader = Reader(
            self.storage,
            self.disk,
            self.threads,
            self.time,
            lambda: self.limits,
            memory=10,
            lend=self.lent.append,
        )
        self.assertEqual(reader.memory, LEAST)

    def test_when_the_journal_begins_anew_nothing_of_before_is_given_to_anybody(self) -> None:
        write(self.storage, 40, SIZE)
        held = self.borrow(1)
        self.reader.borrow(21, self.found.append)  # it is being read
        self.reader.begin_anew(5)
        for position in (4, 6):
            self.reader.borrow(position, self.found.append)
        self.assertEqual((self.reader.oldest, self.reader.begin, self.reader.size), (5, 5, 0))
        self.threads.run()
        self.assertEqual([type(one) for one in self.found], [Chunk, Gone, Gone])
        self.reader.begun_anew()
        self.threads.run()
        [after] = self.found[3:]
        assert isinstance(after, Chunk)
        self.reader.give_back(after)
        self.reader.begin_anew(None)
        self.assertEqual(self.reader.oldest, 1)
        self.reader.begun_anew()
        self.found.clear()
        reads = self.reader.reads
        self.reader.borrow(1, self.found.append)
        self.reader.give_back(held)
        self.threads.run()
        self.assertGreater(self.reader.reads, reads, "it is read again")
        [chunk] = self.found
        assert isinstance(chunk, Chunk)
        self.reader.give_back(chunk)
        for _ in range(2):
            self.reader.sweep(1.0)
        self.assertEqual(self.reader.size, 0)

    def test_a_block_that_grows_is_read_again(self) -> None:
        write(self.storage, 2, 10)
        self.assertEqual(self.read(1).next, 3)
        write(self.storage, 2, 10)
        self.assertEqual(self.read(3).data, expected(1, 5))

    def test_what_nobody_has_is_forgotten(self) -> None:
        write(self.storage, 40, SIZE)
        chunk = self.borrow(1)
        for _ in range(3):
            self.reader.sweep(1.0)
        self.assertGreater(self.reader.size, 0, "somebody has it")
        self.reader.give_back(chunk)
        self.reader.sweep(1.0)
        self.assertEqual((self.reader.size, self.lent[-1]), (0, 0))

    def test_it_is_swept_every_second(self) -> None:
        asked: list[tuple[float, object]] = []
        self.reader.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(1.0, self.reader.sweep)])

    def test_what_is_older_than_the_journal_is_gone(self) -> None:
        write(self.storage, 40, SIZE)
        self.storage.delete(self.storage.expire(0, 0))
        self.reader.borrow(1, self.found.append)
        self.assertIsInstance(self.found[0], Gone)

    def test_what_is_deleted_while_it_is_read_is_gone(self) -> None:
        write(self.storage, 40, SIZE)
        self.reader.borrow(1, self.found.append)
        self.storage.delete(self.storage.expire(0, 0))
        self.threads.run()
        self.assertIsInstance(self.found[0], Gone)
        self.assertEqual(self.reader.size, 0)

    def test_damage_and_errors_are_told_and_not_kept(self) -> None:
        write(self.storage, 2, 10)
        data = self.disk.files[self.storage.segments[0].path].data
        data[self.storage.segments[0].size - 1] ^= 1
        self.reader.borrow(1, self.found.append)
        self.threads.run()
        self.assertIsInstance(self.found[0], Damaged)
        data[self.storage.segments[0].size - 1] ^= 1
        self.assertEqual(self.read(1).data, expected(1, 3))

    # What there is

    def test_it_tells_how_much_there_is_from_a_position_on_and_how_old_that_is(self) -> None:
        write(self.storage, 80, SIZE)
        behind = [self.reader.behind(position) for position in range(1, 81)]
        self.assertEqual(behind, sorted(behind, reverse=True))
        for position in (1, 21, 41, 80):
            exact = len(expected(position, 81, SIZE))
            self.assertTrue(exact <= self.reader.behind(position) <= exact + 2 * BLOCK, position)
        self.time.now = 50_000_000
        self.assertAlmostEqual(self.reader.age(1), 49.0, places=1)
        self.assertEqual((self.reader.oldest, self.reader.limit), (1, 100 * BLOCK))

    def test_nobody_begins_with_what_is_deleted_next(self) -> None:
        write(self.storage, 80, SIZE)
        self.assertEqual(self.reader.begin, 1)
        self.limits = (self.storage.size, 0.0)
        second = self.storage.segments[1]
        self.assertEqual(self.reader.begin, second.first)
        self.limits = (100 * BLOCK, 8.0)
        self.time.now = second.latest + 8_000_000 * (LEFT - 1) // LEFT
        self.assertEqual(self.reader.begin, self.storage.segments[2].first)

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
            self.reader.find(when / 1_000_000, positions.append)
            self.threads.run()
        self.assertEqual(positions, [1, *range(1, 11), 11])
        self.reader.sweep(1.0)
        self.reader.sweep(1.0)
        self.assertEqual(self.reader.size, 0, "all is given back")

    def test_a_clock_that_was_set_back_gives_too_much_rather_than_too_little(self) -> None:
        positions: list[int | Exception] = []
        for number, now in enumerate([1000, 2000, 9_000_000, 9_001_000, 3000, 4000], start=1):
            self.time.now = now
            self.storage.append([message(number)], 1)
        for when in (1500, 2500, 3500, 9_000_500):
            self.reader.find(when / 1_000_000, positions.append)
            self.threads.run()
        self.assertEqual(positions, [2, 3, 6, 7])
