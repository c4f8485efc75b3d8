"""What both cores do with a connection: hello, welcome, time limits, and the ways in which it ends."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.connection import GRACE, MISSED
from relay.client.errors import ConnectionFault, NoSessions, NotARelay, Refused, Replaced, WrongPort
from relay.client.publisher import PublisherCore
from relay.client.subscriber import SubscriberCore
from relay.wire.answer import Answer, Bye, Error, Heartbeat, PublisherWelcome, SubscriberWelcome
from relay.wire.control import frame as control
from relay.wire.position import Position
from tests.kit.fakes import frame

WELCOME = SubscriberWelcome(Position("ab", 1), 1, 0, 100, "relay 0.2.0")


def said(answer: Answer) -> bytes:
    return control(answer.write())


class CoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.core = SubscriberCore(heartbeat=10)

    def connect(self, *answers: Answer) -> None:
        self.core.connected(0.0)
        for answer in answers:
            self.core.receive(said(answer), 0.0)

    def test_a_relay_that_was_silent_for_some_heartbeats_is_dead(self) -> None:
        self.connect(WELCOME)
        self.assertEqual(self.core.deadline, MISSED * 10)
        self.core.receive(said(Heartbeat(next=WELCOME.next)), 25.0)
        self.core.check(30.0)
        self.assertIsNone(self.core.fault)
        self.core.check(25.0 + MISSED * 10)
        self.assertIsInstance(self.core.fault, ConnectionFault)

    def test_without_a_session_an_end_within_a_message_is_told(self) -> None:
        for data, words in ((b"\0\0\0\2h", "over, within a message: 5 bytes of it had come"), (frame(b"hi"), "over")):
            core = SubscriberCore(session=False)
            core.connected(0.0)
            core.receive(data, 0.0)
            core.closed("over")
            self.assertEqual(str(core.fault), words)

    def test_a_server_that_sends_messages_and_no_welcome_has_no_sessions(self) -> None:
        self.connect()
        self.core.receive(frame(b"one"), 1.0)
        self.core.check(4.9)
        self.assertIsNone(self.core.fault)
        self.core.check(5.0)
        self.assertIsInstance(self.core.fault, NoSessions)

    def test_one_that_says_nothing_is_tried_again_a_few_times(self) -> None:
        found = []
        for _ in range(SubscriberCore.silences + 1):
            self.connect()
            self.core.check(5.0)
            found.append(type(self.core.fault))
        self.assertEqual(found, [ConnectionFault] * SubscriberCore.silences + [NoSessions])

    def test_one_that_ends_every_connection_is_tried_more_often_because_one_that_is_full_does_that(self) -> None:
        for core in (PublisherCore(), SubscriberCore()):
            found = []
            for _ in range(core.ends + 1):
                core.connected(0.0)
                core.closed("reset")
                found.append(type(core.fault))
            self.assertEqual(found, [ConnectionFault] * core.ends + [NoSessions])

    def test_one_that_has_answered_once_is_tried_for_ever(self) -> None:
        core = PublisherCore()
        core.connected(0.0)
        core.receive(said(PublisherWelcome(0, False, "relayed", "ab", 100, "relay")), 0.0)
        for _ in range(2 * PublisherCore.ends):
            core.closed("reset")
            self.assertIsInstance(core.fault, ConnectionFault)
            core.connected(0.0)

    def test_a_pause_of_our_own_is_no_fault_of_the_relay(self) -> None:
        self.connect(WELCOME)
        self.core.excuse(1000.0)
        self.core.check(1000.0)
        self.assertIsNone(self.core.fault)
        self.core.check(1000.0 + GRACE)
        self.assertIsInstance(self.core.fault, ConnectionFault)

    def test_without_heartbeats_a_relay_may_be_silent_for_ever(self) -> None:
        self.core = SubscriberCore(heartbeat=0)
        self.connect(WELCOME)
        self.assertIsNone(self.core.deadline)

    def test_the_first_reason_is_the_one_that_counts(self) -> None:
        self.connect(WELCOME, Error("no"))
        self.core.closed("reset")
        self.core.fail(NoSessions())
        self.assertIsInstance(self.core.fault, Refused)

    def test_without_a_session_what_no_server_of_messages_sends_is_refused(self) -> None:
        for data in (b"HTTP/1.1 400 Bad Request", control(b"{}"), frame(bytes(101))):
            self.core = SubscriberCore(session=False, max_message=100)
            self.connect()
            self.core.receive(data, 0.0)
            self.assertIsInstance(self.core.fault, NotARelay if data.startswith(b"HTTP") else Refused)

    def test_a_foreign_server_is_recognized(self) -> None:
        for banner in (
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"220 mail ESMTP\r\n",
            b"\x15\x03\x01\0\x02",
        ):
            self.connect()
            self.core.receive(banner, 0.0)
            self.assertIsInstance(self.core.fault, NotARelay, banner)

    def test_what_the_relay_says_at_the_end_decides_what_follows(self) -> None:
        for answer, fault in (
            (Error("name: at most 128 printable characters"), Refused),
            (Error("this port is for publishers: subscribers connect to tcp:8002"), WrongPort),
            (Bye("replaced", accepted=1), Replaced),
            (Bye("overrun", next=WELCOME.next), ConnectionFault),
        ):
            self.connect(WELCOME, answer)
            self.assertIsInstance(self.core.fault, fault)
        self.connect(WELCOME, Bye("shutdown", next=WELCOME.next, retry=1.5))
        assert isinstance(self.core.fault, ConnectionFault)
        self.assertEqual(self.core.fault.retry, 1.5)

    def test_what_the_relay_says_is_one_line_that_does_nothing_to_a_terminal(self) -> None:
        for answer in (Error("no\n\x1b[2J"), Bye("no\n\x1b[2J", next=WELCOME.next)):
            self.connect(WELCOME, answer)
            self.assertTrue(str(self.core.fault).endswith("no\\n\\x1b[2J"), self.core.fault)

    def test_what_cannot_be_understood_ends_the_connection(self) -> None:
        self.connect(WELCOME)
        self.core.receive(control(b'{"type":"ack"}'), 0.0)
        self.assertIsInstance(self.core.fault, ConnectionFault)
        self.assertEqual(self.core.receive(frame(b"late"), 0.0), [])
