"""Where a relay begins to read a stream, and that it gives up where there is no NATS."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.access import Access
from relay.backbone.fold import Fold
from relay.backbone.start import begin, choose
from relay.backbone.stream import BadStream
from tests.kit.process import free_port


def fold(sequence: int, size: int) -> Fold:
    """The state after `sequence` messages of `size` bytes in all."""
    found = Fold()
    found.sequence, found.size = sequence, size
    return found


class ChooseTests(SynchronousTestCase):
    def choose(self, *sequences: int, first: int = 1, memory: int = 300) -> int:
        """Where it begins, if each message has 100 bytes, and the stream has 10."""
        return choose([fold(sequence, 100 * sequence) for sequence in sequences], first, 10, memory).sequence

    def test_it_is_the_newest_snapshot_that_leaves_enough_to_read(self) -> None:
        self.assertEqual(self.choose(9, 2, 8, 5, 6), 6)

    def test_if_none_leaves_enough_it_is_the_oldest(self) -> None:
        self.assertEqual(self.choose(8, 9), 8)
        self.assertEqual(self.choose(8, 9, first=9), 8)

    def test_a_stream_that_is_short_or_has_no_snapshot_is_read_from_its_beginning(self) -> None:
        self.assertEqual(self.choose(), 0)
        self.assertEqual(self.choose(2, 3), 0)

    def test_snapshots_that_do_not_fit_the_stream_are_of_no_use(self) -> None:
        self.assertEqual(self.choose(3, 11, 8, 9, first=5, memory=10_000), 8)
        with self.assertRaises(BadStream):
            self.choose(3, 11, first=5)


class BeginTests(SynchronousTestCase):
    def test_without_nats_it_gives_up_in_words(self) -> None:
        access = Access((f"nats://127.0.0.1:{free_port()}", f"nats://127.0.0.1:{free_port()}"), "RELAY")
        with self.assertRaises(BadStream) as caught:
            begin(access, 1000, 1000, "int32", patience=0.0)
        self.assertNotEqual(str(caught.exception), "")
