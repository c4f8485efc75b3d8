"""Syncing: one sync for all that was written meanwhile, in a thread, as fast as the disk allows or now and then."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.journal.syncing import FIRST_UNSYNCED, LAZY, LEAST_UNSYNCED, MOST_UNSYNCED, PATIENCE, Syncing
from tests.kit.journals import MemoryDisk, Threads, message, open_storage


class SyncingTests(SynchronousTestCase):
    def set_up(self, interval: float = 0.0) -> None:
        self.disk = MemoryDisk()
        self.storage = open_storage(self.disk)
        self.threads = Threads()
        self.clock = Clock()
        self.synced: list[int] = []
        self.failures: list[Exception] = []
        self.disk.syncs = 0
        self.syncing = Syncing(
            self.storage,
            self.threads,
            self.clock.callLater,
            self.clock.seconds,
            synced=lambda: self.synced.append(self.storage.synced),
            failed=self.failures.append,
            interval=interval,
        )

    def write(self, count: int = 1, awaited: bool = True) -> None:
        for _ in range(count):
            self.syncing.wrote(self.storage.append([message(self.storage.next)], 1))
            if awaited and not self.syncing.interval:
                self.syncing.hurry()

    def test_while_nobody_waits_one_sync_covers_all_that_is_written_in_a_moment(self) -> None:
        self.set_up()
        for _ in range(4):
            self.write(awaited=False)
            self.clock.advance(LAZY / 5)
        self.assertEqual(self.threads.due, [])
        self.clock.advance(LAZY / 5)
        self.threads.run()
        self.assertEqual((self.synced, self.disk.syncs), ([5], 1))

    def test_who_waits_need_not_wait_for_that(self) -> None:
        self.set_up()
        self.write(3, awaited=False)
        self.syncing.hurry()
        self.threads.run()
        self.assertEqual(self.synced, [4])
        self.clock.advance(LAZY)
        self.assertEqual(self.threads.due, [], "nothing is left for when it would have been due")

    def test_who_waits_for_what_is_about_to_be_written_or_was_written_during_a_sync_does_not_wait_either(self) -> None:
        self.set_up()
        self.syncing.hurry()
        self.write(awaited=False)
        self.assertEqual(len(self.threads.due), 1)
        self.write(awaited=False)
        self.syncing.hurry()
        self.threads.run()
        self.assertEqual(self.synced, [2, 3])

    def test_what_was_written_is_synced_at_once_if_somebody_waits(self) -> None:
        self.set_up()
        self.write()
        self.assertGreater(self.syncing.unsynced, 0)
        self.threads.run()
        self.assertEqual((self.synced, self.syncing.unsynced, self.storage.synced), ([2], 0, 2))

    def test_what_is_written_during_a_sync_shares_the_next(self) -> None:
        self.set_up()
        self.write(3)
        self.assertEqual(len(self.threads.due), 1)
        self.threads.run()
        self.assertEqual(self.synced, [2, 4], "the first covers what was written before it began")
        self.assertEqual(self.disk.syncs, 2)

    def test_nothing_is_synced_twice_or_for_nothing(self) -> None:
        self.set_up()
        self.write()
        self.threads.run()
        self.clock.advance(100)
        self.assertEqual((self.threads.due, self.disk.syncs), ([], 1))

    def test_with_an_interval_one_sync_covers_it(self) -> None:
        self.set_up(interval=5.0)
        for _ in range(4):
            self.write()
            self.clock.advance(1)
        self.assertEqual(self.threads.due, [])
        self.clock.advance(1)
        self.threads.run()
        self.assertEqual(self.synced, [5])
        self.clock.advance(100)
        self.assertEqual(self.threads.due, [])

    def test_with_an_interval_much_that_is_not_synced_is_synced_before(self) -> None:
        self.set_up(interval=5.0)
        self.write()
        self.syncing.wrote(FIRST_UNSYNCED // 4)
        self.threads.run()
        self.assertEqual(self.synced, [2])
        self.clock.advance(5)
        self.assertEqual(self.threads.due, [], "nothing is left for when it would have been due")

    def test_a_sync_that_fails_is_told_and_is_the_last(self) -> None:
        self.set_up()

        def fail(name: str) -> None:
            if name == "sync":
                raise OSError(5, "Input/output error")

        self.disk.fail = fail
        self.write(2)
        self.threads.run()
        self.assertEqual((len(self.failures), self.synced, self.storage.synced), (1, [], 1))

    def test_how_long_it_took_is_counted(self) -> None:
        self.set_up()
        self.write()
        self.clock.advance(0.03)
        self.threads.run()
        self.assertEqual((self.syncing.took[5], sum(self.syncing.took)), (1, 1))
        self.assertAlmostEqual(self.syncing.seconds, 0.03)

    def sync(self, size: int, seconds: float) -> int:
        """The bound after a sync of that many bytes, which takes so long."""
        self.syncing.wrote(size)
        self.syncing.hurry()
        self.clock.advance(seconds)
        self.threads.run()
        return self.syncing.most

    def test_what_may_wait_for_a_sync_is_what_the_disk_takes_in_two_moments(self) -> None:
        self.set_up()
        mib = 2**20
        self.assertEqual(self.sync(2 * mib, 2 * PATIENCE), 2 * mib)
        self.assertEqual(self.sync(2 * mib, 100 * PATIENCE), LEAST_UNSYNCED)
        self.assertEqual(self.sync(mib, PATIENCE), 2 * mib)
        for _ in range(20):
            self.sync(self.syncing.most, PATIENCE / 10)
        self.assertEqual(self.syncing.most, MOST_UNSYNCED)

    def test_a_little_that_is_quickly_synced_says_nothing_of_the_disk(self) -> None:
        self.set_up()
        self.assertEqual(self.sync(1000, PATIENCE / 2), FIRST_UNSYNCED)
