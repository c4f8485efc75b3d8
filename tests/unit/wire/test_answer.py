"""What a relay says in a session: written and read again; what cannot be understood is refused."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.answer import (
    Ack,
    Bye,
    Error,
    Gap,
    Heartbeat,
    PublisherWelcome,
    SubscriberWelcome,
    read_answer,
)
from relay.wire.control import BadControl
from relay.wire.position import Epoch, Position

HERE = Position("5289cfdd2847", 18)
ANSWERS = (
    SubscriberWelcome(HERE, 1, 0, 99_999, "relay 0.2.0"),
    SubscriberWelcome(HERE, 1, None, 99_999, "relay 0.2.0"),
    SubscriberWelcome(HERE, 1, 0, 99_999, "relay 0.2.0", ahead=3),
    SubscriberWelcome(HERE, 1, 0, 99_999, "relay 0.2.0", epochs=(Epoch("ab", 1), Epoch("cd", 18)), behind=7),
    Heartbeat(next=HERE, behind=(12, 0.25)),
    PublisherWelcome(1234, True, "relayed", "5289cfdd2847", 99_999, "relay 0.2.0"),
    Ack(1301),
    Heartbeat(next=HERE),
    Heartbeat(accepted=5),
    Gap(12, HERE),
    Bye("shutdown", next=HERE, retry=1.0),
    Bye("replaced", accepted=7),
    Error("say what you mean"),
)


class AnswerTests(SynchronousTestCase):
    def test_what_was_written_is_read_again(self) -> None:
        for answer in ANSWERS:
            self.assertEqual(read_answer(answer.write()), answer)

    def test_it_looks_as_the_protocol_says(self) -> None:
        self.assertEqual(Ack(1301).write(), b'{"type":"ack","accepted":1301}')
        self.assertEqual(Heartbeat(next=HERE).write(), b'{"type":"heartbeat","next":"5289cfdd2847-18"}')
        self.assertIn(b'"lost":null', ANSWERS[1].write())

    def test_types_that_nobody_knows_are_ignored(self) -> None:
        for body in (b'{"type":"colour"}', b"{}", b'{"type":["ack"]}'):
            self.assertIsNone(read_answer(body))

    def test_keys_that_nobody_knows_are_ignored(self) -> None:
        self.assertEqual(read_answer(b'{"type":"ack","accepted":5,"colour":"red"}'), Ack(5))

    def test_what_lacks_something_or_has_it_wrong_cannot_be_understood(self) -> None:
        for body in (
            *(b"", b'{"type":"ack"}', b'{"type":"ack","accepted":-1}', b'{"type":"ack","accepted":true}'),
            *(b'{"type":"heartbeat"}', b'{"type":"heartbeat","next":17}', b'{"type":"gap","lost":1}'),
            *(b'{"type":"bye"}', b'{"type":"error"}', b'{"type":"welcome"}', b'{"type":"welcome","next":"a-1"}'),
        ):
            with self.assertRaises(BadControl):
                read_answer(body)
