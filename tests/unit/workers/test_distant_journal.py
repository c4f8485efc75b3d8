"""The journal as a worker reads it: chunks come from the relay, are shared by those who are near, and are limited."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Chunk, Gone
from relay.workers.distant_journal import CHUNK, DistantReader
from relay.workers.messages import Borrow, Find, Found, Kept, Lent, Message

E = "0123456789ab"
"""The epoch in force."""


def chunk(first: int, following: int) -> Chunk:
    """A chunk of full size."""
    return Chunk(first, following, bytes(CHUNK), None, [(0, first)])


class DistantReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.epoch = E
        self.told: list[Message] = []
        self.lent: list[int] = []
        self.results: list[Chunk | Exception] = []
        self.reader = DistantReader(
            self.told.append, lambda: 1000.0, lambda: 101, lambda: self.epoch, 2 * CHUNK, self.lent.append
        )
        self.reader.kept = Kept(oldest=1, begin=5, limit=10**9, size=10_000, oldest_time=900.0)

    def borrow(self, position: int) -> None:
        self.reader.borrow(position, self.results.append)

    def test_a_chunk_is_asked_for_once_and_shared_by_those_who_are_near(self) -> None:
        self.borrow(7)
        self.borrow(7)
        self.assertEqual(self.told, [Borrow(7, E)])
        found = chunk(5, 10)
        self.reader.lent(Lent(7, E, found))
        self.borrow(9)
        self.assertEqual((self.results, self.told, self.lent), ([found] * 3, [Borrow(7, E)], [CHUNK]))

    def test_its_memory_is_free_when_the_last_has_given_it_back(self) -> None:
        self.borrow(7)
        self.borrow(7)
        self.reader.lent(Lent(7, E, chunk(5, 10)))
        for left in (CHUNK, 0):
            self.reader.give_back(chunk(5, 10))
            self.assertEqual(self.lent[-1], left)
        self.borrow(7)
        self.assertEqual(self.told, [Borrow(7, E), Borrow(7, E)])

    def test_two_who_are_in_one_chunk_and_asked_for_different_messages_share_it_too(self) -> None:
        self.borrow(7)
        self.borrow(8)
        self.reader.lent(Lent(7, E, chunk(5, 10)))
        self.reader.lent(Lent(8, E, chunk(5, 10)))
        self.assertEqual((len(self.results), self.lent), (2, [CHUNK]))
        self.assertIs(self.results[0], self.results[1])

    def test_who_asks_when_there_is_no_memory_waits_until_something_is_given_back(self) -> None:
        for first in (1, 11, 21):
            self.borrow(first)
        self.assertEqual(self.told, [Borrow(1, E), Borrow(11, E)])
        self.reader.lent(Lent(1, E, chunk(1, 11)))
        self.assertEqual(len(self.told), 2)
        self.reader.give_back(chunk(1, 11))
        self.assertEqual(self.told[2:], [Borrow(21, E)])

    def test_one_chunk_that_is_larger_than_the_memory_comes_alone(self) -> None:
        self.borrow(1)
        large = Chunk(1, 2, bytes(5 * CHUNK), None, [(0, 1)])
        self.reader.lent(Lent(1, E, large))
        self.borrow(2)
        self.assertEqual(self.told, [Borrow(1, E)])
        self.reader.give_back(large)
        self.assertEqual(self.told, [Borrow(1, E), Borrow(2, E)])

    def test_what_cannot_be_had_is_told(self) -> None:
        self.borrow(1)
        self.reader.lent(Lent(1, E, None, gone=True, error="older than the journal"))
        self.borrow(2)
        self.reader.lent(Lent(2, E, None, error="input/output error"))
        self.assertEqual([type(one) for one in self.results], [Gone, OSError])
        self.assertEqual(str(self.results[1]), "input/output error")

    def test_of_an_epoch_that_is_over_nothing_is_given_to_who_asks_in_the_next(self) -> None:
        self.borrow(7)
        self.epoch = "5289cfdd2847"
        found: list[Chunk | Exception] = []
        self.reader.borrow(7, found.append)
        self.assertEqual(self.told, [Borrow(7, E), Borrow(7, self.epoch)])
        self.reader.lent(Lent(7, E, chunk(5, 10)))
        self.assertEqual((len(self.results), found), (1, []))

    def test_what_there_is_is_what_the_relay_has_told(self) -> None:
        reader = self.reader
        self.assertEqual((reader.oldest, reader.begin, reader.limit), (1, 5, 10**9))
        self.assertEqual((reader.behind(51), reader.age(51)), (5000, 50.0))
        self.assertEqual((reader.behind(101), reader.age(101)), (0, 0.0))

    def test_the_first_message_since_a_time_is_looked_for_by_the_relay(self) -> None:
        found: list[int | Exception] = []
        self.reader.find(5.0, found.append)
        self.reader.find(6.0, found.append)
        self.assertEqual(self.told, [Find(0, 5.0), Find(1, 6.0)])
        self.reader.found(Found(1, 17))
        self.reader.found(Found(0, None, "input/output error"))
        self.assertEqual((found[0], str(found[1])), (17, "input/output error"))
