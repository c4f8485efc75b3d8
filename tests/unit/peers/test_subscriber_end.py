"""How a subscriber ends: it leaves, is found gone, or is drained."""

from __future__ import annotations

from errno import ECONNRESET

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from relay.core.cursor import NO_LAG
from relay.core.state import State
from relay.core.timing import SWEEP
from relay.peers.connection import PATIENCE
from relay.wire.close_reason import CloseReason
from tests.kit.connections import SubscriberCase
from tests.kit.fakes import frame, said


class LeaveTests(SubscriberCase):
    """The end of one subscriber by a conversation: after a whole message."""

    def test_one_that_has_everything_is_told_the_farewell_and_our_half_ends(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"one")
        with capturedLogs() as events:
            subscriber.leave(CloseReason.PROTOCOL_ERROR, b"<bye>", "it sent nonsense")
            self.publish(b"two")
            subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((transport.value(), transport.half_closed), (frame(b"one") + b"<bye>", True))
        end = "subscriber 192.0.2.1:40001 disconnected: WebSocket protocol error, 1 messages, 7 bytes"
        self.assertEqual(said(events), [(LogLevel.warn, f"{end}; it sent nonsense")])

    def test_one_in_the_middle_of_a_message_is_sent_the_rest_and_no_other(self) -> None:
        subscriber, transport = self.connect()
        message = b"x" * 150_000
        self.publish(message)
        self.publish(b"two")
        subscriber.leave(CloseReason.PEER_CLOSED, b"<bye>")
        self.assertEqual(transport.value(), frame(message) + b"<bye>")
        self.assertIsNone(transport.producer)
        self.assertIs(subscriber.state, State.FINISHING)

    def test_without_a_farewell_only_our_half_ends(self) -> None:
        subscriber, transport = self.connect()
        subscriber.leave(CloseReason.PEER_CLOSED, b"")
        self.assertEqual((transport.value(), transport.half_closed), (b"", True))

    def test_one_whose_peer_has_closed_its_half_is_closed(self) -> None:
        subscriber, transport = self.connect()
        subscriber.readConnectionLost()
        subscriber.leave(CloseReason.PEER_CLOSED, b"<bye>")
        self.assertEqual((transport.value(), transport.disconnecting), (b"<bye>", True))

    def test_nobody_leaves_twice_or_before_it_came(self) -> None:
        subscriber, transport = self.connect()
        subscriber.leave(CloseReason.PEER_CLOSED, b"<bye>")
        subscriber.leave(CloseReason.PROTOCOL_ERROR, b"<again>")
        self.assertEqual((transport.value(), subscriber.reason), (b"<bye>", CloseReason.PEER_CLOSED))
        early, transport = self.connect(tls=True)
        early.leave(CloseReason.PEER_CLOSED, b"<bye>")
        self.assertEqual((early.state, early.reason, transport.value()), (State.HANDSHAKE, None, b""))

    def test_a_peer_that_does_not_take_its_end_is_cut_after_some_seconds(self) -> None:
        subscriber, transport = self.connect()
        subscriber.leave(CloseReason.PROTOCOL_ERROR, b"<bye>")
        for _ in range(PATIENCE - 1):
            self.factory.sweep(1.0)
        self.assertEqual((subscriber.state, transport.aborted), (State.FINISHING, 0))
        for _ in range(10):  # before the transport says that it is gone
            self.factory.sweep(1.0)
        self.assertEqual((subscriber.state, transport.aborted), (State.CUT, 1))
        subscriber.cut()  # the drain
        subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.PROTOCOL_ERROR: 1})

    def test_patience_is_for_those_who_were_told_and_for_no_others(self) -> None:
        subscriber, transport = self.connect()
        subscriber.drain()  # which has a time of its own
        live, other = self.connect()
        for _ in range(3 * PATIENCE):
            self.factory.sweep(1.0)
        self.assertEqual((transport.aborted, other.aborted), (0, 0))
        self.assertEqual((subscriber.state, live.state), (State.FINISHING, State.LIVE))


class SweepTests(SubscriberCase):
    def test_a_peer_that_closed_its_half_and_is_gone_is_noticed(self) -> None:
        """The reactor does not watch such a connection any more: the kernel is asked whether it has given it up."""
        subscriber, transport = self.connect()
        self.factory.sweep(1.0)
        self.assertEqual(transport.socket.asked, 0, "one that is watched is not asked for")
        subscriber.readConnectionLost()
        self.factory.sweep(1.0)
        self.assertIs(subscriber.state, State.LIVE)
        transport.socket.error = ECONNRESET
        self.factory.sweep(1.0)
        self.assertEqual((subscriber.state, subscriber.reason), (State.CUT, CloseReason.CONNECTION_LOST))
        self.assertEqual(transport.aborted, 1)

    def test_it_is_swept_every_second(self) -> None:
        asked: list[tuple[float, object]] = []
        self.factory.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(SWEEP, self.factory.sweep)])


class DrainTests(SubscriberCase):
    """What a subscriber does when the relay stops."""

    def test_one_that_has_everything_is_told_so_by_the_end_of_the_stream(self) -> None:
        subscriber, transport = self.connect()
        subscriber.drain()
        self.assertTrue(transport.half_closed)
        self.assertFalse(transport.disconnecting, "what it sends still has to be read")
        subscriber.dataReceived(b"anything")
        subscriber.readConnectionLost()
        self.assertTrue(transport.disconnecting)

    def test_one_that_closed_its_half_before_is_closed(self) -> None:
        subscriber, transport = self.connect()
        subscriber.readConnectionLost()
        self.assertFalse(transport.disconnecting)
        subscriber.drain()
        self.assertTrue(transport.disconnecting)

    def test_tls_has_no_halves(self) -> None:
        subscriber, transport = self.connect(tls=True)
        subscriber.handshakeCompleted()
        subscriber.drain()
        self.assertTrue(transport.disconnecting)

    def test_one_that_lags_is_given_the_rest_first(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"x" * 150_000)
        subscriber.drain()
        subscriber.drain()
        self.assertIs(subscriber.state, State.WAITING)
        transport.drain()
        self.turns.run_all()
        subscriber.drain()
        self.assertTrue(transport.half_closed)
        self.assertEqual(transport.value(), frame(b"x" * 150_000))

    def test_one_that_lags_for_too_long_is_cut_and_the_log_says_how_far_behind_it_was(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"x" * 150_000)
        with capturedLogs() as events:
            subscriber.drain()
            subscriber.cut()
            self.assertTrue(transport.disconnected)
            subscriber.connectionLost(Failure(ConnectionLost()))
        [(level, text)] = said(events)
        self.assertIs(level, LogLevel.warn)
        self.assertRegex(str(text), "disconnected: shutdown, .*; it was 1 messages, [0-9,]+ bytes, 0.0 s behind$")

    def test_one_that_does_not_lag_is_not_said_to_be_behind(self) -> None:
        subscriber, _ = self.connect()
        with capturedLogs() as events:
            subscriber.end(CloseReason.UPSTREAM_GAP, NO_LAG)
            subscriber.connectionLost(Failure(ConnectionLost()))
        [(level, text)] = said(events)
        self.assertIs(level, LogLevel.info)
        self.assertTrue(str(text).endswith("disconnected: upstream gap, 0 messages, 0 bytes"), text)

    def test_a_transport_that_copies_may_hold_something_for_ever(self) -> None:
        subscriber, transport = self.connect()
        subscriber.drain()
        subscriber.cut()
        self.assertTrue(transport.disconnected)

    def test_one_that_never_finishes_the_handshake_is_cut(self) -> None:
        subscriber, transport = self.connect(tls=True)
        subscriber.drain()
        self.assertTrue(transport.disconnected)
        subscriber.handshakeCompleted()
        self.publish(b"late")
        self.assertEqual(transport.value(), b"")
