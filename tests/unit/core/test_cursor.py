"""A cursor on its own: its place, its lag and its tally, live, lagging, and in the middle of a message that is gone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Cursor, Lag, Tally
from relay.core.log import Log
from relay.wire.counted import Int32
from tests.kit.fakes import frame

ABC = frame(b"abc")  # 7 bytes


class CursorTests(SynchronousTestCase):
    """A log with a batch a second, the first at second 100: one message, then two, then three, all of 7 bytes."""

    def setUp(self) -> None:
        self.now = 100.0
        self.log = Log(Int32.ends)
        for count in (1, 2, 3):
            self.append(count)

    def append(self, count: int) -> None:
        self.log.append(ABC * count, count, 7 * count, self.now)
        self.now += 1.0

    def clock(self) -> float:
        return self.now

    def skip_with(self, cursor: Cursor) -> Lag:
        return cursor.skip(self.log, cursor.lag(self.clock))

    def test_it_stands_at_the_message_that_it_begins_with(self) -> None:
        cursor = Cursor(self.log, 3)
        self.assertEqual((cursor.place, cursor.live, cursor.at_end), ((1, 7), False, False))
        pieces, size = cursor.read(10**6, 10)
        self.assertEqual((b"".join(pieces), size, len(pieces)), (ABC * 4, 28, 2))
        self.assertEqual(cursor.tally(), Tally(0, 0, 0))

    def test_one_that_begins_with_the_next_message_has_everything(self) -> None:
        cursor = Cursor(self.log, 7)
        self.assertTrue(cursor.at_end)
        self.assertEqual(cursor.read(10**6, 10), ([], 0))
        self.assertEqual(cursor.lag(self.clock), Lag(0, 0, 0.0))

    def test_it_moves_over_what_was_taken_also_over_several_batches(self) -> None:
        cursor = Cursor(self.log, 1)
        for taken, place, whole in ((3, (0, 3), 0), (4, (1, 0), 1), (7, (1, 7), 2), (20, (2, 13), 4), (8, (3, 0), 6)):
            cursor.advance(taken)
            self.assertEqual((cursor.place, cursor.tally().messages), (place, whole))
        self.assertTrue(cursor.at_end)
        self.assertEqual(cursor.tally(), Tally(6, 42, 0))

    def test_its_lag_is_what_it_lacks_and_how_old_the_first_of_that_is(self) -> None:
        cursor = Cursor(self.log, 1)
        cursor.advance(7 + 3)
        self.assertEqual(cursor.lag(self.clock), Lag(5, 32, 2.0))  # the second batch is of second 101, and it is 103
        self.assertEqual(str(Lag(5_000, 32_000, 2.04)), "5,000 messages, 32,000 bytes, 2.0 s behind")

    def test_a_live_one_has_everything_wherever_it_stood(self) -> None:
        cursor = Cursor(self.log, 1)
        cursor.follow_end()
        self.assertTrue(cursor.at_end)
        self.assertEqual(cursor.lag(self.clock), Lag(0, 0, 0.0))
        self.assertEqual(cursor.tally(), Tally(6, 42, 0))
        self.append(1)
        self.assertEqual(cursor.tally(), Tally(7, 49, 0))

    def test_one_that_stands_somewhere_lags(self) -> None:
        cursor = Cursor(self.log, 1)
        cursor.follow_end()
        cursor.stand(2)
        self.assertEqual((cursor.live, cursor.place), (False, (2, 0)))
        self.assertEqual(cursor.tally(), Tally(3, 21, 0))

    def test_skipping_between_two_messages_leaves_no_tail(self) -> None:
        cursor = Cursor(self.log, 2)
        self.assertEqual(self.skip_with(cursor), Lag(2, 14, 2.0))
        self.assertEqual((cursor.place, bytes(cursor.tail)), ((2, 0), b""))
        pieces, size = cursor.read(10**6, 10)
        self.assertEqual(([bytes(piece) for piece in pieces], size), ([ABC * 3], 21))
        self.assertEqual(cursor.tally(), Tally(0, 0, 2))

    def test_skipping_inside_a_message_keeps_its_rest_which_is_sent_first(self) -> None:
        cursor = Cursor(self.log, 1)
        cursor.advance(7 + 3)
        self.assertEqual(self.skip_with(cursor), Lag(1, 7, 2.0))
        self.assertEqual(bytes(cursor.tail), ABC[3:])
        self.assertEqual(cursor.tally(), Tally(1, 10, 1))
        self.assertEqual(cursor.lag(self.clock), Lag(3, 4 + 21, 1.0))
        pieces, size = cursor.read(10**6, 10)
        self.assertEqual((b"".join(pieces), size), (ABC[3:] + ABC * 3, 25))
        cursor.advance(1)
        self.assertEqual(cursor.tally(), Tally(1, 11, 1))
        cursor.advance(3 + 7)
        self.assertEqual((bytes(cursor.tail), cursor.place), (b"", (2, 7)))
        self.assertEqual(cursor.tally(), Tally(3, 21, 1))

    def test_a_tail_alone_is_something_that_it_lacks(self) -> None:
        cursor = Cursor(self.log, 1)
        cursor.advance(3)
        self.skip_with(cursor)
        cursor.stand(self.log.end)
        self.assertFalse(cursor.at_end)
        self.assertEqual(cursor.lag(self.clock), Lag(0, 4, 0.0))
        cursor.advance(4)
        self.assertTrue(cursor.at_end)

    def test_what_was_skipped_adds_up(self) -> None:
        cursor = Cursor(self.log, 1)
        self.assertEqual(self.skip_with(cursor).messages, 3)
        self.append(1)
        self.append(1)
        self.assertEqual(self.skip_with(cursor), Lag(4, 28, 3.0))
        self.assertEqual(cursor.tally(), Tally(0, 0, 7))
        cursor.advance(7)
        self.assertEqual(cursor.tally(), Tally(1, 7, 7))

    def test_skipping_in_the_newest_batch_skips_nothing_but_goes_back_to_no_message(self) -> None:
        cursor = Cursor(self.log, 4)
        self.assertEqual(self.skip_with(cursor), Lag(0, 0, 1.0))
        self.assertEqual((cursor.place, cursor.tally()), ((2, 0), Tally(0, 0, 0)))

    def test_it_goes_on_in_another_log_and_what_it_was_given_adds_up(self) -> None:
        other = Log(Int32.ends, first=4)
        other.append(ABC * 2, 2, 14, self.now)
        cursor = Cursor(self.log, 1)
        cursor.advance(7 + 3)
        cursor.move(4, other)
        self.assertEqual((cursor.needs(other), cursor.needs(self.log)), (0, self.log.end))
        pieces, size = cursor.read(10**6, 10)
        self.assertEqual((b"".join(pieces), size), (ABC[3:] + ABC * 2, 18))
        cursor.advance(4 + 7 + 2)
        self.assertEqual((cursor.tally(), cursor.next()), (Tally(3, 23, 0), 6))
        cursor.move(6, self.log)
        self.assertEqual((bytes(cursor.tail), cursor.place), (ABC[2:], (2, 14)))
        cursor.advance(5 + 7)
        self.assertEqual((cursor.tally(), cursor.at_end), (Tally(5, 35, 0), True))

    def test_it_skips_from_one_log_to_the_newest_batch_of_another(self) -> None:
        other = Log(Int32.ends, first=2)
        other.append(ABC, 1, 7, self.now)
        cursor = Cursor(other, 2)
        cursor.advance(3)
        self.assertEqual(cursor.skip(self.log, Lag(5, 4 + 28, 9.0)), Lag(1, 7, 9.0))
        self.assertEqual((bytes(cursor.tail), cursor.place, cursor.tally()), (ABC[3:], (2, 0), Tally(0, 3, 1)))
