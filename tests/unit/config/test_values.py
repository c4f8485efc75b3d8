"""Sizes: how they are read, and how they are shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.config.values import show_size, size


class SizeTests(SynchronousTestCase):
    def test_sizes_have_units(self) -> None:
        for text, number in (("7", 7), ("2KiB", 2048), (" 3 MiB ", 3 * 2**20), ("1GiB", 2**30)):
            self.assertEqual(size(text), number)

    def test_they_are_shown_as_short_as_they_are_exact(self) -> None:
        for number, text in ((0, "0 bytes"), (99_999, "99,999 bytes"), (2048, "2 KiB"), (2**26, "64 MiB")):
            self.assertEqual(show_size(number), text)

    @given(st.integers(0, 2**40))
    def test_what_is_shown_is_what_was_meant(self, number: int) -> None:
        self.assertEqual(size(show_size(number).replace(",", "").removesuffix(" bytes")), number)
