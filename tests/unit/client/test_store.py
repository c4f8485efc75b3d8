"""The file with the last position that was dealt with."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.store import Store
from relay.wire.position import Position
from tests.kit.folders import temporary_folder


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = temporary_folder(self) / "position"

    def test_what_was_written_is_there_for_the_next(self) -> None:
        store = Store(self.path)
        self.assertIsNone(store.load())
        store.keep(Position("ab", 5), 0.0)
        self.assertEqual(Store(self.path).load(), Position("ab", 5))
        self.assertEqual([file.name for file in self.path.parent.iterdir()], ["position"])

    def test_it_is_written_now_and_then_and_at_the_end(self) -> None:
        store = Store(self.path, every=1.0)
        for number in range(10):
            store.keep(Position("ab", number), number / 10)
        self.assertEqual(store.load(), Position("ab", 0))
        store.keep(Position("ab", 10), 1.0)
        store.keep(Position("ab", 11), 1.5)
        self.assertEqual(store.load(), Position("ab", 10))
        store.flush()
        store.flush()
        self.assertEqual(store.load(), Position("ab", 11))

    def test_a_file_of_something_else_is_not_taken_for_one(self) -> None:
        self.path.write_text("shopping list")
        self.assertRaises(ValueError, Store(self.path).load)
