"""Places: where a relay stands at others, kept with the names of publishers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.config.values import Remote
from relay.core.journal import Contributor, Key
from relay.peers.names import Names
from relay.reach.places import Places
from relay.wire.position import Position

HERE, THERE = Remote("tcp:a:1", True), Remote("tcp:b:1", True)


class PlacesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.names = Names()
        self.written: dict[Key, int] = {}
        self.places = Places(self.names, self.write)

    def write(self, key: Key, place: Contributor) -> None:
        self.written[key] = place.accepted

    def restarted(self) -> Places:
        """Those of a relay that has what was written, and nothing else."""
        names = Names()
        names.restore(self.written)
        return Places(names, self.write)

    def test_nobody_stands_anywhere_at_first(self) -> None:
        self.assertIsNone(self.places.find("pull", HERE))

    def test_it_is_found_where_it_was_left(self) -> None:
        place = self.places.stand("pull", HERE, Position("abc", 3))
        self.places.move(place, 7)
        self.assertEqual(self.places.find("pull", HERE), Position("abc", 7))
        self.places.leave(place)
        self.assertEqual(self.places.find("pull", HERE), Position("abc", 7))
        for kind, remote in (("pull", THERE), ("push", HERE), ("pull", Remote("tcp:a:1", False))):
            self.assertIsNone(self.places.find(kind, remote))

    def test_what_was_written_with_the_messages_is_found_after_a_restart(self) -> None:
        for remote, number in ((HERE, 7), (THERE, 9)):
            self.places.move(self.places.stand("pull", remote, Position("abc", 1)), number)
        self.places.stand("pull", HERE, Position("def", 100))  # nothing came from there yet
        self.assertEqual(self.restarted().find("pull", HERE), Position("abc", 7))
        self.assertEqual(self.restarted().find("pull", THERE), Position("abc", 9))

    def test_of_two_epochs_the_newer_counts(self) -> None:
        first = self.places.stand("pull", HERE, Position("fff", 1))
        self.places.move(first, 50)
        self.places.leave(first)
        self.places.move(self.places.stand("pull", HERE, Position("aaa", 1)), 2)
        self.assertEqual(self.places.find("pull", HERE), Position("aaa", 2))
        self.assertEqual(self.restarted().find("pull", HERE), Position("aaa", 2))
