"""Lengths beside messages are read back, whatever follows them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.lengths import LENGTH, decode_lengths, encode_lengths


class LengthsTests(SynchronousTestCase):
    @given(st.lists(st.integers(0, 2**20)), st.binary(max_size=5))
    def test_lengths_are_read_back_whatever_follows(self, lengths: list[int], rest: bytes) -> None:
        ends = [sum(lengths[: index + 1]) for index in range(len(lengths))]
        data = encode_lengths(ends)
        self.assertEqual(len(data), LENGTH * len(lengths))
        self.assertEqual(list(decode_lengths(data + rest, len(lengths))), lengths)

    def test_lengths_are_big_endian(self) -> None:
        self.assertEqual(encode_lengths([1, 259]), b"\0\0\0\1\0\0\1\2")

    def test_lengths_that_are_cut_off_are_refused(self) -> None:
        with self.assertRaises(ValueError):
            decode_lengths(b"\0\0\0\1", 2)
