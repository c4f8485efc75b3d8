"""The names that a journal knows."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.names import Names


class NamesTests(SynchronousTestCase):
    def test_the_longest_unseen_are_forgotten_first(self) -> None:
        names = Names(limit=2)
        names.note([(("", "a"), 1), (("", "b"), 1)])
        names.note([(("", "a"), 2), (("", "c"), 1)])
        self.assertEqual(list(names.items()), [(("", "a"), 2), (("", "c"), 1)])
