"""Who lags, and who of them is the slowest: on a hub, whose subscribers take what the test lets them."""

from __future__ import annotations

from relay.core.state import State
from tests.kit.fakes import FakeSubscriber
from tests.kit.hubs import HubTests


class LaggardsTests(HubTests):
    def setUp(self) -> None:
        self.set_up(stall_timeout=2.0)
        self.laggards = self.hub.laggards
        self.slow = FakeSubscriber(self.hub, room=0)
        self.publish(b"first")
        self.other = FakeSubscriber(self.hub, room=0)
        self.publish(b"second")

    def test_they_are_those_that_have_something_to_catch_up_on(self) -> None:
        live = FakeSubscriber(self.hub)
        self.publish(b"third")
        self.assertEqual([*self.laggards], [self.slow.subscription, self.other.subscription])
        self.assertEqual(len(self.laggards), self.hub.lagging)
        self.assertIn(self.slow.subscription, self.laggards)
        self.assertNotIn(live.subscription, self.laggards)
        self.assertEqual(self.slow.lifecycle.state, State.WAITING)

    def test_the_slowest_is_known_at_once_when_one_falls_behind_and_else_after_a_look(self) -> None:
        first = self.slow.subscription.cursor.needs(self.log)
        second = self.other.subscription.cursor.needs(self.log)
        self.assertEqual(self.laggards.slowest, first)
        self.slow.read()
        self.turns.run_all()
        self.assertEqual(
            (self.laggards.slowest, self.laggards.find_slowest(), self.laggards.slowest), (first, second, second)
        )

    def test_without_any_the_slowest_needs_what_comes_next(self) -> None:
        for one in (self.slow, self.other):
            one.read()
        self.turns.run_all()
        self.assertEqual((len(self.laggards), self.laggards.find_slowest()), (0, self.log.end))
        self.assertFalse(self.laggards.beyond(0))

    def test_one_that_has_moved_on_is_not_beyond_what_it_needed_before(self) -> None:
        memory = self.log.behind(self.other.subscription.cursor.needs(self.log))
        self.assertTrue(self.laggards.beyond(memory))
        self.slow.read()
        self.turns.run_all()
        self.assertFalse(self.laggards.beyond(memory))
        self.assertTrue(self.laggards.beyond(memory - 1))

    def test_the_furthest_behind_says_how_far_that_is(self) -> None:
        self.now = 3.0
        lag = self.laggards.furthest(lambda: self.now)
        self.assertEqual((lag.messages, lag.seconds), (2, 3.0))

    def test_who_takes_nothing_has_stalled_after_the_timeout_and_only_who_waits(self) -> None:
        self.assertEqual([*self.laggards.stalled(2.0, 1.5)], [], "they began to wait since the last look")
        self.assertEqual([*self.laggards.stalled(2.0, 1.5)], [])
        self.slow.read(1)
        self.assertEqual([*self.laggards.stalled(2.0, 1.0)], [self.other.subscription])
        self.assertEqual([*self.laggards.stalled(0.0, 100.0)], [], "0 is never")
