"""Where a subscriber's messages come from, and how far behind it is with them."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.cursor import NO_LAG, NOTHING, Lag, Tally
from relay.core.hub import Hub
from relay.core.subscription import Consumer, Subscription
from relay.peers.dialogue import Silence
from relay.peers.source import HubSource, Source, lag_of
from relay.peers.subscriber import Subscriber
from tests.kit.connections import PEER, FakeTransport, SubscriberCase
from tests.kit.fakes import FakeSubscriber, accepted, frame, frames
from tests.kit.hubs import HubTests

ONE = len(frame(b"one"))


class Greeter(Silence):
    """Says what the position of the first message is."""

    def greeting(self, first: int) -> bytes:
        return b"<%d>" % first


class HubSourceTests(SubscriberCase):
    def attach(self, replay: int = 0) -> tuple[HubSource, FakeTransport]:
        """A subscriber that is greeted."""
        self.hub.replay = replay
        source, transport = HubSource(self.hub), FakeTransport()
        Subscriber(accepted("subscriber"), PEER, source, Greeter("tcp:8001")).makeConnection(transport)
        self.turns.run_all()
        return source, transport

    def test_before_it_is_attached_it_has_nothing(self) -> None:
        source = HubSource(self.hub)
        self.assertIsNone(source.subscription)
        self.assertEqual((source.tally(), source.behind(), source.live), (NOTHING, NO_LAG, True))
        self.assertIs(source.hub, self.hub)
        self.assertIsNone(lag_of(source, lambda: 0.0))

    def test_the_first_message_is_the_next_one_and_what_is_pending_is_before_it(self) -> None:
        self.publish(b"one")
        self.hub.publish(frames(b"two"))  # its turn has not ended
        source, transport = self.attach()
        self.publish(b"three")
        self.assertEqual(transport.value(), b"<3>" + frame(b"three"))
        self.assertEqual(source.tally(), Tally(1, len(transport.value()), 0), "whole messages, and all bytes")

    def test_recent_messages_come_first_as_many_as_the_hub_says(self) -> None:
        keeper = FakeSubscriber(self.hub, room=0)  # so that the log keeps them
        for message in (b"one", b"two", b"six"):
            self.publish(message)
        source, transport = self.attach(replay=2)
        self.assertEqual(transport.value(), b"<2>" + frame(b"two") + frame(b"six"))
        self.assertEqual(source.tally(), Tally(2, len(transport.value()), 0))
        self.assertEqual(keeper.received, b"")

    def test_it_can_always_be_attached_and_is_no_more_behind_than_its_subscriber(self) -> None:
        source, transport = self.attach()
        transport.full = True
        self.publish(b"one")
        self.now = 2.0
        self.publish(b"two")
        self.now = 5.0
        self.assertEqual((source.live, source.behind()), (True, NO_LAG))
        self.assertEqual(lag_of(source, lambda: self.now), Lag(1, ONE, 3.0))


class FakeSource:
    """A source whose hub itself is behind, as far as the test says."""

    def __init__(self, hub: Hub, subscription: Subscription | None, behind: Lag | None) -> None:
        self.hub = hub
        self.subscription = subscription
        self.live = behind is None
        self._behind = behind

    def attach(self, consumer: Consumer, greeting: Callable[[int], bytes]) -> bool:
        raise AssertionError("it is attached")

    def next(self, *, exact: bool = True) -> int:
        raise AssertionError("nobody asks where it stands")

    def tally(self) -> Tally:
        return NOTHING

    def behind(self) -> Lag:
        assert self._behind is not None, "asked of a source that has everything"
        return self._behind


class LagTests(HubTests):
    def setUp(self) -> None:
        self.set_up()

    def lag(self, subscriber: FakeSubscriber, behind: Lag | None = None) -> Lag | None:
        source: Source = FakeSource(self.hub, subscriber.subscription, behind)
        return lag_of(source, lambda: self.now)

    def test_who_has_everything_of_a_source_that_has_everything_is_not_behind(self) -> None:
        subscriber = FakeSubscriber(self.hub)
        self.publish(b"one")
        self.assertIsNone(self.lag(subscriber))

    def test_who_has_everything_of_a_source_that_is_behind_is_as_far_behind_as_that(self) -> None:
        self.assertEqual(self.lag(FakeSubscriber(self.hub), Lag(5, 500, 2.0)), Lag(5, 500, 2.0))

    def test_who_lacks_something_lacks_also_what_its_source_lacks(self) -> None:
        subscriber = FakeSubscriber(self.hub, room=0)
        self.publish(b"one")
        self.publish(b"two")
        self.now = 4.0
        own = Lag(2, 2 * ONE, 4.0)
        self.assertEqual(self.lag(subscriber), own)
        self.assertEqual(self.lag(subscriber, Lag(5, 500, 2.0)), Lag(7, 500 + 2 * ONE, 6.0))

    def test_of_the_batch_in_which_it_stands_no_message_counts_as_taken(self) -> None:
        subscriber = FakeSubscriber(self.hub, room=ONE + 1)
        self.publish(b"one", b"two")
        self.assertEqual(self.lag(subscriber), Lag(2, ONE - 1, 0.0))

    def test_who_is_detached_is_behind_nothing(self) -> None:
        subscriber = FakeSubscriber(self.hub, room=0)
        self.publish(b"one")
        self.hub.detach(subscriber.subscription)
        self.assertIsNone(self.lag(subscriber))
        self.assertIsNone(self.lag(subscriber, Lag(5, 500, 2.0)))
