"""Snapshots of the relay, and lists of its connections: right numbers, and nothing read or kept that grows."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from relay.core.budget import Budget
from relay.core.cursor import Cursor, Lag, Tally
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.slow import SLOW_POLICIES
from relay.core.state import WORDS
from relay.observe.roster import ended, page
from relay.observe.stats import Stats
from relay.observe.turns import Turns as Measured
from relay.peers.admission import Admission
from relay.peers.ended_connection import REMEMBERED
from relay.peers.intake import Intake
from relay.peers.publisher import Publisher, PublisherFactory
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.subscriber import Subscriber, SubscriberFactory
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Int32
from tests.kit.fakes import Turns, frame

PEER = IPv4Address("TCP", "192.0.2.1", 40001)
FRAME = len(frame(b"x" * 96))


class Transport(StringTransport):
    """Says pause when the test wants that."""

    full = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.full and self.producer is not None:
            self.producer.pauseProducing()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def getPeerCertificate(self) -> None:
        pass


class StatsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.time = 1_000_000_000.0
        self.turns = Turns()
        self.limits = Admission(10_000)
        self.lines = RateLimitedLog(most=1)
        self.intake = Intake(lambda: self.now)
        self.hub = Hub(
            Log(Int32.ends), Budget(2**20), self.intake, call_soon=self.turns.call_soon, clock=lambda: self.now
        )
        self.registry = [
            Registry(role, self.limits, self.lines, lambda: self.time) for role in ("publisher", "subscriber")
        ]
        publishing, subscribing = self.registry
        self.publishers = PublisherFactory(publishing, self.hub, self.intake, partial(Int32, 2**17))
        self.subscribers = SubscriberFactory(subscribing, self.hub, "")
        self.reloads = {True: 3, False: 2}
        self.measured = Measured(self.turns.call_soon, lambda: self.now)
        self.stats = Stats(
            self.hub,
            self.intake,
            publishing,
            [subscribing],
            self.lines,
            self.reloads,
            lambda: self.now,
            self.measured,
        )

    def publisher(self) -> Publisher:
        publisher = self.publishers.buildProtocol(PEER)
        publisher.makeConnection(StringTransport(peerAddress=PEER))
        return publisher

    def subscriber(self, tls: bool = False) -> tuple[Subscriber, Transport]:
        subscriber, transport = self.subscribers.buildProtocol(PEER), Transport(peerAddress=PEER)
        if tls:
            alsoProvides(transport, ISSLTransport)
        subscriber.makeConnection(transport)
        return subscriber, transport

    def publish(self, publisher: Publisher, messages: int) -> None:
        publisher.dataReceived(frame(b"x" * 96) * messages)
        self.turns.run_all()

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

    def test_what_is_skipped_is_counted_and_not_delivered(self) -> None:
        self.hub.change(SLOW_POLICIES["skip"], 0)
        publisher = self.publisher()
        slow, transport = self.subscriber()
        transport.full = True
        for _ in range(15):
            self.publish(publisher, 1000)
        transport.full = False
        slow.resumeProducing()
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
        self.assertEqual((now.blocked, now.blocked_seconds), (True, 2.0))
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
            self.registry[1].sweep(1.0)
        for connection in tuple(self.registry[1].handshakes):
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
        [one] = ended(self.registry)
        self.assertEqual((one.reason, one.tally), (CloseReason.CONNECTION_LIMIT, Tally(0, 0, 0)))

    def test_log_lines_left_out_are_counted(self) -> None:
        for _ in range(3):
            self.publisher()
        self.assertEqual(self.stats.snapshot().left_out, 2)

    # Lists

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
        rows, more = page(self.registry, 0, lambda: self.now)
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
        states = [WORDS[row.state] for row in page(self.registry, 0, lambda: self.now)[0]]
        self.assertEqual(states, ["blocked", "closing", "live"])

    def test_whoever_turns_the_pages_sees_each_that_stays_once(self) -> None:
        stay = [connection for _ in range(10) for connection in (self.publisher(), self.subscriber()[0])]
        go = [self.publisher() for _ in range(10)]
        rows, after = page(self.registry, 0, lambda: 0.0, most=7)
        seen = [row.number for row in rows]
        for connection in go:
            connection.connectionLost(Failure(ConnectionDone()))
        while after is not None:
            self.publisher().connectionLost(Failure(ConnectionDone()))
            rows, after = page(self.registry, after, lambda: 0.0, most=7)
            self.assertLessEqual(len(rows), 7)
            seen += [row.number for row in rows]
        self.assertEqual(seen, [connection.number for connection in stay])

    def test_the_last_that_ended_are_kept_and_no_more(self) -> None:
        for _ in range(REMEMBERED):
            self.time += 1
            self.publisher().connectionLost(Failure(ConnectionDone()))
            self.subscriber()[0].connectionLost(Failure(ConnectionLost()))
        found = ended(self.registry)
        self.assertEqual(len(found), REMEMBERED)
        self.assertEqual({one.number for one in found}, set(range(REMEMBERED + 1, 2 * REMEMBERED + 1)))
        self.assertEqual((found[0].until, found[-1].until), (self.time, self.time - REMEMBERED / 2 + 1))
        self.assertEqual(
            {(one.role, one.reason) for one in found},
            {("publisher", CloseReason.PEER_CLOSED), ("subscriber", CloseReason.CONNECTION_LOST)},
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
