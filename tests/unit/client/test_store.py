"""The file with the last position that was dealt with."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.client.store import Store, open_store
from relay.client.subscriber import SubscriberCore
from relay.wire.position import Position
from tests.kit.folders import temporary_folder


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = temporary_folder(self) / "position"
        self.clock = Clock()

    def keep(self, store: Store, number: int) -> None:
        store.keep(Position("ab", number), self.clock.seconds(), self.clock.callLater)

    def test_what_was_written_is_there_for_the_next(self) -> None:
        store = Store(self.path)
        self.assertIsNone(store.load())
        self.keep(store, 5)
        self.assertEqual(Store(self.path).load(), Position("ab", 5))
        self.assertEqual([file.name for file in self.path.parent.iterdir()], ["position"])

    def test_it_is_written_now_and_then_and_at_the_end(self) -> None:
        store = Store(self.path, every=1.0)
        for number in range(10):
            self.keep(store, number)
            self.clock.rightNow += 0.1  # a program that is busy: no timer is looked at
        self.assertEqual(store.load(), Position("ab", 0))
        self.clock.rightNow = 1.0
        self.keep(store, 10)
        self.keep(store, 11)
        self.assertEqual(store.load(), Position("ab", 10))
        store.flush()
        store.flush()
        self.assertEqual(store.load(), Position("ab", 11))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_last_position_is_written_although_nothing_comes_after_it(self) -> None:
        store = Store(self.path, every=1.0)
        for number in range(10):
            self.keep(store, number)
        self.clock.advance(0.9)
        self.assertEqual(store.load(), Position("ab", 0))
        self.clock.advance(0.1)
        self.assertEqual(store.load(), Position("ab", 9))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_file_that_cannot_be_written_is_told_when_there_is_somebody_to_tell(self) -> None:
        store = Store(self.path / "position", every=1.0)
        self.assertRaises(OSError, self.keep, store, 1)
        self.path.mkdir()
        self.keep(store, 2)
        self.keep(store, 3)
        (self.path / "position").unlink()
        self.path.rmdir()
        self.clock.advance(1)
        self.assertRaises(OSError, store.flush)

    def test_a_file_of_something_else_is_not_taken_for_one(self) -> None:
        self.path.write_text("shopping list")
        self.assertRaises(ValueError, Store(self.path).load)


class BeginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = temporary_folder(self) / "position"

    def begin(
        self, session: bool = True, after: Position | str | None = None, replay: int | None = None
    ) -> SubscriberCore:
        core = SubscriberCore(session=session, after=after, replay=replay)
        self.assertIsNotNone(open_store(self.path, core))
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
