"""Snapshots of the relay: right numbers, and nothing read for them that grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Cursor, Lag, Tally
from relay.core.log import Log
from relay.core.slow import SLOW_POLICIES
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from tests.kit.fakes import frame
from tests.kit.relays import FRAME, RelayCase


class StatsTests(RelayCase):
    def test_a_relay_that_nobody_knows_has_nothing_but_its_limits(self) -> None:
        now = self.stats.snapshot()
        self.assertEqual(
            [(role.name, role.open, role.opened) for role in now.roles], [("publisher", 0, 0), ("subscriber", 0, 0)]
        )
        self.assertTrue(all(role.closed == dict.fromkeys(CloseReason, 0) for role in now.roles))
        self.assertEqual((now.published, now.delivered), (Tally(0, 0, 0), Tally(0, 0, 0)))
        self.assertEqual((now.held, now.buffer, now.oldest, now.next), (0, 2**20, 1, 1))
        self.assertEqual((now.lags, now.furthest, now.blocked), ((), Lag(0, 0, 0.0), False))
        self.assertEqual((now.reloaded, now.reloads_failed), (3, 2))
        self.assertEqual((now.started, now.most_connections), (1_000_000_000.0, 10_000))

    def test_what_was_delivered_counts_for_each_subscriber_also_when_it_is_gone(self) -> None:
        publisher = self.publisher()
        early, _ = self.subscriber()
        self.publish(publisher, 3)
        self.subscriber()
        self.publish(publisher, 2)
        early.connectionLost(Failure(ConnectionLost()))
        publisher.connectionLost(Failure(ConnectionDone()))
        now = self.stats.snapshot()
        self.assertEqual(now.published, Tally(5, 5 * FRAME, 0))
        self.assertEqual(now.delivered, Tally(7, 7 * FRAME, 0))
        self.assertEqual([(role.open, role.opened) for role in now.roles], [(0, 1), (1, 2)])
        self.assertEqual(now.roles[0].closed[CloseReason.PEER_CLOSED], 1)
        self.assertEqual(now.roles[1].closed[CloseReason.CONNECTION_LOST], 1)
        self.assertEqual((now.live, now.lagging), (1, 0))

    def test_who_lags_is_so_far_behind(self) -> None:
        publisher = self.publisher()
        slow, transport = self.subscriber()
        self.subscriber()
        transport.full = True
        self.publish(publisher, 1)
        self.now = 4.0
        self.publish(publisher, 2)
        self.now = 10.0
        now = self.stats.snapshot()
        self.assertEqual((now.live, now.lagging, now.lags), (1, 1, (6.0,)))
        self.assertEqual(now.furthest, Lag(2, 2 * FRAME, 6.0))
        self.assertEqual(now.delivered, Tally(1 + 3, 4 * FRAME, 0))
        self.assertEqual((now.oldest, now.next), (self.hub.log.first, 4))
        transport.full = False
        slow.resumeProducing()
        now = self.stats.snapshot()
        self.assertEqual((now.live, now.lagging, now.furthest), (2, 0, Lag(0, 0, 0.0)))
        self.assertEqual(now.delivered, Tally(6, 6 * FRAME, 0))

    def test_what_the_slowest_lacks_is_needed_and_the_rest_of_the_buffer_only_kept(self) -> None:
        publisher = self.publisher()
        slowest, transport = self.subscriber()
        _, other = self.subscriber()
        transport.full = True
        self.publish(publisher, 1)  # what a transport is given last it takes
        other.full = True
        self.publish(publisher, 1)
        self.publish(publisher, 1)
        both = self.stats.snapshot()
        slowest.connectionLost(Failure(ConnectionLost()))
        one = self.stats.snapshot()
        batch = both.held // 3
        self.assertEqual((both.needed, one.needed, one.held), (2 * batch, batch, 3 * batch))

    def test_what_is_skipped_is_counted_and_not_delivered(self) -> None:
        self.hub.change(SLOW_POLICIES["skip"], 0)
        publisher = self.publisher()
        slow, transport = self.subscriber()
        transport.full = True
        for _ in range(15):
            self.publish(publisher, 1000)
        transport.full = False
        while transport.held:
            transport.drain()
            self.turns.run_all()
        now = self.stats.snapshot()
        self.assertGreater(now.delivered.skipped, 0)
        self.assertEqual(now.delivered.messages + now.delivered.skipped, 15_000)
        slow.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.stats.snapshot().delivered, now.delivered)

    def test_seconds_in_which_publishers_wait_are_counted_while_they_do(self) -> None:
        self.intake.pause(Lag(0, 0, 0.0))
        self.now = 2.0
        now = self.stats.snapshot()
        self.assertEqual((now.blocked, now.blocked_by, now.blocked_seconds), (True, ("subscribers",), 2.0))
        self.intake.resume()
        self.now = 5.0
        self.intake.pause(Lag(0, 0, 0.0))
        self.now = 5.5
        self.assertEqual(self.stats.snapshot().blocked_seconds, 2.5)
        self.intake.resume()
        self.assertFalse(self.stats.snapshot().blocked)

    def test_handshakes_are_completed_or_failed(self) -> None:
        for _ in range(2):
            self.subscriber(tls=True)[0].handshakeCompleted()
        self.subscriber(tls=True)[0].connectionLost(Failure(ConnectionLost()))
        self.subscriber(tls=True)
        for _ in range(10):
            self.registries[1].sweep(1.0)
        for connection in tuple(self.registries[1].handshakes):
            connection.connectionLost(Failure(ConnectionLost()))
        role = self.stats.snapshot().roles[1]
        self.assertEqual((role.handshakes_completed, role.handshakes_failed), (2, 2))
        self.assertEqual(role.closed[CloseReason.HANDSHAKE_FAILED], 1)
        self.assertEqual(role.closed[CloseReason.HANDSHAKE_TIMEOUT], 1)

    def test_who_is_refused_was_there(self) -> None:
        self.limits.max_connections = 0
        self.publisher().connectionLost(Failure(ConnectionDone()))
        role = self.stats.snapshot().roles[0]
        self.assertEqual((role.open, role.opened, role.closed[CloseReason.CONNECTION_LIMIT]), (0, 1, 1))

    def test_turns_that_were_measured_are_told_as_they_were_then(self) -> None:
        self.measured.measure(0.25)
        self.now = 0.002
        self.turns.run()
        now = self.stats.snapshot()
        self.assertEqual((sum(now.turns), now.turn_seconds), (1, 0.002))
        self.measured.measure(0.25)
        self.turns.run()
        self.assertEqual(sum(now.turns), 1, "a snapshot does not change")

    def test_log_lines_left_out_are_counted(self) -> None:
        for _ in range(3):
            self.publisher()
        self.assertEqual(self.stats.snapshot().left_out, 2)


class FeedStatsTests(RelayCase):
    feeds = ("tcp", "ws")

    def test_subscribers_of_all_feeds_are_counted_together_and_their_connections_by_feed(self) -> None:
        publisher = self.publisher()
        self.subscriber("tcp")
        gone, _ = self.subscriber("ws")
        self.subscriber("ws")
        self.publish(publisher, 2)
        gone.connectionLost(Failure(ConnectionDone()))
        now = self.stats.snapshot()
        self.assertEqual(now.delivered, Tally(6, 6 * FRAME, 0))
        self.assertEqual((now.live, now.lagging), (2, 0))
        self.assertEqual(
            [(role.name, role.feed, role.open, role.opened) for role in now.roles],
            [("publisher", "tcp", 1, 1), ("subscriber", "tcp", 1, 1), ("subscriber", "ws", 1, 2)],
        )


class EstimateTests(SynchronousTestCase):
    """What a cursor says without a look at the messages."""

    @given(
        st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=5),
        st.integers(0, 10),
        st.lists(st.integers(1, 40), max_size=20),
    )
    def test_it_is_at_most_a_batch_off_and_never_goes_back(
        self, batches: list[list[int]], start: int, steps: list[int]
    ) -> None:
        log = Log(Int32.ends)
        for lengths in batches:
            data = b"".join(frame(bytes(length)) for length in lengths)
            log.append(data, len(lengths), len(data), 0.0)
        cursor = Cursor(log, min(1 + start, log.next))
        before = Tally(0, 0, 0)
        for step in steps:
            left = log.size - cursor._byte()
            cursor.advance(min(step, left))
            rough, exact = cursor.tally(exact=False), cursor.tally()
            self.assertEqual((rough.bytes, rough.skipped), (exact.bytes, exact.skipped))
            self.assertLess(exact.messages - rough.messages, max(map(len, batches)))
            self.assertGreaterEqual(exact.messages, rough.messages)
            self.assertGreaterEqual(rough.messages, before.messages)
            behind, really = cursor.lag(lambda: 0.0, exact=False), cursor.lag(lambda: 0.0)
            self.assertEqual(behind.bytes, really.bytes)
            self.assertGreaterEqual(behind.messages, really.messages)
            before = rough
