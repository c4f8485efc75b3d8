"""What the core relies on: the journal on disk and the one in memory that tests use behave the same."""

from __future__ import annotations

import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Contributor, Journal
from tests.kit.fakes import FakeJournal, frame
from tests.kit.journals import MemoryDisk, RecordingKeeper, Threads, Ticking, open_journal, open_storage, stored

KEY = ("", "p")


class Publisher:
    accepted = 0


class FakeJournalTests(SynchronousTestCase):
    """The one in memory."""

    def setUp(self) -> None:
        self.fake = FakeJournal()
        self.journal: Journal = self.fake

    def fill(self, full: bool) -> None:
        self.fake.full = full

    def written(self) -> bytes:
        return b"".join(data for data, _, _ in self.fake.written)

    def noted(self) -> dict[tuple[str, str], int]:
        return self.fake.noted

    def test_what_it_takes_is_written_in_order(self) -> None:
        self.assertTrue(self.journal.ready)
        self.assertTrue(self.journal.append([frame(b"a"), memoryview(frame(b"b"))], 2))
        self.assertTrue(self.journal.append([frame(b"c")], 1))
        self.assertEqual(self.written(), frame(b"a") + frame(b"b") + frame(b"c"))
        self.assertEqual(self.journal.safe, 1, "not before it says so")

    def test_what_it_does_not_take_may_be_given_again(self) -> None:
        self.fill(True)
        self.assertFalse(self.journal.append([frame(b"a")], 1))
        self.assertEqual(self.written(), b"")
        self.fill(False)
        self.assertTrue(self.journal.append([frame(b"a")], 1))
        self.assertEqual(self.written(), frame(b"a"))

    def test_a_name_is_written_with_the_batch(self) -> None:
        publisher = Publisher()
        contributor: Contributor = publisher
        self.journal.note(KEY, contributor)
        publisher.accepted = 2
        self.fill(True)
        self.journal.append([frame(b"a")], 1)
        self.assertEqual(self.noted(), {})
        self.fill(False)
        self.journal.append([frame(b"a")], 1)
        self.assertEqual(self.noted(), {KEY: 2})
        publisher.accepted = 3
        self.journal.append([frame(b"b")], 1)
        self.assertEqual(self.noted(), {KEY: 2}, "it was not noted again")


class DiskJournalTests(FakeJournalTests):
    """The one on disk."""

    def setUp(self) -> None:
        self.disk, self.clock, self.time = MemoryDisk(), Clock(), Ticking()
        self.storage = open_storage(self.disk, time=self.time)
        self.journal = open_journal(self.storage, self.disk, RecordingKeeper(), Threads(), self.clock, self.time)

    def fill(self, full: bool) -> None:
        def fail(name: str) -> None:
            if name == "write":
                raise OSError(errno.ENOSPC, "No space left on device")

        self.disk.fail = fail if full else lambda name: None
        self.clock.advance(1)

    def written(self) -> bytes:
        return stored(self.storage, self.disk)

    def noted(self) -> dict[tuple[str, str], int]:
        return dict(self.storage.names)
