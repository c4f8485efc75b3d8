"""Lengths of variable width, as Protocol Buffers write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.framing import BadFrame
from relay.wire.varint import Varint
from tests.kit.framings import LIMIT, FramingContract


class VarintTests(FramingContract, SynchronousTestCase):
    framing = Varint
    wrong = tuple((bad, bad) for bad in (b"\x29", b"\x80\x01", b"\xff\xff\xff\xff\x0f", b"\x80" * 5))

    def test_it_is_what_the_specification_says(self) -> None:
        self.assertEqual(Varint.head(1), b"\x01")
        self.assertEqual(Varint.head(150), b"\x96\x01")  # the example of the specification
        self.assertEqual(Varint.frame(b""), b"\0")

    @given(st.integers(0, 2**35 - 1))
    def test_a_length_is_read_as_it_was_written(self, length: int) -> None:
        head = Varint.head(length)
        self.assertEqual(Varint.measure(b"x" + head, 1), (len(head), length))
        for size in range(len(head)):
            self.assertIsNone(Varint.measure(head[:size], 0))

    def test_a_length_may_be_longer_than_it_must(self) -> None:
        self.assertEqual(Varint.message(b"\x82\x80\x00hi"), b"hi")

    def test_it_has_five_bytes_at_most(self) -> None:
        error = self.assertRaises(BadFrame, Varint(LIMIT).receive, b"\x80" * 5)
        self.assertEqual(str(error), "a length of more than 5 bytes")
