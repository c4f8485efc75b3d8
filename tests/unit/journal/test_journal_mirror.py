"""The journal of a mirror: it takes nothing while it begins anew, or before a new epoch is on disk."""

from __future__ import annotations

import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Gone
from relay.journal.journal import ANEW, LOOK, NEW_SEGMENT, RETRY
from relay.wire.position import Epoch
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

FAR, NEAR = Epoch("5289cfdd2847", 1), Epoch("0123456789ab", 4)


class MirrorJournalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.threads, self.clock, self.time = MemoryDisk(), Threads(), Clock(), Ticking()
        self.keeper = RecordingKeeper()
        self.storage = open_storage(self.disk, time=self.time, mirror=True)
        self.journal = open_journal(self.storage, self.disk, self.keeper, self.threads, self.clock, self.time)
        self.append(3)

    def append(self, count: int = 1) -> bool:
        return all(self.journal.append([message(self.storage.next)], 1) for _ in range(count))

    def settle(self) -> None:
        for _ in range(10):
            self.threads.run()
            self.clock.advance(LOOK)

    def failing(self, *names: str) -> None:
        def fail(name: str) -> None:
            if name in names:
                raise OSError(errno.EIO, "Input/output error")

        self.disk.fail = fail

    def test_it_begins_anew_when_all_that_was_written_is_on_disk(self) -> None:
        self.journal.begin_anew(100, [FAR])
        self.assertEqual((self.keeper.told, self.journal.trouble), (["hold: "], ANEW), "it is not worth a line")
        self.assertFalse(self.append())
        self.threads.run()
        self.assertEqual(self.storage.synced, 4)
        self.keeper.flushing = self.append
        self.settle()
        self.assertEqual([one for one in self.keeper.told if one != "synced"], ["hold: ", "flush", "release"])
        self.assertEqual((self.journal.next, self.journal.epochs, self.journal.trouble), (101, [FAR], ""))
        self.assertEqual(stored(self.storage, self.disk), expected(100, 101))

    def test_it_begins_anew_when_no_thread_does_anything_else(self) -> None:
        self.journal.hurry()
        self.settle()
        self.journal.sweep(1.0)
        self.assertEqual(len(self.threads.due), 1)
        self.journal.begin_anew(100, [FAR])
        self.assertEqual(len(self.threads.due), 1)
        self.settle()
        self.assertEqual(self.storage.next, 100)

    def test_meanwhile_nothing_can_be_read(self) -> None:
        self.journal.begin_anew(100, [FAR])
        found: list[object] = []
        self.journal.reader.borrow(1, found.append)
        self.assertEqual(([type(one) for one in found], self.journal.next), ([Gone], 100))

    def test_it_may_keep_what_comes_before_and_who_needs_that_waits(self) -> None:
        self.journal.begin_anew(3, [FAR, NEAR], keeps=True)
        self.assertEqual((self.journal.reader.oldest, self.append()), (1, False))
        found: list[object] = []
        self.journal.reader.borrow(1, found.append)
        self.assertEqual(found, [])
        self.settle()
        self.assertEqual(found[0].data, expected(1, 3))  # type: ignore[attr-defined]
        self.assertEqual((self.journal.next, self.journal.epochs[-2:]), (3, [FAR, NEAR]))

    def test_where_it_ends_it_just_goes_on(self) -> None:
        self.threads.run()
        self.journal.begin_anew(4, [FAR, NEAR], keeps=True)
        self.assertEqual((self.journal.trouble, self.journal.epochs), ("", [FAR, NEAR]))

    def test_what_is_to_be_forgotten_already_is_not_kept(self) -> None:
        self.journal.begin_anew(100, [FAR])
        self.journal.begin_anew(99, [FAR], keeps=True)
        self.settle()
        self.assertEqual((self.storage.oldest, self.storage.next), (99, 99))

    def test_of_two_places_before_which_all_is_kept_the_second_counts(self) -> None:
        self.journal.begin_anew(3, [FAR], keeps=True)
        self.journal.begin_anew(2, [FAR], keeps=True)
        self.settle()
        self.assertEqual((self.storage.oldest, self.storage.next), (1, 2))

    def test_a_sync_that_fails_meanwhile_ends_the_process(self) -> None:
        self.failing("sync")
        self.journal.begin_anew(100, [FAR])
        self.settle()
        self.assertEqual(self.keeper.told[-1], "lost: [Errno 5] Input/output error")
        self.assertEqual(self.storage.next, 4)

    def test_what_fails_besides_is_told_and_tried_again(self) -> None:
        self.threads.run()
        self.failing("rename")
        self.journal.begin_anew(100, [FAR])
        self.settle()
        self.assertIn("hold: the journal cannot begin anew: [Errno 5] Input/output error", self.keeper.told)
        self.assertFalse(self.append())
        self.failing()
        self.clock.advance(RETRY)
        self.settle()
        self.assertEqual((self.storage.next, self.keeper.told[-1]), (100, "release"))

    def test_who_is_told_of_another_gap_meanwhile_begins_there(self) -> None:
        for position in (100, 200):
            self.journal.begin_anew(position, [FAR])
        self.journal.follow([FAR, NEAR])
        self.settle()
        self.assertEqual((self.journal.next, self.journal.epochs), (200, [FAR, NEAR]))
        self.assertEqual(self.keeper.told.count("release"), 1)

    def test_a_stop_ends_the_tries(self) -> None:
        self.failing("rename")
        self.journal.begin_anew(100, [FAR])
        self.settle()
        self.journal.stop()
        self.clock.advance(RETRY)
        self.assertEqual((self.threads.due, self.clock.getDelayedCalls()), ([], []))

    def test_nothing_is_written_of_a_new_epoch_until_it_has_a_segment(self) -> None:
        self.assertIsNone(self.storage.spare)
        self.journal.follow([FAR, NEAR])
        self.assertEqual((self.journal.trouble, self.append()), (NEW_SEGMENT, False))
        self.keeper.flushing = self.append
        self.settle()
        self.assertEqual((self.journal.trouble, self.storage.next, len(self.storage.segments)), ("", 5, 2))

    def test_a_disk_without_room_for_that_segment_is_asked_once_a_second(self) -> None:
        self.assertIsNone(self.storage.spare)
        self.failing("create")
        self.journal.follow([FAR, NEAR])
        tries = 0
        for _ in range(300):
            tries += len(self.threads.due)
            self.threads.run()
            self.clock.advance(LOOK)
        self.assertLess(tries, 20)
        self.failing()
        for _ in range(2):
            self.clock.advance(RETRY)
            self.settle()
        self.assertEqual(self.journal.trouble, "")

    def test_where_a_spare_is_there_nobody_waits(self) -> None:
        self.threads.run()
        self.assertIsNotNone(self.storage.spare)
        self.journal.follow([FAR, NEAR])
        self.assertTrue(self.append())
        self.assertEqual((self.journal.trouble, self.journal.epochs), ("", [FAR, NEAR]))
