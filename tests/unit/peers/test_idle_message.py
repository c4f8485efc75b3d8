"""A message for silent subscribers: due when nothing was published, between two messages, and not counted."""

from __future__ import annotations

from relay.core.chores import Chore, at_once
from relay.core.timing import SWEEP
from relay.peers.idle_message import IdleMessage
from relay.wire.counted import Int32
from tests.kit.connections import FakeTransport, SubscriberCase
from tests.kit.fakes import frame

IDLE = Int32.frame(b"still here")


class IdleMessageTests(SubscriberCase):
    def setUp(self) -> None:
        super().setUp()
        self.idle = IdleMessage(self.hub.log, self.factory.registry, at_once)
        self.idle.frame, self.idle.seconds = IDLE, 10.0

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.idle.sweep(SWEEP)
            self.turns.run()

    def sent(self, transport: FakeTransport) -> int:
        return int(transport.value().count(IDLE))

    def test_a_silent_subscriber_is_sent_one_within_each_interval(self) -> None:
        _, transport = self.connect()
        for count in range(1, 4):
            self.pass_by(10)
            self.assertEqual(transport.value(), IDLE * count)

    def test_from_the_last_message_to_it_no_more_than_the_interval_passes(self) -> None:
        _, transport = self.connect()
        self.pass_by(5)
        self.publish(b"message")
        self.pass_by(8)
        self.assertEqual(self.sent(transport), 0)
        self.pass_by(2)
        self.assertEqual(transport.value(), frame(b"message") + IDLE)

    def test_whoever_is_sent_messages_is_sent_none(self) -> None:
        _, transport = self.connect()
        for _ in range(20):
            self.publish(b"message")
            self.pass_by(8)
        self.assertEqual(self.sent(transport), 0)

    def test_it_is_never_inside_a_message_and_does_not_wait_for_one_that_reads_nothing(self) -> None:
        subscriber, transport = self.connect()
        transport.full = True
        self.publish(b"x" * 100_000, b"y" * 100_000)
        self.pass_by(50)
        self.assertEqual(self.sent(transport), 0)
        transport.full = False
        while subscriber.lag(lambda: 0.0):
            transport.drain()
            self.turns.run()
        self.pass_by(20)
        self.assertEqual(self.sent(transport), 2)
        self.assertEqual(transport.value(), frame(b"x" * 100_000) + frame(b"y" * 100_000) + IDLE * 2)

    def test_it_is_no_message_and_has_no_position(self) -> None:
        subscriber, _ = self.connect()
        self.publish(b"one")
        self.pass_by(30)
        self.publish(b"two")
        self.assertEqual((subscriber.tally.messages, subscriber.tally.bytes), (2, len(frame(b"one") * 2 + IDLE * 3)))
        self.assertEqual((self.hub.log.next, subscriber.next), (3, 3))

    def test_who_has_a_session_is_sent_none(self) -> None:
        subscriber, transport = self.connect()
        subscriber.in_session = True
        self.pass_by(30)
        self.assertEqual(transport.value(), b"")

    def test_without_an_interval_nobody_is(self) -> None:
        _, transport = self.connect()
        self.idle.seconds = 0.0
        self.pass_by(100)
        self.assertEqual(transport.value(), b"")

    def test_who_was_sent_something_or_left_while_it_waited_for_its_turn_is_sent_none(self) -> None:
        waiting: list[Chore] = []

        def wait(chore: Chore) -> bool:
            waiting.append(chore)
            return False

        self.idle = IdleMessage(self.hub.log, self.factory.registry, wait)
        self.idle.frame, self.idle.seconds = IDLE, 10.0
        peers = [self.connect() for _ in range(3)]
        self.pass_by(10)
        self.assertEqual(len(waiting), 3)
        waiting.pop()()
        peers[1][0].in_session = True
        waiting.pop()()
        self.publish(b"message")
        waiting.pop()()
        self.assertEqual([self.sent(transport) for _, transport in peers], [0, 0, 1])
