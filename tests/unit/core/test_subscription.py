"""What the hub remembers of a subscriber: its progress, and what it was given once it is over."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Tally
from relay.core.subscription import Progress
from tests.kit.fakes import FakeSubscriber
from tests.kit.hubs import HubTests


class ProgressTests(SynchronousTestCase):
    def idle(self, *looks: tuple[bool, int], moved_before: int = 0) -> list[float]:
        """The idle seconds after each look, a second apart, of one that took something before look `moved_before`."""
        progress = Progress()
        found = []
        for number, (waiting, unsent) in enumerate(looks):
            progress.moved = number == moved_before
            progress.look(waiting, unsent, 1.0)
            found.append(progress.idle)
        return found

    def test_the_clock_runs_only_while_its_transport_takes_nothing(self) -> None:
        self.assertEqual(self.idle((True, 9), (True, 9), (True, 9)), [0.0, 1.0, 2.0])
        self.assertEqual(self.idle((True, 9), (False, 9), (True, 9)), [0.0, 0.0, 1.0])

    def test_what_it_took_is_progress(self) -> None:
        self.assertEqual(self.idle((True, 9), (True, 9), (True, 9), moved_before=2)[-1], 0.0)

    def test_what_its_peer_acknowledged_is_progress_and_what_was_added_is_none(self) -> None:
        self.assertEqual(self.idle((True, 9), (True, 8), (True, 9), (True, 9)), [0.0, 0.0, 1.0, 2.0])

    def test_who_waits_anew_begins_anew(self) -> None:
        progress = Progress()
        for _ in range(3):
            progress.look(True, 9, 1.0)
        self.assertEqual(progress.idle, 2.0)
        progress.begin()
        self.assertEqual((progress.idle, progress.moved), (0.0, True))


class SubscriptionTests(HubTests):
    def test_what_it_was_given_is_final_once_it_is_detached(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.publish(b"one")
        subscription = subscriber.subscription
        self.assertTrue(subscription.attached)
        given = self.hub.detach(subscription)
        self.publish(b"two")
        self.assertFalse(subscription.attached)
        self.assertEqual((given, subscription.given(), self.hub.detach(subscription)), (Tally(1, 7, 0),) * 3)
        self.assertEqual(subscription.deliver([b"late"]), 0)
        self.assertEqual(subscriber.calls, 1)
