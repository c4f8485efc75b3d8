"""What sessions share: which hellos are understood, and what is counted."""

from __future__ import annotations

import re

from relay.core.start import Start
from relay.peers.sessions import is_hello
from relay.wire.control import CARRIERS, BadControl, frame
from relay.wire.counted import Int16
from relay.wire.delimited import Line
from relay.wire.digits import Octet
from relay.wire.hello import PublisherHello, SubscriberHello
from relay.wire.varint import Varint
from tests.kit.hubs import HubTests
from tests.kit.sessions import hello, make_sessions

SUBSCRIBE = b'{"relay":1,"type":"subscribe","name":"a"}'
PUBLISH = b'{"relay":1,"type":"publish","name":"a"}'


class SessionsTests(HubTests):
    def setUp(self) -> None:
        self.set_up()
        self.sessions = make_sessions(self.hub, self.turns.call_soon)

    def test_each_port_has_its_own_hello(self) -> None:
        self.assertEqual(self.sessions.read(SUBSCRIBE, SubscriberHello), SubscriberHello(name="a"))
        self.assertEqual(self.sessions.read(PUBLISH, PublisherHello), PublisherHello(name="a"))

    def test_who_took_the_wrong_port_is_told_where_the_right_one_is(self) -> None:
        with self.assertRaises(BadControl) as refused:
            self.sessions.read(PUBLISH, SubscriberHello)
        self.assertEqual(str(refused.exception), "this port is for subscribers: publishers connect to tcp:8001")
        with self.assertRaises(BadControl) as refused:
            self.sessions.read(SUBSCRIBE, PublisherHello)
        self.assertEqual(str(refused.exception), "this port is for publishers: subscribers connect to tcp:8002")

    def test_with_another_framing_there_are_none_and_the_peer_is_told_so(self) -> None:
        sessions = make_sessions(self.hub, self.turns.call_soon, framing=Line)
        with self.assertRaises(BadControl) as refused:
            sessions.read(SUBSCRIBE, SubscriberHello)
        self.assertEqual(
            str(refused.exception),
            "this relay has the framing line: sessions need int32, varint, octet or netstring (--framing)",
        )

    def test_what_resuming_came_to_is_counted(self) -> None:
        for start, first, lost in (
            (Start(None), 5, 0),
            (Start(5, resumes=True), 5, 0),
            (Start(5, resumes=True), 9, 4),
            (Start(1, resumes=True, known=False), 9, None),
        ):
            self.assertEqual(self.sessions.resume(start, first), lost)
        self.assertEqual(self.sessions.resumed, {"complete": 1, "incomplete": 1, "unknown": 1})
        self.assertEqual(self.sessions.lost, 4)


class OpeningTests(HubTests):
    """A hello in another framing than the relay's is answered in words, where it cannot be much else."""

    def setUp(self) -> None:
        self.set_up()

    def test_a_hello_as_in_int32_is_answered_in_words_whatever_the_framing(self) -> None:
        for framing, words in (
            (Line, "this relay has the framing line: sessions need int32"),
            (Int16, "this relay has the framing int16: sessions need int32"),
            (Varint, "this relay has the framing varint, and the hello is one of int32 (--framing)"),
            (Octet, "this relay has the framing octet, and the hello is one of int32 (--framing)"),
        ):
            sessions = make_sessions(self.hub, self.turns.call_soon, framing=framing)
            with self.assertRaisesRegex(BadControl, re.escape(words)):
                sessions.read_opening(sessions.opening(), hello("publish"))

    def test_each_framing_with_such_lengths_has_hellos_of_its_own(self) -> None:
        for framing in CARRIERS:
            sessions = make_sessions(self.hub, self.turns.call_soon, framing=framing)
            opening = sessions.opening()
            self.assertEqual(sessions.read_opening(opening, sessions.frame(SUBSCRIBE) + b"rest"), b"rest")
            self.assertEqual(opening.body, SUBSCRIBE)
            sessions.read(SUBSCRIBE, SubscriberHello)

    def test_a_is_hello_is_one(self) -> None:
        self.assertTrue(is_hello(frame(SUBSCRIBE)))

    def test_what_looks_like_a_part_of_one_or_like_more_is_none(self) -> None:
        whole = hello("publish")
        for data in (b"", whole[:-1], whole[:4], whole + b"x", whole + whole, frame(b"{}"), b"a line\n", b"\x80\0\0\0"):
            self.assertFalse(is_hello(data), data)
