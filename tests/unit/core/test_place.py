"""Places are ordered as the bytes of the log are, and messages know their size."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from relay.core.place import Messages, Place


class PlaceTests(SynchronousTestCase):
    def test_a_place_is_before_all_that_follow_in_the_log(self) -> None:
        for before, after in pairwise([Place(0, 0), Place(0, 9), Place(1, 0), Place(1, 1), Place(10, 0)]):
            self.assertLess(before, after)

    def test_the_size_of_messages_is_that_of_their_frames_and_not_of_the_batch(self) -> None:
        self.assertEqual(Messages(b"one two three four", [4, 8, 14], 2, Place(0, 14)).size, 10)
