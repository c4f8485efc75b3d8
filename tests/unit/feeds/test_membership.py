"""A real subscriber's membership in feeds: none, one, and another later."""

from __future__ import annotations

from twisted.internet.testing import StringTransport

from relay.core.cursor import NO_LAG, NOTHING, Tally
from relay.core.start import NEXT, Start
from relay.core.state import State
from relay.feeds.feeds import FEEDS
from relay.feeds.membership import Membership
from relay.peers.subscriber import Subscriber
from relay.web.event_dialogue import EventDialogue
from relay.wire.close_reason import CloseReason
from relay.wire.events import EventEncoding
from tests.kit.events import events
from tests.kit.fakes import accepted
from tests.kit.feeds import TrimmedFeedTests


class MembershipTests(TrimmedFeedTests):
    """Feeds whose logs no longer have the first messages."""

    def test_if_all_feeds_are_behind_and_no_more_may_be_there_is_none(self) -> None:
        self.publish(1)
        self.hub.flush()
        for wanted in range(10, 10 + FEEDS - 1):
            self.join(wanted)
        self.assertIsNone(self.feeds.provide(self.encoding, self.published + 1))
        membership = Membership(self.feeds, self.encoding, Start(self.published + 1))
        subscriber = Subscriber(
            accepted("subscriber"), None, membership, EventDialogue(b"", "e", Start(self.published + 1, resumes=True))
        )
        transport = StringTransport()
        subscriber.makeConnection(transport)
        self.assertEqual((subscriber.reason, transport.disconnecting), (CloseReason.OVERRUN, True))
        self.assertEqual((subscriber.state, subscriber.lag(lambda: self.now)), (State.CUT, None))
        self.turns.run_all()
        self.assertIsNotNone(self.feeds.provide(self.encoding, self.published + 1))

    def test_what_a_real_subscriber_was_given_adds_up(self) -> None:
        subscriber = Subscriber(
            accepted("subscriber"),
            None,
            Membership(self.feeds, EventEncoding("e"), Start(10)),
            EventDialogue(b"HTTP/1.1 200 OK\r\n\r\n", "e", Start(10, resumes=True)),
        )
        transport = StringTransport()
        subscriber.makeConnection(transport)
        self.publish_batches(5)
        self.assertEqual(subscriber.tally, Tally(len(self.all_from(10)), len(transport.value()), 0))

    def test_before_it_is_attached_it_was_given_nothing_and_is_not_live(self) -> None:
        membership = Membership(self.feeds, self.encoding, NEXT)
        self.assertEqual((membership.tally(), membership.behind(), membership.live), (NOTHING, NO_LAG, False))
        self.assertIs(membership.hub, self.hub)

    def test_what_it_was_given_adds_up_when_it_is_moved_to_another_feed(self) -> None:
        membership = Membership(self.feeds, self.encoding, Start(10))
        dialogue = EventDialogue(b"", "e", Start(10, resumes=True))
        subscriber = Subscriber(accepted("subscriber"), None, membership, dialogue)
        transport = StringTransport()
        subscriber.makeConnection(transport)
        own = membership.hub
        self.assertIs(subscriber.state, State.LAGGING, "its feed is behind")
        self.turns.run_all()
        self.assertIsNot(membership.hub, own)
        self.publish_batches(3)
        self.assertIs(subscriber.state, State.LIVE)
        self.assertEqual(subscriber.tally.messages, len(self.all_from(10)))
        self.assertEqual(events(transport.value())[-1].position, self.published)
