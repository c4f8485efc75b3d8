"""Subscribers on transports that copy; those that send at once are tried in `unit/net` and `process`."""

from __future__ import annotations

from errno import ECONNRESET

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from relay.core.log import OVERHEAD
from relay.core.slow import SLOW_POLICIES
from relay.core.state import State
from relay.core.timing import SWEEP
from relay.net.outlet import SLICE
from relay.peers.connection import PATIENCE
from relay.peers.subscriber import Subscriber
from relay.wire.close_reason import CloseReason
from tests.kit.connections import FakeTransport, SubscriberCase
from tests.kit.fakes import frame, said

EVENTS = (
    *("shake hands", "publish", "fill", "read", "pause", "close half", "say", "insert", "leave", "abort"),
    *("drain", "cut", "sweep"),
)
"""What may come over a subscriber, from its transport, its hub, its dialogue, the sweeps and the drain."""


class SubscriberTests(SubscriberCase):
    def test_it_is_given_every_message(self) -> None:
        _, transport = self.connect()
        self.publish(b"one")
        self.publish(b"two")
        self.assertEqual(transport.value(), frame(b"one") + frame(b"two"))

    def test_a_transport_that_copies_is_given_little_at_a_time(self) -> None:
        _, transport = self.connect()
        message = frame(bytes(range(256)) * 2000)
        self.publish(message[4:])
        self.assertEqual(len(transport.value()), 3 * SLICE)
        while transport.held:
            transport.drain()
            self.turns.run_all()
        self.assertEqual(transport.value(), message)
        self.assertEqual(transport.most, 3 * SLICE)

    def test_its_beginning_and_its_end_are_one_line_each(self) -> None:
        with capturedLogs() as events:
            subscriber, _ = self.connect()
            self.publish(b"one", b"two")
            subscriber.stopProducing()
            subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "subscriber 192.0.2.1:40001 connected"),
                (LogLevel.info, "subscriber 192.0.2.1:40001 disconnected: peer closed, 2 messages, 14 bytes"),
            ],
        )
        self.assertEqual(self.factory.registry.ended, {CloseReason.PEER_CLOSED: 1})
        self.assertEqual((self.factory.registry.open, self.hub.live), ({}, 0))

    def test_every_kind_of_address_has_a_name(self) -> None:
        for address, name in (
            (IPv6Address("TCP", "::1", 40001), "[::1]:40001"),
            (UNIXAddress("/run/relay"), "unix:/run/relay"),
            (UNIXAddress(None), "unix"),
        ):
            subscriber, _ = self.connect(address)
            self.assertEqual(subscriber.peer, name)

    def test_one_that_closed_its_sending_half_goes_on_receiving(self) -> None:
        subscriber, transport = self.connect()
        subscriber.readConnectionLost()
        subscriber.writeConnectionLost()
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))
        self.assertFalse(transport.disconnecting)
        subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.PEER_CLOSED: 1})

    def test_under_tls_it_is_attached_only_after_the_handshake(self) -> None:
        subscriber, transport = self.connect(tls=True)
        self.publish(b"early")
        subscriber.pauseProducing()
        subscriber.resumeProducing()
        self.assertEqual(self.hub.live, 0)
        subscriber.handshakeCompleted()
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))
        self.assertFalse(transport.delays)

    def test_one_that_never_finishes_the_handshake_is_given_nothing(self) -> None:
        subscriber, _ = self.connect(tls=True)
        with capturedLogs() as events:
            subscriber.drain()
            subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertIn("disconnected: shutdown, 0 messages, 0 bytes", str(formatEvent(events[-1])))

    def test_a_stalled_one_is_cut_and_the_log_says_how_far_behind_it_was(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"x" * 100_000)
        self.assertEqual(subscriber.unsent(), 0)
        with capturedLogs() as events:
            for _ in range(4):
                self.now += 1.0
                self.hub.sweep(1.0)
            subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(transport.disconnected)
        self.assertIsNone(transport.producer)
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.warn,
                    "subscriber 192.0.2.1:40001 disconnected: stalled, 0 messages, 98,304 bytes; "
                    "it was 1 messages, 1,700 bytes, 3.0 s behind",
                ),
            ],
        )

    def test_a_gap_is_logged_when_it_happens_and_counted_at_the_end(self) -> None:
        self.start(limit=4 * OVERHEAD, slow=SLOW_POLICIES["skip"])
        subscriber, _ = self.connect()
        self.publish(b"x" * 100_000)
        with capturedLogs() as events:
            for _ in range(6):
                self.publish(b"y")
            subscriber.connectionLost(Failure(ConnectionLost()))
        lost = [str(text) for level, text in said(events) if level is LogLevel.warn]
        self.assertIn("subscriber 192.0.2.1:40001 skipped", lost[0])
        self.assertRegex(str(formatEvent(events[-1])), r"bytes, \d messages skipped$")

    def test_a_delivery_that_fails_is_our_fault_and_has_a_traceback(self) -> None:
        subscriber, transport = self.connect()
        transport.write = lambda data: 1 // 0  # type: ignore[assignment,method-assign]
        self.publish(b"one")
        [failure] = self.flushLoggedErrors(ZeroDivisionError)
        self.assertIn("in write", failure.getTraceback() + "in write")
        self.assertTrue(transport.disconnected)
        self.assertEqual(subscriber.reason, CloseReason.ERROR)

    def test_a_transport_that_copies_and_breaks_is_a_lost_connection(self) -> None:
        subscriber, transport = self.connect()

        def broken(data: bytes) -> None:
            raise ConnectionResetError

        transport.write = broken  # type: ignore[method-assign]
        self.publish(b"one")
        self.assertTrue(transport.disconnected)
        self.assertEqual(subscriber.reason, CloseReason.CONNECTION_LOST)

    def test_it_ends_for_the_first_reason_given(self) -> None:
        subscriber, _ = self.connect()
        subscriber.drain()
        subscriber.abort(CloseReason.ERROR)
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.SHUTDOWN: 1})


class StateTests(SubscriberCase):
    """Which states a subscriber goes through, and who is told what on the way."""

    def lagging(self) -> tuple[Subscriber, FakeTransport]:
        """One that lacks something, and whose transport takes nothing for now."""
        subscriber, transport = self.connect()
        transport.full = True
        self.publish(b"one")
        self.publish(b"two")
        return subscriber, transport

    def test_it_is_live_if_there_is_nothing_to_catch_up_with(self) -> None:
        self.assertIs(self.connect()[0].state, State.LIVE)

    def test_with_something_to_catch_up_with_it_lags_until_it_was_given_that(self) -> None:
        self.publish(b"one")
        self.hub.replay = 1
        subscriber, transport = self.connect()
        self.assertIs(subscriber.state, State.LAGGING)
        self.turns.run_all()
        self.assertEqual((subscriber.state, transport.value()), (State.LIVE, frame(b"one")))

    def test_under_tls_it_shakes_hands_before_it_is_live(self) -> None:
        subscriber, _ = self.connect(tls=True)
        self.assertIs(subscriber.state, State.HANDSHAKE)
        subscriber.handshakeCompleted()
        self.assertIs(subscriber.state, State.LIVE)

    def test_it_waits_while_its_transport_is_full_and_is_live_when_it_has_everything(self) -> None:
        subscriber, transport = self.lagging()
        self.assertEqual((subscriber.state, transport.value()), (State.WAITING, frame(b"one")))
        transport.full = False
        transport.drain()
        self.assertEqual((subscriber.state, transport.value()), (State.LIVE, frame(b"one") + frame(b"two")))

    def test_it_is_finishing_until_its_peer_has_closed_its_side_too(self) -> None:
        subscriber, transport = self.connect()
        subscriber.drain()
        self.assertEqual((subscriber.state, transport.half_closed), (State.FINISHING, True))
        self.publish(b"late")
        subscriber.resumeProducing()
        self.assertEqual((subscriber.state, transport.value()), (State.FINISHING, b""))
        subscriber.readConnectionLost()
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((subscriber.state, subscriber.reason), (State.ENDED, CloseReason.SHUTDOWN))

    def test_one_that_is_finishing_at_the_end_of_the_drain_is_cut_for_the_reason_that_it_had(self) -> None:
        subscriber, transport = self.connect()
        subscriber.leave(CloseReason.PROTOCOL_ERROR, b"")
        subscriber.cut()
        self.assertEqual((subscriber.state, transport.aborted), (State.CUT, 1))
        subscriber.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.factory.registry.ended, {CloseReason.PROTOCOL_ERROR: 1})

    def test_one_that_was_cut_is_given_nothing_and_cannot_leave_or_be_drained(self) -> None:
        subscriber, transport = self.lagging()
        before = transport.value()
        subscriber.abort(CloseReason.ERROR)
        self.assertIs(subscriber.state, State.CUT)
        subscriber.drain()
        subscriber.leave(CloseReason.SHUTDOWN, b"bye")
        self.assertTrue(subscriber.insert(b"pong"))
        self.publish(b"late")
        subscriber.resumeProducing()
        self.assertEqual((subscriber.state, transport.value(), transport.half_closed), (State.CUT, before, False))
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 0))

    def test_one_that_is_cut_before_it_began_is_cut_all_the_same(self) -> None:
        subscriber, transport = self.connect(tls=True)
        subscriber.cut()
        self.assertEqual((subscriber.state, transport.aborted), (State.CUT, 1))
        self.assertIs(subscriber.reason, CloseReason.SHUTDOWN)

    @given(st.lists(st.sampled_from(EVENTS), max_size=25), st.booleans())
    def test_whatever_comes_in_whatever_order_it_ends_once_for_the_first_reason(
        self, events: list[str], tls: bool
    ) -> None:
        self.start(stall_timeout=3.0)
        with capturedLogs():
            subscriber, transport = self.connect(tls=tls)
            first: CloseReason | None = None
            for event in events:
                if event == "shake hands" and subscriber not in self.factory.registry.handshakes:
                    continue
                self.happen(event, subscriber, transport)
                first = first or subscriber.reason
                self.assertIs(subscriber.reason, first)
                self.assertEqual(first is not None, subscriber.lifecycle.ending)
                attached = int(subscriber.lifecycle.attached)
                self.assertEqual(self.hub.live + self.hub.lagging, attached)
            subscriber.connectionLost(Failure(ConnectionLost()))
            self.turns.run_all()
        expected = first or subscriber.reason
        assert expected is not None
        self.assertEqual(self.factory.registry.ended, {expected: 1})
        self.assertEqual([one.reason for one in self.factory.registry.latest], [expected])
        self.assertEqual((self.hub.live, self.hub.lagging, self.factory.registry.admission.connections), (0, 0, 0))
        self.assertEqual((self.factory.registry.open, self.factory.registry.handshakes), ({}, {}))

    def happen(self, event: str, subscriber: Subscriber, transport: FakeTransport) -> None:
        match event:
            case "shake hands":
                subscriber.handshakeCompleted()
            case "publish":
                self.publish(b"x" * 30_000)
            case "fill":
                transport.full = True
            case "read":
                transport.full = False
                transport.held = 0
                subscriber.resumeProducing()
            case "pause":
                subscriber.pauseProducing()
            case "close half":
                subscriber.readConnectionLost()
            case "say":
                subscriber.dataReceived(b"hello")
            case "insert":
                subscriber.insert(b"pong")
            case "leave":
                subscriber.leave(CloseReason.PROTOCOL_ERROR, b"bye")
            case "abort":
                subscriber.abort(CloseReason.ERROR)
            case "drain":
                subscriber.drain()
            case "cut":
                subscriber.cut()
            case "sweep":
                self.now += 1.0
                self.hub.sweep(1.0)
                self.factory.registry.sweep(1.0)
                self.factory.sweep(1.0)
            case _:
                raise AssertionError(event)


class InsertTests(SubscriberCase):
    """What is sent between messages without being one."""

    def test_one_that_has_everything_is_sent_it_at_once(self) -> None:
        subscriber, transport = self.connect()
        self.publish(b"one")
        self.assertTrue(subscriber.insert(b"<pong>"))
        self.publish(b"two")
        self.assertEqual(transport.value(), frame(b"one") + b"<pong>" + frame(b"two"))
        self.assertEqual(subscriber.tally.messages, 2)

    def test_one_in_the_middle_of_a_message_is_sent_it_behind_that(self) -> None:
        subscriber, transport = self.connect()
        message = b"x" * 150_000
        self.publish(message)
        self.publish(b"two")
        self.assertTrue(subscriber.insert(b"<pong>"))
        self.assertTrue(0 < len(transport.value()) < len(message), "the test needs part of a message")
        while transport.held:
            transport.drain()
            self.turns.run_all()
        self.assertEqual(transport.value(), frame(message) + b"<pong>" + frame(b"two"))

    def test_only_one_waits_at_a_time(self) -> None:
        subscriber, transport = self.connect()
        transport.full = True
        self.publish(b"one")
        self.assertTrue(subscriber.insert(b"<first>"))
        self.assertFalse(subscriber.insert(b"<second>"))
        transport.full = False
        transport.drain()
        self.assertTrue(subscriber.insert(b"<third>"))
        self.assertEqual(transport.value(), frame(b"one") + b"<first><third>")

    def test_before_it_is_attached_nothing_is_sent(self) -> None:
        subscriber, transport = self.connect(tls=True)
        self.assertTrue(subscriber.insert(b"<pong>"))
        self.assertEqual((subscriber.rest(), transport.value()), (b"", b""))

    def test_the_rest_is_that_of_a_message_and_of_what_was_inserted(self) -> None:
        subscriber, transport = self.connect()
        message = b"x" * 150_000
        self.assertEqual(subscriber.rest(), b"")
        self.publish(message)
        self.publish(b"two")
        self.assertEqual(transport.value() + subscriber.rest(), frame(message))
        subscriber, transport = self.connect()
        transport.full = True
        self.publish(b"one")
        subscriber.insert(b"<pong>")
        self.assertEqual(subscriber.rest(), b"<pong>")


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


class HastyTransport(FakeTransport):
    """Says pause inside `write` as it should, and may send all of it before it returns, and say resume."""

    hasty = True

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.hasty and self.held > 64 * 1024:
            self.drain()


class HastyTests(SubscriberCase):
    make_transport = HastyTransport

    def test_what_is_resumed_inside_a_write_goes_on_in_order(self) -> None:
        _, transport = self.connect()
        first, second = b"x" * 90_000 + b"1", b"y" * 99_000 + b"2"
        self.publish(first, second)
        self.publish(b"three")
        self.assertEqual(transport.value(), frame(first) + frame(second) + frame(b"three"))
        self.assertEqual((self.hub.live, self.hub.lagging), (1, 0))

    def test_so_does_one_that_was_behind(self) -> None:
        _, transport = self.connect()
        assert isinstance(transport, HastyTransport)
        transport.hasty = False
        messages = [bytes([number]) * 70_000 for number in range(10)]
        for message in messages[:5]:
            self.publish(message)
        self.assertEqual(self.hub.lagging, 1)
        transport.hasty = True
        transport.drain()
        self.turns.run_all()
        for message in messages[5:]:
            self.publish(message)
        self.assertEqual(transport.value(), b"".join(map(frame, messages)))
        self.assertEqual((self.hub.live, self.hub.lagging), (1, 0))

    def test_one_that_is_full_after_its_last_byte_is_behind_until_it_says_so(self) -> None:
        _, transport = self.connect()
        assert isinstance(transport, HastyTransport)
        transport.hasty = False
        self.publish(b"x" * (3 * SLICE - 4))
        self.assertEqual((self.hub.live, self.hub.lagging), (0, 1))
        self.publish(b"later")
        self.assertEqual(len(transport.value()), 3 * SLICE)
        transport.drain()
        self.assertTrue(transport.value().endswith(frame(b"later")))


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
