"""What a segment has before a position is copied, batch by batch, and the last batch in part."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.anew import copy
from relay.journal.segment import Damaged, Segment
from relay.journal.writer import Writer
from tests.kit.journals import MemoryDisk, expected, message, open_storage, stored


class CopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.storage = open_storage(self.disk)
        for first in range(1, 10, 3):
            self.storage.append([b"".join(map(message, range(first, first + 3)))], 3)
        self.source = self.storage.segments[0]

    def copied(self, position: int) -> Writer:
        writer = self.storage.prepare()
        writer.start(1, [], [], 0, 0)
        try:
            copy(self.disk, self.source, position, writer)
        finally:
            writer.close()
            self.disk.remove(writer.segment.path) if writer.segment.next != position else None
        return writer

    def test_all_that_comes_before_is_there_with_its_time(self) -> None:
        for position in range(2, 11):
            segment: Segment = self.copied(position).segment
            self.storage.segments = [segment]
            self.assertEqual((segment.first, segment.next), (1, position))
            self.assertEqual(self.read(segment), expected(1, position))
            self.assertEqual(segment.index[0].time, self.source.index[0].time)
            self.disk.remove(segment.path)

    def read(self, segment: Segment) -> bytes:
        self.storage._writer.segment.next = segment.next
        return stored(self.storage, self.disk)

    def test_what_is_not_there_is_told(self) -> None:
        self.assertRaises(Damaged, self.copied, 11)
