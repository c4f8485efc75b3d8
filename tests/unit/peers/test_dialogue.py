"""Silence: a subscriber over TCP is told nothing but messages, whatever it says."""

from __future__ import annotations

from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from relay.peers.dialogue import Silence
from relay.wire.close_reason import CloseReason
from tests.kit.connections import SubscriberCase
from tests.kit.fakes import frame, said


class SilenceTests(SubscriberCase):
    def test_nothing_comes_before_the_messages_or_after_them(self) -> None:
        silence = Silence("tcp:8001")
        self.assertEqual((silence.greeting(1), silence.greeting(2**40)), (b"", b""))
        self.assertEqual([silence.farewell(reason) for reason in CloseReason], [b""] * len(CloseReason))

    def test_of_a_whole_life_nothing_is_on_the_wire_but_the_messages(self) -> None:
        subscriber, transport = self.connect()
        subscriber.dataReceived(b"hello?")
        self.publish(b"one")
        subscriber.sweep()
        self.publish(b"two")
        subscriber.drain()
        subscriber.connectionLost(Failure(Exception()))
        self.assertEqual(transport.value(), frame(b"one") + frame(b"two"))

    def test_who_is_cut_is_told_nothing(self) -> None:
        subscriber, transport = self.connect()
        transport.full = True
        self.publish(b"one")
        subscriber.cut()
        self.assertEqual((transport.value(), transport.aborted), (frame(b"one"), 1))

    def test_what_a_peer_sends_is_thrown_away_with_one_line_however_often_it_sends(self) -> None:
        subscriber, transport = self.connect()
        with capturedLogs() as events:
            for data in (b"garbage", b"GET / HTTP/1.1\r\n", b"more"):
                subscriber.dataReceived(data)
        line = "subscriber 192.0.2.1:40001 sends data, which is thrown away: publishers belong on tcp:8001"
        self.assertEqual(said(events), [(LogLevel.info, line)])
        self.publish(b"one")
        self.assertEqual(transport.value(), frame(b"one"))

    def test_that_line_says_what_the_data_looks_like(self) -> None:
        for start, looks in (
            (b"GET / HTTP/1.1\r\n", "an HTTP request"),
            (b"\x16\x03\x01\x02\x00\x01", "a TLS handshake"),
        ):
            subscriber, _ = self.connect()
            with capturedLogs() as events:
                subscriber.dataReceived(start)
            [(_, text)] = said(events)
            self.assertIn(f"sends data that looks like {looks}, which is thrown away", str(text))

    def test_each_subscriber_has_a_line_of_its_own(self) -> None:
        with capturedLogs() as events:
            for _ in range(2):
                self.connect()[0].dataReceived(b"garbage")
        self.assertEqual(sum("thrown away" in str(text) for _, text in said(events)), 2)
