"""A publisher's session: its welcome, its acks, its name, and its end."""

from __future__ import annotations

from typing import Any

from relay.core.cursor import Lag
from relay.core.state import State
from relay.peers.publisher import Publisher, PublisherFactory
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from tests.kit.connections import FakeTransport, PublisherCase
from tests.kit.fakes import accepted, frame
from tests.kit.sessions import EPOCH, Timers, hello, make_sessions, parts


class SessionCase(PublisherCase):
    def setUp(self) -> None:
        super().setUp()
        self.timers = Timers()
        self.sessions = make_sessions(self.hub, self.turns.call_soon, lambda: self.now, self.timers)
        self.factory = PublisherFactory(accepted("publisher"), self.hub, self.intake, lambda: Int32(40), self.sessions)

    def session(self, **values: object) -> tuple[Publisher, FakeTransport]:
        publisher, transport = self.connect()
        publisher.dataReceived(hello("publish", **values))
        return publisher, transport

    def told(self, transport: FakeTransport) -> list[dict[str, Any]]:  # Any: what JSON has
        """What it was told, all of it; the transport has nothing of it any more."""
        found = [part for part in parts(transport.value()) if isinstance(part, dict)]
        transport.clear()
        return found

    def accepted(self, transport: FakeTransport) -> list[int]:
        """What it was told is accepted, in order."""
        return [one["accepted"] for one in self.told(transport) if "accepted" in one]


class WelcomeTests(SessionCase):
    def test_it_has_all_that_the_protocol_says(self) -> None:
        _, transport = self.session(name="sensor-7")
        [welcome] = self.told(transport)
        self.assertTrue(welcome.pop("server").startswith("relay "))
        self.assertEqual(
            welcome,
            {
                "type": "welcome",
                "accepted": 0,
                "known": False,
                "ack": "relayed",
                "epoch": EPOCH,
                "max_message": 99_999,
            },
        )

    def test_messages_may_follow_it_in_the_same_read(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(hello("publish") + frame(b"one") + frame(b"two")[:3])
        publisher.dataReceived(frame(b"two")[3:])
        self.turns.run_all()
        self.assertEqual((self.accepted(transport)[-1], self.log.next), (2, 3))

    def test_who_begins_with_a_message_has_no_session_and_is_told_nothing(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one"))
        self.turns.run_all()
        self.assertEqual((transport.value(), publisher.in_session, self.log.next), (b"", False, 2))

    def test_a_message_may_be_cut_after_its_first_byte(self) -> None:
        publisher, _ = self.connect()
        for byte in frame(b"one"):
            publisher.dataReceived(bytes([byte]))
        self.turns.run_all()
        self.assertEqual(self.log.next, 2)

    def test_a_second_hello_is_a_message_that_is_too_long(self) -> None:
        publisher, _ = self.session()
        publisher.dataReceived(hello("publish"))
        self.assertEqual(publisher.reason, CloseReason.MESSAGE_TOO_LONG)

    def test_a_hello_that_is_wrong_is_answered_in_words(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(hello("subscribe") + frame(b"one"))
        [error] = self.told(transport)
        self.assertEqual(error["message"], "this port is for publishers: subscribers connect to tcp:8002")
        self.assertEqual((publisher.reason, publisher.state), (CloseReason.SESSION_ERROR, State.FINISHING))
        publisher.dataReceived(frame(b"two"))
        self.turns.run_all()
        self.assertEqual(self.log.next, 1)

    def test_a_hello_that_is_not_completed_ends_the_connection_in_time(self) -> None:
        publisher, _ = self.connect()
        publisher.dataReceived(hello("publish")[:-1])
        for _ in range(2):
            publisher.sweep(5.0, 10.0)
        self.assertIsNone(publisher.reason)
        publisher.sweep(5.0, 10.0)
        self.assertEqual(publisher.reason, CloseReason.FRAME_TIMEOUT)

    def test_with_another_framing_a_hello_is_answered_in_words_and_anything_else_is_not(self) -> None:
        self.sessions.carrier = None
        publisher, transport = self.session()
        self.assertIn("error", [one["type"] for one in self.told(transport)])
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one"))
        self.assertEqual((transport.value(), publisher.reason), (b"", None))


class AckTests(SessionCase):
    def test_what_is_in_the_log_is_acknowledged(self) -> None:
        publisher, transport = self.session()
        self.told(transport)
        publisher.dataReceived(frame(b"one") * 3)
        self.assertEqual(publisher.unacknowledged, 3)
        self.turns.run_all()
        self.assertEqual(self.accepted(transport), [3])
        self.assertEqual((publisher.unacknowledged, self.sessions.acks_sent), (0, 1))

    def test_one_that_does_not_read_is_sent_no_more_until_it_does(self) -> None:
        publisher, transport = self.session()
        self.told(transport)
        transport.full = True
        for _ in range(100):
            publisher.dataReceived(frame(b"one"))
            self.turns.run_all()
        self.assertEqual(self.accepted(transport), [1])
        transport.full = False
        transport.drain()
        self.assertEqual(self.accepted(transport), [100])

    def test_a_heartbeat_is_an_ack_too_and_comes_though_nobody_reads_from_the_publisher(self) -> None:
        publisher, transport = self.session(heartbeat=5)
        self.told(transport)
        self.intake.pause(Lag(1, 1, 1.0))
        publisher.dataReceived(frame(b"one"))
        self.timers.advance(10)
        self.assertEqual(
            self.told(transport), [{"type": "heartbeat", "accepted": 1}, {"type": "heartbeat", "accepted": 1}]
        )
        self.turns.run_all()
        self.assertEqual(self.accepted(transport), [], "it knows")


class NameTests(SessionCase):
    def test_who_comes_back_goes_on_where_it_was(self) -> None:
        publisher, _ = self.session(name="a")
        publisher.dataReceived(frame(b"one") * 3 + frame(b"two")[:-1])
        publisher.connectionLost()
        _, transport = self.session(name="a")
        [welcome] = self.told(transport)
        self.assertEqual((welcome["accepted"], welcome["known"]), (3, True))

    def test_without_a_name_each_connection_counts_for_itself(self) -> None:
        publisher, _ = self.session()
        publisher.dataReceived(frame(b"one"))
        publisher.connectionLost()
        _, transport = self.session()
        [welcome] = self.told(transport)
        self.assertEqual((welcome["accepted"], welcome["known"]), (0, False))
        self.assertEqual(len(self.sessions.names), 0)

    def test_the_newest_has_the_name_and_the_older_ends(self) -> None:
        older, first = self.session(name="a", heartbeat=1)
        older.dataReceived(frame(b"one") * 2)
        self.told(first)
        newer, second = self.session(name="a")
        self.assertEqual(
            self.told(first),
            [{"type": "ack", "accepted": 2}, {"type": "bye", "reason": "replaced", "accepted": 2}],
        )
        self.assertEqual(self.accepted(second), [2])
        older.dataReceived(frame(b"late"))
        newer.dataReceived(frame(b"three"))
        self.turns.run_all()
        self.assertEqual((self.accepted(second), self.log.next), ([3], 4))
        self.timers.advance(10)
        self.assertEqual(self.told(first), [])
        older.connectionLost()
        self.assertIn(("", "a"), self.sessions.names)
        newer.connectionLost()
        _, third = self.session(name="a")
        self.assertEqual(self.accepted(third), [3])

    def test_it_is_what_the_log_calls_it(self) -> None:
        publisher, _ = self.session(name="a")
        self.assertEqual((publisher.who, publisher.name), ("192.0.2.1:40001 'a'", "a"))


class EndTests(SessionCase):
    def test_a_message_too_long_is_told_after_the_last_ack(self) -> None:
        publisher, transport = self.session()
        self.told(transport)
        publisher.dataReceived(frame(b"one") + frame(bytes(41)))
        ack, error = self.told(transport)
        self.assertEqual(ack, {"type": "ack", "accepted": 1})
        self.assertEqual(error, {"type": "error", "message": "a message of 41 bytes, more than the limit of 40 bytes"})
        self.assertEqual((publisher.reason, transport.half_closed), (CloseReason.MESSAGE_TOO_LONG, True))
        self.assertEqual(self.log.next, 2, "what was acknowledged is in the log")

    def test_at_a_shutdown_it_is_told_what_was_accepted(self) -> None:
        publisher, transport = self.session(heartbeat=1)
        self.told(transport)
        publisher.dataReceived(frame(b"one"))
        publisher.drain()
        publisher.drain()
        self.assertEqual(
            self.told(transport),
            [
                {"type": "ack", "accepted": 1},
                {"type": "bye", "reason": "shutdown", "accepted": 1, "retry": 1.0},
            ],
        )
        publisher.dataReceived(frame(b"late"))
        self.timers.advance(5)
        self.turns.run_all()
        self.assertEqual((self.told(transport), self.log.next), ([], 2))

    def test_who_closes_its_sending_half_is_told_the_rest_before_the_end(self) -> None:
        publisher, transport = self.session()
        self.told(transport)
        publisher.dataReceived(frame(b"one") * 7)
        publisher.readConnectionLost()
        self.assertEqual(self.told(transport), [{"type": "ack", "accepted": 7}])
        self.assertTrue(transport.disconnecting)
        self.assertEqual(publisher.reason, CloseReason.PEER_CLOSED)

    def test_one_that_does_not_take_its_end_is_cut(self) -> None:
        publisher, transport = self.session()
        publisher.drain()
        for _ in range(4):
            publisher.sweep(1.0, 30.0)
        self.assertEqual(transport.aborted, 0)
        publisher.sweep(1.0, 30.0)
        self.assertEqual((transport.aborted, publisher.state), (1, State.CUT))

    def test_sessions_are_counted_while_they_last(self) -> None:
        publisher, _ = self.session()
        self.assertEqual(self.sessions.open, {("publisher", "tcp"): 1})
        publisher.connectionLost()
        self.assertEqual(self.sessions.open["publisher", "tcp"], 0)


class LoopTests(SessionCase):
    def test_a_relay_says_whose_messages_it_sends_as_long_as_it_is_there(self) -> None:
        origins = self.sessions.origins
        publisher, _ = self.session(via=["aaa", "bbb"])
        self.assertEqual(origins.all, (origins.own, "aaa", "bbb"))
        publisher.connectionLost()
        self.assertEqual(origins.all, (origins.own,))

    def test_one_that_sends_our_own_is_told_that_this_would_be_a_loop(self) -> None:
        _, transport = self.session(via=["aaa", self.sessions.origins.own])
        [error] = self.told(transport)
        self.assertEqual(error["type"], "error")
        self.assertIn("this would be a loop", error["message"])
        self.assertEqual(self.log.next, 1)
