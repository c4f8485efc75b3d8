"""A journal that is lent to workers: chunks are told, and their memory is free again at once."""

from __future__ import annotations

from relay.wire.position import Epoch
from relay.workers.lending import Lending
from relay.workers.messages import Borrow, Find, Found, Lent, Message
from tests.kit.pasts import SEGMENT, PastTests


class LendingTests(PastTests):
    def setUp(self) -> None:
        super().setUp()
        self.set_up_past()
        self.sent = self.publish_many(200)
        self.epoch = self.journal.epochs[-1].name
        self.damaged: list[Exception] = []
        self.lending = Lending(self.journal, self.journal.reader, self.damaged.append)
        self.told: list[Message] = []

    def test_a_worker_is_told_what_the_journal_has(self) -> None:
        kept, figures = self.lending.kept(), self.journal.figures()
        self.assertEqual((kept.oldest, kept.begin, kept.limit), (1, 1, figures.limit))
        self.assertEqual((kept.size, kept.oldest_time), (figures.size, figures.oldest_time))

    def test_chunks_that_follow_each_other_are_the_messages_and_nothing_is_held(self) -> None:
        position, data = 1, b""
        while position < self.log.next:
            self.lending.borrow(self.told.append, Borrow(position, self.epoch))
            self.settle()
            lent = self.told.pop()
            assert isinstance(lent, Lent) and lent.chunk is not None
            self.assertEqual((lent.position, lent.chunk.first), (position, position))
            position, data = lent.chunk.next, data + lent.chunk.data
        self.assertEqual(data, self.sent)
        self.journal.reader.sweep(1.0)
        self.journal.reader.sweep(1.0)
        self.assertEqual(self.journal.reader.size, 0)

    def test_what_is_older_than_the_journal_is_gone(self) -> None:
        self.journal.change(3 * SEGMENT, 0.0, 0.0)
        self.settle()
        self.journal.sweep(1.0)
        self.settle()
        self.assertGreater(self.journal.reader.oldest, 1)
        self.lending.borrow(self.told.append, Borrow(1, self.epoch))
        self.assertEqual(self.told, [Lent(1, self.epoch, None, gone=True, error="message 1 is older than the journal")])
        self.assertEqual(self.damaged, [])

    def test_what_a_worker_means_that_has_not_heard_of_a_new_epoch_is_gone(self) -> None:
        """Its position may be that of another message now."""
        self.lending.borrow(self.told.append, Borrow(1, "5289cfdd2847"))
        self.assertEqual(self.told, [Lent(1, "5289cfdd2847", None, gone=True, error="the journal has begun anew")])
        self.journal.storage.epochs.append(Epoch("5289cfdd2847", 101))
        for epoch, position, has in ((self.epoch, 100, True), (self.epoch, 101, False), ("5289cfdd2847", 101, True)):
            self.told.clear()
            self.lending.borrow(self.told.append, Borrow(position, epoch))
            self.settle()
            [lent] = self.told
            assert isinstance(lent, Lent)
            self.assertEqual(lent.chunk is not None, has, f"{epoch}-{position}")

    def test_what_cannot_be_read_is_told_with_the_reason(self) -> None:
        for name in tuple(self.disk.files):
            self.disk.files.pop(name)
        self.lending.borrow(self.told.append, Borrow(1, self.epoch))
        self.settle()
        [lent] = self.told
        assert isinstance(lent, Lent)
        self.assertEqual((lent.chunk, lent.gone), (None, False))
        self.assertEqual([lent.error], [str(one) for one in self.damaged])

    def test_the_first_message_since_a_time_is_found(self) -> None:
        self.lending.find(self.told.append, Find(3, 0.0))
        self.settle()
        self.assertEqual(self.told, [Found(3, 1)])
