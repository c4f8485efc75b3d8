"""Names: who has one, how much was accepted under it, which are forgotten; `model/test_names` tries all orders."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Key
from relay.peers.names import Names


class Holder:
    """A connection that has sent so many messages under its name."""

    def __init__(self) -> None:
        self.accepted = 0


class NamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.names = Names(2)

    def use(self, key: Key, accepted: int) -> None:
        """Somebody has the name for a while."""
        holder = Holder()
        name, _ = self.names.take(key, holder)
        holder.accepted = name.count + accepted
        self.names.release(key, holder)

    def test_a_name_keeps_its_count_over_connections(self) -> None:
        self.assertNotIn(("", "a"), self.names)
        self.use(("", "a"), 3)
        self.use(("", "a"), 4)
        self.assertIn(("", "a"), self.names)
        self.assertEqual(self.names.take(("", "a"), Holder())[0].count, 7)

    def test_the_newest_has_it_and_the_older_can_no_longer_count(self) -> None:
        older, newer = Holder(), Holder()
        self.names.take(("", "a"), older)
        older.accepted = 5
        name, before = self.names.take(("", "a"), newer)
        self.assertIs(before, older)
        self.assertEqual(name.count, 5)
        older.accepted = 99
        self.names.release(("", "a"), older)
        newer.accepted = 6
        self.names.release(("", "a"), newer)
        self.assertEqual(self.names.take(("", "a"), Holder()), (name, None))
        self.assertEqual(name.count, 6)

    def test_a_name_belongs_to_a_certificate(self) -> None:
        self.use(("CN=one", "a"), 3)
        self.assertNotIn(("CN=other", "a"), self.names)

    def test_the_longest_unseen_is_forgotten_first_and_who_is_connected_never(self) -> None:
        holder = Holder()
        self.names.take(("", "here"), holder)
        for name in "abca":
            self.use(("", name), 1)
        self.assertEqual([name for name in ("here", "a", "b", "c") if ("", name) in self.names], ["here", "a", "c"])
        self.assertEqual(len(self.names), 3)

    def test_the_limit_can_change(self) -> None:
        for name in "ab":
            self.use(("", name), 1)
        self.names.change(1)
        self.assertEqual(len(self.names), 1)
        self.names.change(0)
        self.use(("", "c"), 1)
        self.assertEqual(len(self.names), 0)

    def test_names_of_another_run_are_remembered_as_those_that_are_not_connected(self) -> None:
        names = Names(2)
        names.restore({("", "a"): 1, ("", "b"): 2, ("", "c"): 3})
        self.assertEqual((("", "a") in names, len(names)), (False, 2))
        name, before = names.take(("", "c"), Holder())
        self.assertEqual((name.count, before), (3, None))
