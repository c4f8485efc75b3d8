"""The file with the last position that was dealt with."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.store import Store, begin
from relay.client.subscriber import SubscriberCore
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


class BeginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = temporary_folder(self) / "position"

    def begin(
        self, session: bool = True, after: Position | str | None = None, replay: int | None = None
    ) -> SubscriberCore:
        core, store = begin(
            self.path, session=session, after=after, replay=replay, since=None, heartbeat=0, name="", max_message=9
        )
        assert store is not None
        return core

    def test_the_first_time_it_begins_as_it_is_told(self) -> None:
        self.assertEqual(self.begin(after="ab-5").position, Position("ab", 5))
        self.assertIsNone(self.begin(replay=5).position)

    def test_after_that_it_goes_on_where_it_stopped(self) -> None:
        self.path.write_text("ab-7\n")
        self.assertEqual(self.begin(after="ab-5").position, Position("ab", 7))
        self.assertEqual(self.begin(replay=5).position, Position("ab", 7))

    def test_what_cannot_be_is_refused_also_if_it_would_go_on(self) -> None:
        self.path.write_text("ab-7\n")
        self.assertRaises(ValueError, self.begin, after="ab-5", replay=5)
        self.assertRaises(ValueError, self.begin, session=False)
        self.assertRaises(ValueError, self.begin, after="yesterday")
