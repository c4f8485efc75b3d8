"""Subscribers that do not count messages may be made to wait for the first, while others are given all that comes."""

from __future__ import annotations

from relay.core.cursor import Tally
from relay.core.state import State
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import FakeSubscriber, frame
from tests.kit.hubs import HubTests


class AdmitTests(HubTests):
    def setUp(self) -> None:
        self.set_up()
        self.hub.admits = False
        self.silent = FakeSubscriber(self.hub)
        self.counting = FakeSubscriber(self.hub)
        self.counting.counts = True
        self.hub.move(self.counting.subscription, 1, b"welcome")

    def test_who_does_not_count_is_given_what_comes_after_it_is_let_in(self) -> None:
        self.publish(b"one")
        self.assertEqual((self.hub.live, self.silent.lifecycle.state), (2, State.LIVE))
        self.hub.admit()
        self.publish(b"two")
        later = FakeSubscriber(self.hub)
        self.publish(b"three")
        self.assertEqual(self.silent.received, frame(b"two") + frame(b"three"))
        self.assertEqual(self.counting.received, b"welcome" + frame(b"one") + frame(b"two") + frame(b"three"))
        self.assertEqual(later.received, frame(b"three"))
        self.assertEqual(self.silent.subscription.given(), Tally(2, len(self.silent.received), 0))

    def test_one_that_leaves_before_was_given_nothing(self) -> None:
        self.publish(b"one")
        self.assertIn(self.silent.subscription, self.hub.subscriptions)
        self.assertEqual(self.hub.detach(self.silent.subscription), Tally(0, 0, 0))
        self.assertEqual(self.hub.subscriptions, (self.counting.subscription,))
        self.hub.admit()
        self.publish(b"two")
        self.assertEqual(self.silent.received, b"")

    def test_one_that_begins_to_count_is_given_what_it_asks_for(self) -> None:
        self.publish(b"one")
        self.silent.counts = True
        self.hub.move(self.silent.subscription, 1, b"")
        self.publish(b"two")
        self.assertEqual(self.silent.received, frame(b"one") + frame(b"two"))

    def test_what_is_no_message_is_sent_all_the_same(self) -> None:
        self.hub.insert(self.silent.subscription, b"idle")
        self.publish(b"one")
        self.hub.insert(self.silent.subscription, b"idle")
        self.assertEqual((self.silent.received, self.silent.reason), (b"idle" * 2, None))

    def test_one_that_was_given_a_part_while_it_took_nothing_ends(self) -> None:
        self.hub.pause(self.silent.subscription)
        self.publish(b"one")
        self.hub.resume(self.silent.subscription)
        self.assertEqual((self.silent.received, self.silent.reason), (frame(b"one"), CloseReason.NOT_READY))
