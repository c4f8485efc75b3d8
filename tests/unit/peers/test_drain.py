"""The drain: who is still there, and for how long."""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.core.state import State
from relay.peers.connection import Connection
from relay.peers.drain import LOOK, Drain
from relay.peers.registry import Registry
from relay.wire.close_reason import CloseReason
from tests.kit.connections import SubscriberCase
from tests.kit.fakes import accepted, frame


class FakeConnection:
    """A connection that ends, or becomes CUT, when the test says so."""

    def __init__(self, among: Registry) -> None:
        self.state = State.LIVE
        self.looks = 0
        self.cuts = 0
        self._among = among.open
        self._among[cast(Connection, self)] = None

    def drain(self) -> None:
        self.looks += 1

    def cut(self) -> None:
        self.cuts += 1
        self.state = State.CUT

    def end(self) -> None:
        del self._among[cast(Connection, self)]


class DrainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = accepted("subscriber")
        self.drain = Drain([accepted("publisher"), self.registry], 5.0, self.clock)

    def test_without_connections_it_is_done_at_once(self) -> None:
        self.successResultOf(self.drain.begin())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_looks_at_all_until_all_are_gone(self) -> None:
        quick, slow = FakeConnection(self.registry), FakeConnection(self.registry)
        done = self.drain.begin()
        self.assertEqual((quick.looks, slow.looks), (1, 1))
        quick.end()
        self.clock.pump([LOOK] * 10)
        self.assertEqual((quick.looks, slow.looks), (1, 11))
        self.assertNoResult(done)
        slow.end()
        self.clock.advance(LOOK)
        self.successResultOf(done)
        self.assertEqual((slow.cuts, self.clock.getDelayedCalls()), (0, []))

    def test_who_is_there_at_the_deadline_is_cut_once(self) -> None:
        deaf = FakeConnection(self.registry)
        done = self.drain.begin()
        self.clock.pump([0.1] * 49)
        self.assertEqual(deaf.cuts, 0)
        self.clock.pump([0.1] * 5)
        self.assertEqual(deaf.cuts, 1)
        deaf.end()
        self.clock.advance(0.1)
        self.successResultOf(done)

    def test_who_turns_up_after_the_deadline_is_cut_too(self) -> None:
        first = FakeConnection(self.registry)
        done = self.drain.begin()
        self.clock.pump([0.1] * 51)
        for _ in range(3):
            late = FakeConnection(self.registry)
            self.clock.advance(LOOK)
            self.assertEqual(late.cuts, 1)
            late.end()
        first.end()
        self.clock.advance(LOOK)
        self.successResultOf(done)

    def test_it_can_be_cut_short(self) -> None:
        connection = FakeConnection(self.registry)
        done = self.drain.begin()
        self.drain.cut()
        self.drain.cut()
        self.clock.advance(LOOK)
        self.assertEqual(connection.cuts, 1)
        connection.end()
        self.clock.advance(LOOK)
        self.successResultOf(done)


class StateTests(SubscriberCase):
    """Subscribers in every state when it begins."""

    def test_each_is_ended_as_its_state_asks_and_all_are_gone_in_time(self) -> None:
        clock = Clock()
        handshake, unfinished = self.connect(tls=True)
        aborted, gone = self.connect()
        aborted.abort(CloseReason.ERROR)
        waiting, full = self.connect()
        full.full = True
        slow, reads = self.connect()
        reads.full = True
        self.publish(b"one")
        self.publish(b"two")
        live, open_ = self.connect()
        left, told = self.connect()
        left.leave(CloseReason.PEER_CLOSED, b"bye")
        everybody = (handshake, aborted, waiting, slow, live, left)
        Drain([self.factory.registry], 5.0, clock).begin()
        states = [State.CUT, State.CUT, State.WAITING, State.WAITING, State.FINISHING, State.FINISHING]
        self.assertEqual([one.state for one in everybody], states)
        self.assertEqual([one.aborted for one in (unfinished, gone, full, reads, open_, told)], [1, 1, 0, 0, 0, 0])
        reads.full = False
        reads.drain()
        clock.advance(LOOK)
        self.assertEqual((slow.state, reads.value()), (State.FINISHING, frame(b"one") + frame(b"two")))
        clock.advance(5.0)
        self.assertEqual([one.state for one in everybody], [State.CUT] * 6)
        for one in everybody:
            one.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(
            self.factory.registry.ended, {CloseReason.SHUTDOWN: 4, CloseReason.ERROR: 1, CloseReason.PEER_CLOSED: 1}
        )
        clock.advance(LOOK)
        self.assertEqual(clock.getDelayedCalls(), [])
