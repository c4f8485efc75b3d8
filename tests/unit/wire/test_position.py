"""Positions: written and read again, and nothing else taken for one."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.position import Position, new_epoch

epochs = st.text("0123456789abcdef", min_size=1, max_size=32)
anything = st.text(st.sampled_from("0123456789abcdefABF-_+. \n\0é\u0663"), max_size=40)


class PositionTests(SynchronousTestCase):
    def test_it_is_written_as_its_epoch_and_its_number(self) -> None:
        self.assertEqual(str(Position("5289cfdd2847", 17)), "5289cfdd2847-17")
        self.assertEqual(str(Position("0", 0)), "0-0")

    @given(epochs, st.integers(0, 10**18 - 1))
    @example("0" * 32, 10**18 - 1)
    def test_what_was_written_is_read_again(self, epoch: str, number: int) -> None:
        self.assertEqual(Position.parse(f"{Position(epoch, number)}"), Position(epoch, number))

    def test_anything_else_is_refused_and_shown_with_an_example(self) -> None:
        for text in (
            *("", "-", "5289cfdd2847", "5289cfdd2847-", "-17", "17", "5289cfdd2847-17-18", "5289cfdd2847--17"),
            *("5289cfdd2847-+17", "5289cfdd2847- 17", "5289cfdd2847-1_7", "5289cfdd2847-1.7", "5289cfdd2847-0x11"),
            *(
                " 5289cfdd2847-17",
                "5289cfdd2847-17\n",
                "5289CFDD2847-17",
                "5289cfdd284g-17",
                "5289cfdd2847-\u0661\u0667",
            ),
            *("5289cfdd2847-\u0661\u0667", "5289cfdd2847-017", "5289cfdd2847-00", f"{'a' * 33}-1", f"a-{10**18}"),
        ):
            with self.assertRaises(ValueError) as refused:
                Position.parse(text)
            self.assertEqual(str(refused.exception), f"{text!r} is not a position: give one such as 5289cfdd2847-17")

    def test_of_what_is_long_only_the_beginning_is_shown(self) -> None:
        for text in ("\\" * 4000, "x" * 4000, "\x01" * 65):
            with self.assertRaises(ValueError) as refused:
                Position.parse(text)
            words = str(refused.exception)
            self.assertIn(f"{text[:64]!r}... is not a position", words)
            self.assertLess(len(words), 400)

    @given(st.one_of(anything, st.text()))
    def test_no_position_is_written_in_two_ways(self, text: str) -> None:
        try:
            position = Position.parse(text)
        except ValueError:
            return
        self.assertEqual(str(position), text)

    def test_two_positions_are_the_same_if_both_parts_are(self) -> None:
        self.assertEqual(len({Position("a", 1), Position("a", 1), Position("a", 2), Position("b", 1)}), 3)


class EpochTests(SynchronousTestCase):
    def test_every_epoch_is_another_and_can_stand_in_a_position(self) -> None:
        found = {new_epoch() for _ in range(100)}
        self.assertEqual(len(found), 100)
        for epoch in found:
            self.assertRegex(epoch, "^[0-9a-f]{12}$")  # 48 bits
            self.assertEqual(Position.parse(f"{epoch}-1").epoch, epoch)
