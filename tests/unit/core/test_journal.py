"""Where there is no journal, nothing waits for one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Contributor, Journal, NoJournal


class Publisher:
    accepted = 1


class NoJournalTests(SynchronousTestCase):
    def test_everything_is_written_at_once_and_nothing_is_synced(self) -> None:
        journal: Journal = NoJournal()
        publisher: Contributor = Publisher()
        journal.note(("", "p"), publisher)
        self.assertTrue(journal.append([b"data"], 1))
        self.assertEqual(journal.synced, 1)
