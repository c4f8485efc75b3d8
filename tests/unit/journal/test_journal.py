"""The journal: what is appended is written and then synced; publishers wait for a disk that is slow or full."""

from __future__ import annotations

import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Journal
from relay.journal.journal import RETRY
from relay.journal.syncing import FIRST_UNSYNCED
from tests.kit.journals import (
    MemoryDisk,
    RecordingKeeper,
    Threads,
    Ticking,
    expected,
    message,
    open_journal,
    open_storage,
    stored,
)

FULL = "hold: the journal cannot be written: No space left on device"
SLOW = "hold: the journal's disk is slower than publishers are"


class Publisher:
    def __init__(self) -> None:
        self.accepted = 0


class JournalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.keeper = RecordingKeeper()
        self.threads = Threads()
        self.clock = Clock()
        self.open()

    def open(self, max_message: int = 99_999) -> None:
        self.time = Ticking()
        self.storage = open_storage(self.disk, time=self.time, max_message=max_message)
        self.journal = open_journal(
            self.storage, self.disk, self.keeper, self.threads, self.clock, self.time, memory=1 << 20
        )

    def append(self, count: int = 1) -> bool:
        """Append messages for whose sync somebody waits."""
        for _ in range(count):
            if not self.journal.append([message(self.storage.next)], 1):
                return False
            self.journal.hurry()
        return True

    def fill(self) -> None:
        """Leave no room at all."""
        self.disk.room = 0

    def test_it_is_what_the_core_asks_for(self) -> None:
        journal: Journal = self.journal
        self.assertEqual(journal.safe, 1)

    def test_what_is_appended_is_written_at_once_and_synced_soon(self) -> None:
        self.assertTrue(self.append(3))
        self.assertEqual(stored(self.storage, self.disk), expected(1, 4))
        self.assertEqual(self.journal.safe, 1)
        self.threads.run()
        self.assertEqual(self.journal.safe, 4)
        self.assertIn("synced", self.keeper.told)

    def test_a_name_is_written_with_the_batch_that_its_publisher_contributed_to(self) -> None:
        publisher = Publisher()
        self.journal.note(("", "p"), publisher)
        publisher.accepted = 3
        self.append()
        publisher.accepted = 9
        self.append()
        self.assertEqual(self.storage.names, {("", "p"): 3}, "what it has contributed since is not noted")

    def test_the_publisher_of_a_name_waits_for_its_ack_and_nobody_for_what_has_no_name(self) -> None:
        self.journal.append([message(1)], 1)
        self.threads.run()
        self.assertEqual(self.journal.safe, 1)
        self.journal.note(("", "p"), Publisher())
        self.journal.append([message(2)], 1)
        self.threads.run()
        self.assertEqual(self.journal.safe, 3)

    def test_spares_are_made_and_segments_follow_each_other(self) -> None:
        for _ in range(300):
            self.append()
            self.threads.run()
        self.assertGreater(len(self.storage.segments), 3)
        self.assertEqual(stored(self.storage, self.disk), expected(1, 301))

    # The disk sets the pace

    def test_publishers_wait_while_too_much_is_not_synced(self) -> None:
        self.open_large()
        size = 2 * 2**20
        while not self.keeper.held:
            self.assertTrue(self.journal.append([bytes(size)], 1))
        self.assertEqual(self.storage.next - 1, FIRST_UNSYNCED // size)
        self.assertTrue(self.journal.append([b"late"], 1), "what is on its way is taken")
        self.assertEqual(self.keeper.told, [SLOW])
        self.threads.run()
        self.assertEqual((self.keeper.held, self.journal.trouble), ("", ""))
        self.assertEqual(self.keeper.told.count("release"), 1)

    def open_large(self) -> None:
        self.disk = MemoryDisk()
        self.open(max_message=2**30)

    # Faults

    def test_a_full_disk_holds_publishers_until_there_is_room(self) -> None:
        publisher = Publisher()
        self.append()
        self.threads.run()
        self.keeper.told.clear()
        self.fill()
        self.journal.note(("", "p"), publisher)
        publisher.accepted = 5
        while self.append():
            publisher.accepted += 1
            self.journal.note(("", "p"), publisher)
        self.assertEqual(self.journal.trouble, FULL.removeprefix("hold: "))
        after = self.storage.next
        self.assertFalse(self.append(), "nothing is tried before it is due")
        self.keeper.flushing = lambda: self.assertEqual(self.append(), self.disk.room > 0)
        self.clock.advance(RETRY)
        self.assertEqual(self.keeper.told.count(FULL), 1, "told once")
        self.assertNotIn("release", self.keeper.told)
        self.disk.room = 1 << 40
        self.clock.advance(RETRY)
        self.assertEqual((self.keeper.held, self.journal.trouble, self.storage.next), ("", "", after + 1))
        self.assertEqual(self.storage.names, {("", "p"): publisher.accepted})
        self.assertEqual(stored(self.storage, self.disk), expected(1, after + 1))

    def test_a_write_error_without_words_is_told_all_the_same(self) -> None:
        def fail(name: str) -> None:
            if name == "write":
                raise OSError("broken")

        self.disk.fail = fail
        self.assertFalse(self.append())
        self.assertEqual(self.keeper.held, "the journal cannot be written: broken")

    def test_a_sync_that_fails_ends_it(self) -> None:
        def fail(name: str) -> None:
            if name == "sync":
                raise OSError(errno.EIO, "Input/output error")

        self.disk.fail = fail
        self.append()
        self.threads.run()
        self.assertEqual(self.keeper.told, ["lost: [Errno 5] Input/output error"])
        self.assertFalse(self.append(), "nothing more is taken")
        self.assertEqual(self.journal.safe, 1)

    def test_publishers_wait_while_its_files_are_not_where_they_belong(self) -> None:
        self.append()
        self.threads.run()
        there = dict(self.disk.files)
        self.disk.files.clear()
        self.journal.sweep(1.0)
        self.threads.run()
        self.assertEqual(self.keeper.held, "the journal's files are gone from /journal")
        self.assertFalse(self.append(), "nobody would find it")
        self.disk.files.update(there)
        self.journal.sweep(1.0)
        self.threads.run()
        self.assertEqual((self.keeper.told[-2:], self.journal.trouble), (["flush", "release"], ""))
        self.assertTrue(self.append())

    # Keeping

    def test_a_sweep_deletes_what_is_too_much(self) -> None:
        for _ in range(300):
            self.append()
            self.threads.run()
        self.journal.housekeeping.size = 10_000
        for _ in range(2):
            self.journal.sweep(1.0)
            self.threads.run()
        self.assertLessEqual(self.storage.size, 10_000)
        self.assertIn("dropped 1", self.keeper.told)

    def test_a_smaller_size_makes_room_on_a_full_disk(self) -> None:
        self.keeper.flushing = self.append
        for _ in range(300):
            self.append()
            self.threads.run()
        self.disk.room = self.storage.size * 3 // 4
        self.append()
        self.journal.change(self.storage.size // 2, 0, 0)
        self.assertEqual(self.keeper.held, "the journal cannot be written: No space left on device")
        for _ in range(3):
            self.journal.sweep(1.0)
            self.threads.run()
            self.clock.advance(RETRY)
        self.assertEqual(self.keeper.held, "")

    def test_a_closed_journal_goes_on_with_the_next_start(self) -> None:
        self.append(3)
        self.threads.run()
        self.journal.close()
        self.assertFalse(self.append())
        self.open()
        self.assertEqual((self.storage.next, len(self.storage.epochs)), (4, 1))

    def test_it_tells_how_it_is(self) -> None:
        self.append(2)
        found = self.journal.figures()
        self.assertEqual((found.oldest, found.segments, found.cuts, found.trouble), (1, 1, 0, ""))
        self.assertGreater(found.unsynced, 0)
        self.threads.run()
        found = self.journal.figures()
        self.assertEqual((found.unsynced, sum(found.syncs)), (0, 2))
        self.assertEqual(found.size, self.storage.size)
        self.assertEqual(found.free, self.disk.room - found.size)

    def test_it_tells_how_long_publishers_have_waited_for_it(self) -> None:
        self.keeper.flushing = self.append
        for tries in (1, 2):
            self.fill()
            self.append()
            self.clock.pump([RETRY] * tries)
            self.disk.room = 1 << 30
            self.clock.advance(RETRY)
            self.clock.advance(10 * RETRY)
        self.assertEqual((self.journal.figures().held_seconds, self.journal.trouble), (5 * RETRY, ""))
        self.fill()
        self.append()
        self.clock.advance(RETRY / 2)
        self.assertEqual(self.journal.figures().held_seconds, 5.5 * RETRY)

    def test_in_a_folder_that_is_gone_there_is_no_room(self) -> None:
        def gone(name: str) -> None:
            if name == "free":
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")

        self.disk.fail = gone
        self.assertEqual(self.journal.figures().free, 0)

    def test_it_asks_for_its_sweeps(self) -> None:
        asked: list[object] = []
        self.journal.register(lambda seconds, function: asked.append(function))
        self.assertEqual(asked, [self.journal.sweep, self.journal.reader.sweep])
