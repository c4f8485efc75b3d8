"""The hub with a journal: nobody is given what is not written, and nothing is lost while the journal takes nothing."""

from __future__ import annotations

from tests.kit.fakes import FakeJournal, FakeSubscriber, frame
from tests.kit.hubs import HubTests


class JournalTests(HubTests):
    def setUp(self) -> None:
        self.journal = FakeJournal()
        self.set_up(journal=self.journal)
        self.subscriber = FakeSubscriber(self.hub)

    def test_what_is_published_is_written_before_it_is_delivered(self) -> None:
        self.publish(b"one", b"two")
        self.assertEqual([messages for _, messages, _ in self.journal.written], [2])
        self.assertEqual(self.subscriber.received, frame(b"one") + frame(b"two"))

    def test_what_cannot_be_written_is_not_delivered_and_comes_later(self) -> None:
        self.journal.full = True
        self.publish(b"one")
        self.publish(b"two")
        self.assertFalse(self.hub.flush())
        self.assertEqual((self.subscriber.received, self.log.next), (b"", 1))
        self.journal.full = False
        self.assertTrue(self.hub.flush())
        self.assertEqual(self.subscriber.received, frame(b"one") + frame(b"two"))
        self.assertEqual(self.subscriber.calls, 1)

    def test_one_that_comes_while_nothing_is_written_gets_it_too(self) -> None:
        self.journal.full = True
        self.publish(b"one")
        late = FakeSubscriber(self.hub)
        self.journal.full = False
        self.publish(b"two")
        self.assertEqual(late.received, frame(b"one") + frame(b"two"))

    def test_without_one_everything_is_delivered(self) -> None:
        self.set_up()
        subscriber = FakeSubscriber(self.hub)
        self.publish(b"one")
        self.assertTrue(self.hub.flush())
        self.assertEqual(subscriber.received, frame(b"one"))
