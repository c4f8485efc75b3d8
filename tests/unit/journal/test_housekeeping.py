"""Housekeeping: a spare is ready before it is needed, and the oldest segments go."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.housekeeping import Housekeeping
from relay.journal.segment import Segment
from tests.kit.journals import FOLDER, MemoryDisk, Threads, Ticking, message, open_storage, sync_now, write


class HousekeepingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.time = Ticking()
        self.storage = open_storage(self.disk, time=self.time)
        self.threads = Threads()
        self.dropped: list[Segment] = []
        self.there: list[bool] = []
        self.house = Housekeeping(
            self.storage, self.threads, self.time, self.dropped.append, self.there.append, size=20_000
        )

    def failing(self, *names: str) -> None:
        def fail(name: str) -> None:
            if name in names:
                raise OSError(errno.ENOSPC, "No space left on device")

        self.disk.fail = fail

    def test_a_spare_is_made_once(self) -> None:
        self.house.look()
        self.house.look()
        self.assertEqual(len(self.threads.due), 1)
        self.threads.run()
        spare = self.storage.spare
        self.assertIsNotNone(spare)
        self.house.look()
        self.threads.run()
        self.assertIs(self.storage.spare, spare)

    def test_it_tells_whether_the_newest_segment_is_there(self) -> None:
        self.house.look()
        self.threads.run()
        self.house.look()
        self.threads.run()
        self.disk.files.clear()
        self.house.look()
        self.threads.run()
        self.assertEqual(self.there, [True, False])

    def test_it_tells_that_also_if_no_spare_can_be_made_because_of_it(self) -> None:
        self.failing("create")
        self.disk.files.clear()
        self.house.look()
        self.threads.run()
        self.assertEqual(self.there, [False])

    def test_of_a_segment_that_is_not_the_newest_any_more_nothing_is_told(self) -> None:
        self.house.look()
        self.threads.run()
        self.house.look()
        segments = len(self.storage.segments)
        while len(self.storage.segments) == segments:
            self.storage.append([bytes(1000)], 1)
        self.threads.run()
        self.assertEqual(self.there, [])

    def test_a_spare_that_cannot_be_made_is_tried_again(self) -> None:
        self.failing("allocate")
        self.house.look()
        self.threads.run()
        self.assertIn("No space left on device", self.house.trouble)
        self.failing()
        self.house.look()
        self.threads.run()
        self.assertEqual(self.house.trouble, "")
        self.assertIsNotNone(self.storage.spare)

    def test_what_is_too_much_is_deleted_in_a_thread_and_told(self) -> None:
        write(self.storage, 600)
        files = len(self.disk.list(FOLDER))
        self.house.look()
        self.assertEqual([segment.header.sequence for segment in self.dropped], [1, 2, 3, 4, 5, 6])
        self.assertLessEqual(self.storage.size, 20_000)
        self.assertEqual(len(self.disk.list(FOLDER)), files, "not by the caller")
        self.threads.run()
        self.assertEqual(len(self.disk.list(FOLDER)), files - 6)

    def test_what_is_too_old_is_deleted_though_nothing_is_published(self) -> None:
        write(self.storage, 100)
        self.storage.append([message(101)], 1)
        sync_now(self.storage)
        self.house.size, self.house.age = 1 << 40, 60.0
        self.time.now += 59_000_000
        self.house.look()
        self.threads.run()
        self.assertEqual(self.dropped, [])
        self.time.now += 2_000_000
        self.house.look()
        self.assertEqual([segment.header.sequence for segment in self.dropped], [1])

    def test_what_could_not_be_deleted_is_deleted_later(self) -> None:
        write(self.storage, 600)
        files = len(self.disk.list(FOLDER))
        self.failing("remove")
        self.house.look()
        self.threads.run()
        self.assertTrue(self.house.trouble)
        self.failing()
        self.house.look()
        self.threads.run()
        self.assertEqual((len(self.disk.list(FOLDER)), self.house.trouble), (files - 6, ""))
        self.assertEqual(len(self.dropped), 6, "told once")
