"""What a subscriber's transport is given when: between messages, and inside of a write."""

from __future__ import annotations

from relay.net.outlet import SLICE
from tests.kit.connections import FakeTransport, SubscriberCase
from tests.kit.fakes import frame


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
