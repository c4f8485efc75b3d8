"""The first bytes of a subscriber: a hello, a hello that is wrong, or something that is thrown away as ever."""

from __future__ import annotations

from twisted.logger import capturedLogs

from relay.core.start import LOOK
from relay.core.state import State
from relay.peers.dialogue import Silence
from relay.peers.listening import Listening
from relay.peers.subscriber_session import SessionDialogue
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import said as logged
from tests.kit.relays import RelayCase
from tests.kit.sessions import EPOCH, hello, make_sessions, parts, said


class ListeningTests(RelayCase):
    def test_who_says_nothing_is_listened_to_and_told_nothing(self) -> None:
        subscriber, transport = self.subscriber()
        for _ in range(100):
            subscriber.sweep()
        self.assertIsInstance(subscriber.dialogue, Listening)
        self.assertEqual(transport.value(), b"")
        self.assertFalse(subscriber.in_session)

    def test_a_hello_may_come_in_any_pieces(self) -> None:
        whole = hello("subscribe", name="map-3")
        for size in (1, 3, 4, 5, len(whole)):
            subscriber, transport = self.subscriber()
            for start in range(0, len(whole), size):
                self.assertEqual(transport.value(), b"")
                subscriber.dataReceived(whole[start : start + size])
            [welcome] = parts(transport.value())
            assert isinstance(welcome, dict)
            self.assertEqual((welcome["type"], welcome["next"]), ("welcome", f"{EPOCH}-1"))
            self.assertEqual((subscriber.name, subscriber.in_session), ("map-3", True))
            self.assertIsInstance(subscriber.dialogue, SessionDialogue)

    def test_what_is_no_control_frame_is_thrown_away_and_nobody_listens_any_more(self) -> None:
        for data in (b"GET / HTTP/1.1\r\n", b"\0\0\0\5hello", b"\x80\xff\xff\xff", b"\x80\0\x10\x01", b"\x7f"):
            subscriber, transport = self.subscriber()
            subscriber.dataReceived(data)
            subscriber.dataReceived(hello("subscribe"))
            self.assertIsInstance(subscriber.dialogue, Silence)
            self.assertEqual((transport.value(), subscriber.reason), (b"", None), data)

    def test_a_hello_that_is_wrong_is_answered_in_words_and_with_the_end(self) -> None:
        for wrong, words in (
            (said(relay=2, type="subscribe"), "version"),
            (said(type="subscribe"), "version"),
            (hello("listen"), '"subscribe"'),
            (hello("publish"), "publishers connect to tcp:8001"),
            (hello("subscribe", after="17"), "after: "),
            (hello("subscribe", after=f"{EPOCH}-1", replay=2), "give one of after, replay and since"),
            (hello("subscribe", replay=-1), "replay: "),
            (hello("subscribe", since="yesterday"), "since: "),
            (hello("subscribe", heartbeat=0.5), "heartbeat: "),
            (hello("subscribe", name="a\nb"), "name: "),
            (b"\x80\0\0\0", "JSON"),
            (b"\x80\0\0\x02[]", "JSON"),
        ):
            subscriber, transport = self.subscriber()
            subscriber.dataReceived(wrong)
            [error] = parts(transport.value())
            assert isinstance(error, dict)
            self.assertEqual(error["type"], "error")
            self.assertIn(words, error["message"])
            self.assertTrue(transport.half_closed)
            self.assertEqual((subscriber.reason, subscriber.state), (CloseReason.SESSION_ERROR, State.FINISHING))

    def test_with_another_framing_a_hello_is_answered_in_words_and_anything_else_is_not(self) -> None:
        self.sessions.carrier = None
        subscriber, transport = self.subscriber()
        subscriber.dataReceived(hello("subscribe"))
        [error] = parts(transport.value())
        assert isinstance(error, dict)
        self.assertIn("sessions need int32", error["message"])
        subscriber, transport = self.subscriber()
        subscriber.dataReceived(hello("subscribe")[:-1])
        self.assertEqual((transport.value(), subscriber.reason), (b"", None))

    def test_a_hello_that_is_begun_and_not_completed_ends_the_connection_in_time(self) -> None:
        subscriber, _ = self.subscriber()
        subscriber.dataReceived(hello("subscribe")[:-1])
        for _ in range(30):
            subscriber.sweep()
        self.assertIsNone(subscriber.reason)
        subscriber.sweep()
        self.assertEqual(subscriber.reason, CloseReason.FRAME_TIMEOUT)

    def test_without_a_limit_it_may_take_for_ever(self) -> None:
        dialogue = Listening(make_sessions(self.hub, self.turns.call_soon, frame_timeout=0), "tcp:8001")
        subscriber, _ = self.subscriber()
        dialogue.received(subscriber, b"\x80")
        for _ in range(1000):
            dialogue.sweep(subscriber)
        self.assertIsNone(subscriber.reason)

    def test_a_relay_that_waits_is_told_whose_messages_would_come_and_when_that_changes(self) -> None:
        starts, origins = self.sessions.starts, self.sessions.origins
        starts.known = False
        for via, waiting in (["abc"], True), (None, False):
            subscriber, transport = self.subscriber()
            subscriber.dataReceived(hello("subscribe", **({"via": via} if via else {})))
            self.turns.run_all()
            told = [{"type": "via", "relays": [origins.own]}] if waiting else []
            self.assertEqual(parts(transport.value()), told)
            origins.note(self, ("def",))
            self.timers.advance(LOOK)
            self.turns.run_all()
            told += [{"type": "via", "relays": [origins.own, "def"]}] if waiting else []
            self.assertEqual(parts(transport.value()), told)
            origins.forget(self)

    def test_a_relay_that_waits_in_vain_is_told_so_and_others_may_come_back(self) -> None:
        starts = self.sessions.starts
        starts.known, starts.refusal = False, "this would be a loop"
        relay, transport = self.subscriber()
        relay.dataReceived(hello("subscribe", via=["abc"]))
        self.assertEqual(parts(transport.value()), [{"type": "error", "message": "this would be a loop"}])
        self.assertIs(relay.reason, CloseReason.SESSION_ERROR)
        other, transport = self.subscriber()
        other.dataReceived(hello("subscribe"))
        self.assertEqual((transport.value(), other.reason), (b"", None))

    def test_the_log_says_where_a_session_begins(self) -> None:
        subscriber, _ = self.subscriber()
        with capturedLogs() as events:
            subscriber.dataReceived(hello("subscribe", name="map-3"))
        [(_, line)] = logged(events)
        self.assertEqual(line, "subscriber 192.0.2.1:40001 'map-3' begins a session at 1")
