"""The roster: who is connected, page by page, and who was."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from relay.core.cursor import Lag, Tally
from relay.core.state import WORDS, State
from relay.observe.roster import PAGE, Row, ended, page, slowest
from relay.peers.ended_connection import REMEMBERED
from relay.wire.close_reason import CloseReason
from tests.kit.relays import FRAME, START, RelayCase


class PageTests(RelayCase):
    feeds = ("tcp", "ws")

    def pages(self, most: int) -> list[list[int]]:
        """The numbers of the connections, page by page."""
        found: list[list[int]] = []
        after: int | None = 0
        while after is not None:
            rows, after = page(self.registries, after, lambda: self.now, most)
            found.append([row.number for row in rows])
        return found

    def test_nobody_is_one_page_without_rows(self) -> None:
        self.assertEqual(page(self.registries, 0, lambda: 0.0), ([], None))

    def test_a_row_is_all_that_is_told_of_a_connection(self) -> None:
        publisher = self.publisher()
        self.time += 1.5
        self.subscriber("ws")
        self.publish(publisher, 2)
        rows, _ = page(self.registries, 0, lambda: self.now)
        peer, tally = "192.0.2.1:40001", Tally(2, 2 * FRAME, 0)
        self.assertEqual(
            rows,
            [
                Row(1, "publisher", "tcp", peer, START, State.OPEN, tally, None, "", False, None, None, ""),
                Row(2, "subscriber", "ws", peer, START + 1.5, State.LIVE, tally, None, "", False, 3, None, ""),
            ],
        )

    def test_a_row_says_who_it_is_and_what_it_does(self) -> None:
        publisher = self.publisher()
        self.time += 60
        slow, transport = self.subscriber()
        waiting, _ = self.subscriber(tls=True)
        self.publish(publisher, 1)
        transport.full = True
        self.publish(publisher, 1)
        self.publish(publisher, 1)
        self.now = 3.0
        rows, more = page(self.registries, 0, lambda: self.now)
        self.assertIsNone(more)
        self.assertEqual([row.number for row in rows], [1, 2, 3])
        self.assertEqual([row.role for row in rows], ["publisher", "subscriber", "subscriber"])
        self.assertEqual([WORDS[row.state] for row in rows], ["open", "lagging", "handshake"])
        self.assertEqual([row.since - rows[0].since for row in rows], [0, 60, 60])
        self.assertEqual([row.tally for row in rows], [Tally(3, 3 * FRAME, 0), Tally(2, 2 * FRAME, 0), Tally(0, 0, 0)])
        self.assertEqual([row.lag for row in rows], [None, Lag(1, FRAME, 3.0), None])
        self.assertEqual({row.peer for row in rows}, {"192.0.2.1:40001"})
        self.intake.pause(Lag(0, 0, 0.0))
        slow.abort(CloseReason.ERROR)
        waiting.handshakeCompleted()
        states = [WORDS[row.state] for row in page(self.registries, 0, lambda: self.now)[0]]
        self.assertEqual(states, ["blocked", "closing", "live"])

    def test_whoever_turns_the_pages_sees_each_that_stays_once(self) -> None:
        stay = [connection for _ in range(10) for connection in (self.publisher(), self.subscriber()[0])]
        go = [self.publisher() for _ in range(10)]
        rows, after = page(self.registries, 0, lambda: 0.0, most=7)
        seen = [row.number for row in rows]
        for connection in go:
            connection.connectionLost(Failure(ConnectionDone()))
        while after is not None:
            self.publisher().connectionLost(Failure(ConnectionDone()))
            rows, after = page(self.registries, after, lambda: 0.0, most=7)
            self.assertLessEqual(len(rows), 7)
            seen += [row.number for row in rows]
        self.assertEqual(seen, [connection.number for connection in stay])

    @given(st.lists(st.sampled_from(["publisher", "tcp", "ws"]), max_size=12), st.integers(1, 13))
    def test_pages_of_any_length_have_everybody_in_the_order_of_their_numbers(
        self, kinds: list[str], most: int
    ) -> None:
        self.begin()
        for kind in kinds:
            self.publisher() if kind == "publisher" else self.subscriber(kind)
        everybody = list(range(1, len(kinds) + 1))
        expected = [everybody[at : at + most] for at in range(0, len(kinds), most)]
        self.assertEqual(self.pages(most), expected or [[]], "no page is empty but the only one")

    def test_a_page_has_a_thousand_rows_if_nobody_asks_for_fewer(self) -> None:
        publishers = [self.publisher() for _ in range(PAGE + 1)]
        rows, after = page(self.registries, 0, lambda: 0.0)
        self.assertEqual((len(rows), after), (1000, publishers[999].number))

    def test_the_connections_of_other_processes_come_in_the_order_of_their_numbers(self) -> None:
        own = [self.subscriber()[0].number for _ in range(3)]
        rows, _ = page(self.registries, 0, lambda: 0.0)
        others = [replace(row, number=row.number + 2**32) for row in rows]
        found, more = page(self.registries, own[0], lambda: 0.0, 3, others)
        self.assertEqual([row.number for row in found], [*own[1:], others[0].number])
        self.assertEqual(more, others[0].number)

    def test_the_slowest_are_those_that_lag_by_the_most_bytes(self) -> None:
        publisher, numbers = self.publisher(), []
        for _ in range(3):
            one, transport = self.subscriber()
            transport.full = True
            self.publish(publisher, 1)
            numbers.append(one.number)
        self.publish(publisher, 1)
        self.assertEqual([row.number for row in slowest(self.registries, lambda: 0.0, 2)], numbers[:2])

    def test_the_page_after_one_that_is_gone_begins_with_the_next(self) -> None:
        first, second, third = (self.publisher() for _ in range(3))
        second.connectionLost(Failure(ConnectionDone()))
        rows, _ = page(self.registries, second.number, lambda: 0.0)
        self.assertEqual([row.number for row in rows], [third.number])
        self.assertEqual(page(self.registries, third.number, lambda: 0.0), ([], None))
        self.assertIn(first, self.registries[0].open)


class EndedTests(RelayCase):
    feeds = ("tcp", "ws")

    def end(self, feed: str = "") -> int:
        """Somebody comes and goes; returns the number of the connection. A subscriber of that feed, or a publisher."""
        one = self.subscriber(feed)[0] if feed else self.publisher()
        one.connectionLost(Failure(ConnectionDone()))
        return one.number

    def test_nobody_has_ended_yet(self) -> None:
        self.publisher()
        self.assertEqual(ended(self.registries), [])

    def test_those_of_all_registries_come_newest_first_and_no_more_than_are_wanted(self) -> None:
        numbers = []
        for feed in ("ws", "", "tcp", "tcp", "", "ws", ""):
            self.time += 1
            numbers.append(self.end(feed))
        self.assertEqual([one.number for one in ended(self.registries)], numbers[::-1])
        self.assertEqual([one.number for one in ended(self.registries, 3)], numbers[:-4:-1])

    def test_one_that_was_refused_is_among_them(self) -> None:
        self.limits.max_connections = 0
        self.end()
        [one] = ended(self.registries)
        self.assertEqual((one.reason, one.tally), (CloseReason.CONNECTION_LIMIT, Tally(0, 0, 0)))

    def test_the_last_that_ended_are_kept_and_no_more(self) -> None:
        for _ in range(REMEMBERED):
            self.time += 1
            self.publisher().connectionLost(Failure(ConnectionDone()))
            self.subscriber()[0].connectionLost(Failure(ConnectionLost()))
        found = ended(self.registries)
        self.assertEqual(len(found), REMEMBERED)
        self.assertEqual({one.number for one in found}, set(range(REMEMBERED + 1, 2 * REMEMBERED + 1)))
        self.assertEqual((found[0].until, found[-1].until), (self.time, self.time - REMEMBERED / 2 + 1))
        self.assertEqual(
            {(one.role, one.reason) for one in found},
            {("publisher", CloseReason.PEER_CLOSED), ("subscriber", CloseReason.CONNECTION_LOST)},
        )
