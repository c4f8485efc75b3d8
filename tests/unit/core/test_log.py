"""The log: numbers, positions, what is kept and what it costs."""

from __future__ import annotations

from array import array
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.core.log import OVERHEAD, Log
from relay.core.place import Place
from relay.wire.counted import Int32
from relay.wire.framing import Buffer
from tests.kit.fakes import frame

batches = st.lists(st.lists(st.binary(max_size=9), min_size=1, max_size=9), max_size=20)


def fill(log: Log, contents: list[list[bytes]]) -> None:
    for time, messages in enumerate(contents):
        data = b"".join(map(frame, messages))
        log.append(data, len(messages), len(data), float(time))


class LogTests(SynchronousTestCase):
    def test_one_that_begins_anew_has_nothing_and_goes_on_with_any_position(self) -> None:
        log = Log(Int32.ends)
        fill(log, [[b"one", b"two"]])
        log.begin_anew(100)
        self.assertEqual((log.first, log.next, log.held, log.taken), (100, 100, 0, 2))
        fill(log, [[b"three"]])
        self.assertEqual((log.first, log.next, log.taken), (100, 101, 3))
        log.begin_anew(5)
        self.assertEqual((log.first, log.next, log.taken), (5, 5, 3))

    def test_an_empty_log_has_no_first_message(self) -> None:
        log = Log(Int32.ends)
        self.assertEqual((log.first, log.next, log.oldest, log.end, log.held), (1, 1, 0, 0, 0))
        self.assertEqual((log.size, log.charged), (0, 0))
        self.assertEqual((log.find(1), log.position(Place(0, 0)), log.within(0)), ((0, 0), 1, 0))

    def test_a_log_may_begin_with_any_message(self) -> None:
        log = Log(Int32.ends, first=1000)
        self.assertEqual((log.first, log.next, log.find(1000)), (1000, 1000, (0, 0)))
        fill(log, [[b"a", b"b"], [b"c"]])
        self.assertEqual((log.first, log.next, log.find(1002), log.position(Place(0, 5))), (1000, 1003, (1, 0), 1001))

    @given(batches)
    def test_every_message_is_found_where_it_was_put(self, contents: list[list[bytes]]) -> None:
        log = Log(Int32.ends)
        fill(log, contents)
        position = 1
        for number, messages in enumerate(contents):
            ends = [0, *accumulate(len(frame(message)) for message in messages)]
            data = bytes(log.batch(number).data)
            for start, stop in pairwise(ends):
                self.assertEqual(log.find(position), (number, start))
                self.assertEqual(log.position(Place(number, start)), position)
                self.assertEqual(log.rest(Place(number, start)), (b"", Place(number, start)))
                for inside in range(start + 1, stop):
                    self.assertEqual(log.position(Place(number, inside)), position)
                    end = Place(number, stop) if stop < ends[-1] else Place(number + 1, 0)
                    self.assertEqual(log.rest(Place(number, inside)), (data[inside:stop], end))
                    self.assertEqual(log.advance(Place(number, inside), stop - inside), end)
                position += 1
        self.assertEqual(log.next, position)
        self.assertEqual(log.find(position), (log.end, 0))
        self.assertEqual(log.position(Place(log.end, 0)), position)
        self.assertEqual(log.size, sum(len(frame(message)) for messages in contents for message in messages))

    @given(batches, st.integers(0, 20), st.integers(0, 30), st.integers(0, 200), st.integers(1, 20))
    def test_read_gives_what_follows_and_no_more_than_asked_for(
        self, contents: list[list[bytes]], number: int, offset: int, most: int, pieces: int
    ) -> None:
        log = Log(Int32.ends)
        fill(log, contents)
        number = min(number, log.end)
        offset = min(offset, len(log.batch(number).data) - 1) if number < log.end else 0
        found, size = log.read(Place(number, offset), most, pieces)
        following = [bytes(log.batch(each).data) for each in range(number, log.end)][:pieces]
        self.assertEqual(b"".join(found), b"".join(following)[offset : offset + most])
        self.assertEqual(size, sum(map(len, found)))
        self.assertLessEqual(len(found), pieces)
        self.assertTrue(all(map(len, found)), "a piece of nothing")

    def test_whole_batches_are_read_without_a_view_of_them(self) -> None:
        log = Log(Int32.ends)
        fill(log, [[b"a"], [b"b"]])
        (first, second), _ = log.read(Place(0, 0), 10, 9)
        self.assertIs(first, log.batch(0).data)
        self.assertIs(second, log.batch(1).data)

    def test_where_messages_end_is_found_out_once_for_a_batch_and_only_where_it_matters(self) -> None:
        looks = []

        def ends(data: Buffer) -> array[int]:
            looks.append(bytes(data))
            return Int32.ends(data)

        log = Log(ends)
        fill(log, [[b"a", b"b"], [b"c", b"d"]])
        self.assertEqual((log.position(Place(1, 0)), log.rest(Place(1, 0))[0], log.find(3)), (3, b"", (1, 0)))
        self.assertEqual(looks, [])
        self.assertEqual(
            (log.position(Place(1, 3)), log.position(Place(1, 5)), log.find(4), log.rest(Place(1, 6))[1]),
            (3, 4, (1, 5), (2, 0)),
        )
        self.assertEqual(looks, [frame(b"c") + frame(b"d")])

    def test_a_batch_is_charged_its_memory_and_not_its_length(self) -> None:
        log = Log(Int32.ends)
        log.append(memoryview(b"x" * 100)[:10], 1, 100, 0.0)
        self.assertEqual(log.held, 100 + OVERHEAD)
        log.append(b"abc", 2, 3, 0.0, array("I", [1, 3]))
        self.assertEqual(log.behind(1), 3 + 2 * array("I").itemsize + OVERHEAD)

    def test_the_ends_that_came_with_a_batch_are_used(self) -> None:
        log = Log(Int32.ends)
        log.append(b"abc", 2, 3, 0.0, array("I", [1, 3]))
        self.assertEqual([log.position(Place(0, offset)) for offset in range(3)], [1, 2, 2])

    def test_it_keeps_what_fits_and_always_the_newest(self) -> None:
        log = Log(Int32.ends)
        for _ in range(3):
            log.append(b"", 1, 0, 0.0)
        self.assertEqual(log.within(3 * OVERHEAD), 0)
        log.append(b"x", 1, 1, 0.0)
        self.assertEqual(log.within(3 * OVERHEAD), 2)
        self.assertEqual(log.within(0), 3)
        log.append(b"x" * 10_000, 1, 10_000, 0.0)
        self.assertEqual(log.within(3 * OVERHEAD), 4)

    def test_dropping_keeps_numbers_and_positions(self) -> None:
        log = Log(Int32.ends)
        fill(log, [[b"a", b"b"]] * 5000)
        for keep in (1, 999, 1000, 1001, 3000, 4999, 5000):
            log.drop(keep)
            self.assertEqual((log.oldest, log.first, log.end), (keep, 2 * keep + 1, 5000))
            if keep < 5000:
                self.assertEqual(log.find(log.first), (keep, 0))
                self.assertEqual(log.find(log.next - 1), (4999, 5))
        self.assertEqual(log.held, 0)
        log.drop(7)
        self.assertEqual(log.oldest, 5000)
        fill(log, [[b"c"]])
        self.assertEqual(log.find(10_001), (5000, 0))

    def test_what_is_dropped_one_by_one_leaves_nothing_behind(self) -> None:
        """Places of batches that are gone are given back, but not each by itself, which would move all the others."""
        log = Log(Int32.ends)
        fill(log, [[b"a"]] * 3000)
        places = []
        for keep in range(1, 3001):
            log.drop(keep)
            places.append(len(log._batches))
        self.assertLess(len(set(places)), 10)
        self.assertLessEqual(places[-1], 1000)
        fill(log, [[b"a"]] * 500)
        self.assertEqual((log.end, log.oldest), (3500, 3000))

    def test_a_place_that_was_dropped_is_our_bug(self) -> None:
        log = Log(Int32.ends)
        fill(log, [[b"a"]] * 3)
        log.drop(1)
        self.assertRaises(AssertionError, log.batch, 0)

    @given(batches, st.integers(1, 5), st.integers(1, 40))
    def test_the_messages_from_any_place_between_two_are_all_that_follow(
        self, contents: list[list[bytes]], count: int, size: int
    ) -> None:
        log = Log(Int32.ends)
        fill(log, contents)
        plain = [frame(message) for messages in contents for message in messages]
        for position in range(1, log.next + 1):
            found = list(log.messages(log.find(position), count, size))
            frames = [bytes(each.data[a:b]) for each in found for a, b in pairwise(each.bounds)]
            self.assertEqual(frames, plain[position - 1 :])
            place, next_position = log.find(position), position
            for each in found:
                self.assertEqual(each.first, next_position)
                number = len(each.bounds) - 1
                self.assertTrue(1 <= number <= count)
                self.assertTrue(each.size <= size or number == 1)
                place, next_position = log.advance(place, each.size), next_position + number
                self.assertEqual((each.end, log.position(each.end)), (place, next_position))

    def test_what_is_appended_meanwhile_comes_too(self) -> None:
        log = Log(Int32.ends)
        fill(log, [[b"a"]])
        following = log.messages(Place(0, 0), 9, 99)
        self.assertEqual(next(following).first, 1)
        fill(log, [[b"b"]])
        self.assertEqual([each.first for each in following], [2])

    def test_the_newest_messages_are_found_without_looking_far_back(self) -> None:
        log = Log(Int32.ends)
        self.assertEqual(log.recent(5, 100), log.end_place)
        fill(log, [[b"a", b"b"], [b"c", b"d"], [b"e"]])  # batches of 10, 10 and 5 bytes
        self.assertEqual(log.recent(2, 100), log.find(4))
        self.assertEqual(log.recent(9, 100), log.find(1))
        self.assertEqual(log.recent(9, 15), log.find(1))  # 15 bytes are newer than the first batch
        self.assertEqual(log.recent(9, 14), log.find(3))
        self.assertEqual(log.recent(9, 0), log.find(5))
        log.drop(2)
        self.assertEqual(log.recent(9, 100), log.find(5))

    def test_a_place_knows_its_byte_and_its_time(self) -> None:
        log = Log(Int32.ends)
        fill(log, [[b"a"], [b"b"]])
        self.assertEqual((log.byte(Place(1, 3)), log.byte(log.end_place)), (8, 10))
        self.assertEqual(log.time(Place(1, 3)), 1.0)
