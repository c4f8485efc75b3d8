"""Writing a segment: what failed counts for nothing, and can be written again in its place."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.contents import End
from relay.journal.format import HEADER_SIZE, Header
from relay.journal.scan import read_sealed, scan
from relay.journal.segment import read_block
from relay.journal.writer import Writer
from relay.wire.position import Epoch
from tests.kit.journals import FOLDER, MemoryDisk, message

HEADER = Header("int32", 99_999, 1, bytes(16), 0, b"mark")
EPOCHS = [Epoch("e1", 1)]


class WriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.writer = Writer.create(self.disk, FOLDER, HEADER, 4096)
        self.segment = self.writer.segment

    def append(self, number: int) -> None:
        self.writer.append([message(number)], 1, b"", 0, number)

    def test_a_new_segment_is_on_disk_before_it_has_records(self) -> None:
        file = self.disk.files[self.segment.path]
        self.assertEqual(bytes(file.disk), HEADER.encode() + bytes(4096 - HEADER_SIZE))
        self.assertEqual(file.changes, [])

    def test_a_segment_that_cannot_be_made_leaves_no_file(self) -> None:
        disk = MemoryDisk()
        disk.room = 100
        with self.assertRaises(OSError):
            Writer.create(disk, FOLDER, HEADER, 4096)
        self.assertEqual(disk.files, {})

    def test_a_batch_that_was_not_written_whole_is_written_again_in_its_place(self) -> None:
        self.writer.start(1, EPOCHS, [], 0, 0)
        self.append(1)
        size = self.segment.size
        self.writer.segment.room = 0
        self.disk.files[self.segment.path].change(size)
        self.disk.room = size + 20
        with self.assertRaises(OSError) as caught:
            self.append(2)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertEqual((self.segment.next, self.segment.size, self.writer.batches), (2, size, 1))
        self.disk.room = 1 << 20
        self.append(2)
        self.assertEqual(read_block(self.disk, self.segment.block(0)).data, message(1) + message(2))

    def test_a_sealed_segment_is_as_long_as_what_is_in_it_and_known_from_its_seal(self) -> None:
        self.writer.start(7, EPOCHS, [(("", "p"), 6)], 0, 0)
        self.append(7)
        self.writer.seal(End.CONTINUED, 0, 9)
        self.writer.finish()
        self.assertEqual(self.disk.size(self.segment.path), self.segment.room)
        segment = read_sealed(self.disk, FOLDER, HEADER)
        assert segment
        self.assertEqual((segment.first, segment.next, segment.size), (7, 8, self.segment.size))
        self.assertEqual(
            (segment.room, segment.latest, segment.index[0]), (self.segment.room, 9, self.segment.index[0])
        )

    def test_a_start_says_all_that_older_segments_said(self) -> None:
        names = [(("CN=x", "p"), 6), (("", "q"), 1)]
        self.writer.start(7, [Epoch("a", 1), Epoch("b", 3)], names, 2, 0)
        found = scan(self.disk, FOLDER, HEADER)
        self.assertEqual(found.epochs, [Epoch("a", 1), Epoch("b", 3)])
        self.assertEqual(list(found.names.items()), names)
        self.assertEqual((found.segment.first, found.segment.next, found.empty, found.end), (7, 7, True, None))
