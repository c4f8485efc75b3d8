"""Where one goes on that comes back with a position of this epoch, of an older one, or of none that is known."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.epochs import resume
from relay.wire.position import Epoch, Position

EPOCHS = [Epoch("a", 1), Epoch("b", 11), Epoch("c", 11), Epoch("d", 21)]
NEXT = 31


class ResumeTests(SynchronousTestCase):
    def resume(self, epoch: str, number: int) -> tuple[int, int] | None:
        return resume(EPOCHS, Position(epoch, number), NEXT)

    def test_a_position_of_this_epoch_goes_on_behind_it(self) -> None:
        self.assertEqual(self.resume("d", 30), (31, 0))
        self.assertEqual(self.resume("d", 25), (26, 0))

    def test_numbers_go_on_counting_so_a_position_may_be_of_a_message_from_before_its_epoch(self) -> None:
        self.assertEqual(self.resume("d", 5), (6, 0))
        self.assertEqual(self.resume("b", 5), (6, 0))
        self.assertEqual(self.resume("a", 0), (1, 0))

    def test_a_position_of_an_older_epoch_is_exact_up_to_its_end(self) -> None:
        self.assertEqual(self.resume("a", 10), (11, 0))
        self.assertEqual(self.resume("c", 20), (21, 0))

    def test_one_that_saw_what_the_disk_never_got_goes_on_with_the_next_message_and_is_told(self) -> None:
        self.assertEqual(self.resume("a", 13), (11, 3))
        self.assertEqual(self.resume("b", 11), (11, 1))
        self.assertEqual(self.resume("c", 999), (21, 979))

    def test_what_this_epoch_does_not_have_and_other_epochs_are_not_known(self) -> None:
        self.assertIsNone(self.resume("d", 31))
        self.assertIsNone(self.resume("e", 1))
        self.assertIsNone(self.resume("", 1))
