"""What sessions share: which hellos are understood, and what is counted."""

from __future__ import annotations

from relay.core.start import Start
from relay.peers.sessions import whole_hello
from relay.wire.control import BadControl, frame
from relay.wire.hello import PublisherHello, SubscriberHello
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
        sessions = make_sessions(self.hub, self.turns.call_soon, framing="line")
        with self.assertRaises(BadControl) as refused:
            sessions.read(SUBSCRIBE, SubscriberHello)
        self.assertEqual(str(refused.exception), "this relay has the framing line: sessions need int32 (--framing)")

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


class WholeHelloTests(HubTests):
    """Where nearly all bytes are messages, a hello is only what cannot be much else."""

    def test_a_whole_hello_is_one(self) -> None:
        self.assertEqual(whole_hello(frame(SUBSCRIBE)), SUBSCRIBE)

    def test_what_looks_like_a_part_of_one_or_like_more_is_none(self) -> None:
        whole = hello("publish")
        for data in (b"", whole[:-1], whole[:4], whole + b"x", whole + whole, frame(b"{}"), b"a line\n", b"\x80\0\0\0"):
            self.assertIsNone(whole_hello(data), data)
