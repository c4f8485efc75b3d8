"""Origins: whose messages come to a relay, and how it finds that they are its own."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.peers.origins import Loop, Origins
from relay.wire.hello import MAX_VIA


class OriginsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.origins = Origins("fff")
        self.changes = 0
        self.origins.listeners[self.changed] = None

    def changed(self) -> None:
        self.changes += 1

    def test_a_relay_is_its_own_first_origin(self) -> None:
        self.assertEqual(self.origins.all, ("fff",))

    def test_those_of_all_connections_are_told_once_each(self) -> None:
        self.origins.note("one", ["bbb", "aaa"])
        self.origins.note("two", ["aaa", "ccc"])
        self.assertEqual(self.origins.all, ("fff", "aaa", "bbb", "ccc"))
        self.assertEqual(self.changes, 2)
        self.origins.forget("one")
        self.assertEqual((self.origins.all, self.changes), (("fff", "aaa", "ccc"), 3))

    def test_nothing_is_told_when_nothing_changes(self) -> None:
        self.origins.note("one", ["aaa"])
        self.origins.note("two", ["aaa"])
        self.origins.note("one", ["aaa"])
        self.origins.forget("two")
        self.origins.forget("three")
        self.assertEqual(self.changes, 1)

    def test_its_own_messages_are_a_loop(self) -> None:
        self.origins.note("one", ["aaa"])
        self.assertRaises(Loop, self.origins.note, "one", ["aaa", "fff"])
        self.assertEqual(self.origins.all, ("fff",))

    def test_there_are_no_more_than_a_control_frame_has_room_for(self) -> None:
        self.origins.note("one", [f"{number:x}" for number in range(2 * MAX_VIA)])
        self.assertEqual((len(self.origins.all), self.origins.all[0]), (MAX_VIA, "fff"))
