"""What is published in a turn becomes few batches, in order, and large pieces are not copied."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.core.log import Log
from relay.core.pending import LARGE, Journaled, Pending
from relay.core.place import Place
from relay.wire.counted import Int32
from relay.wire.framing import Frames
from relay.wire.raw import Raw
from tests.kit.fakes import FakeJournal, frame, frames


class PendingTests(SynchronousTestCase):
    def moved(self, pending: Pending, *reads: Frames, raw: bool = False) -> list[bytes]:
        """The batches of a log to which these were moved."""
        self.log = Log(Raw.ends if raw else Int32.ends)
        for read in reads:
            pending.frames.append(read)
            pending.size += len(read.data)
        pending.move_to(self.log, lambda: 7.0)
        return [bytes(self.log.batch(number).data) for number in range(self.log.end)]

    @given(st.lists(st.sampled_from([0, 1, 100, LARGE - 5, LARGE, 2 * LARGE]), max_size=8))
    def test_it_is_all_there_in_order_and_small_pieces_are_joined(self, sizes: list[int]) -> None:
        pending = Pending(self_delimiting=True)
        reads = [frames(bytes(size))[0] for size in sizes]
        batches = self.moved(pending, *reads)
        self.assertEqual(b"".join(batches), b"".join(bytes(read.data) for read in reads))
        self.assertEqual((pending.size, pending.frames), (0, []))
        small = [len(batch) < LARGE for batch in batches]
        self.assertNotIn((True, True), list(pairwise(small)), "two small batches in a row")

    def test_a_large_piece_is_not_copied(self) -> None:
        [large] = frames(bytes(LARGE))
        self.moved(Pending(self_delimiting=True), *frames(b"a"), large, *frames(b"b"))
        self.assertIs(self.log.batch(1).data, large.data)
        self.assertEqual((self.log.end, self.log.next, self.log.time(Place(1, 0))), (3, 4, 7.0))

    def test_where_frames_cannot_tell_the_batch_carries_where_messages_end(self) -> None:
        reads = [Frames(data, 1, len(data)) for data in (b"one", b"three", b"x")]
        self.moved(Pending(self_delimiting=False), *reads, raw=True)
        ends = self.log.batch(0).ends
        assert ends is not None
        self.assertEqual(list(ends), list(accumulate((3, 5, 1))))

    def test_it_knows_how_many_messages_it_has_and_can_forget_them(self) -> None:
        pending = Pending(self_delimiting=True)
        pending.frames += frames(b"a", b"b") + frames(b"c")
        pending.size = 15
        self.assertEqual(pending.messages, 3)
        pending.forget()
        self.assertEqual((pending.messages, pending.size), (0, 0))

    def test_a_view_is_charged_what_it_keeps_alive_only_if_it_stays_one(self) -> None:
        data = memoryview(bytes(1000) + frame(b"abc"))[1000:]
        view = Frames(data, 1, 1007)
        self.moved(Pending(self_delimiting=True), view)
        alone = self.log.held
        self.moved(Pending(self_delimiting=True), view, view)
        self.assertEqual((alone - self.log.held, len(self.log.batch(0).data)), (1007 - 2 * 7, 14))


class JournaledTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = FakeJournal()
        self.log = Log(Int32.ends)

    def pending(self, *messages: bytes, self_delimiting: bool = True) -> Journaled:
        pending = Journaled(self_delimiting, self.journal)
        for message in messages:
            pending.frames += frames(message)
            pending.size += len(message) + 4
        return pending

    def move(self, pending: Journaled) -> int:
        """Returns how many messages the log has then."""
        pending.move_to(self.log, lambda: 7.0)
        return self.log.next - 1

    def test_what_is_moved_is_written_as_one_batch_before(self) -> None:
        large = bytes(LARGE)
        self.assertEqual(self.move(self.pending(b"a", b"b", large, b"c")), 4)
        [(data, messages, ends)] = self.journal.written
        self.assertEqual((data, messages, ends), (b"".join(map(frame, (b"a", b"b", large, b"c"))), 4, []))
        self.assertEqual(self.log.end, 3)

    def test_where_frames_cannot_tell_the_journal_is_told_where_messages_end(self) -> None:
        self.move(self.pending(b"a", bytes(LARGE), b"c", self_delimiting=False))
        self.assertEqual(self.journal.written[0][2], [5, LARGE + 9, LARGE + 14])

    def test_what_is_not_written_stays_pending_in_order(self) -> None:
        pending = self.pending(b"a", b"b")
        self.journal.full = True
        self.assertEqual((self.move(pending), pending.size), (0, 10))
        self.journal.full = False
        pending.frames += frames(b"c")
        pending.size += 5
        self.assertEqual((self.move(pending), pending.size, pending.frames), (3, 0, []))
        self.assertEqual(self.journal.written[0][0], b"".join(map(frame, (b"a", b"b", b"c"))))

    def test_nothing_is_joined_while_the_journal_is_not_ready(self) -> None:
        pending = self.pending(b"a")
        before = pending.frames
        self.journal.ready = False
        self.assertEqual(self.move(pending), 0)
        self.assertIs(pending.frames, before)
        self.assertEqual(self.journal.tries, 0)
