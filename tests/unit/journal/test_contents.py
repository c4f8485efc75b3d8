"""What stands in records: names, epochs, seals and lengths are read back; what no relay writes is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.journal.contents import (
    TRAILER_SIZE,
    BadContents,
    End,
    Entry,
    Seal,
    decode_epochs,
    decode_names,
    decode_seal,
    encode_epochs,
    encode_names,
    encode_seal,
    seal_offset,
)
from relay.wire.position import Epoch

NUMBERS = st.integers(0, 2**64 - 1)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = [(("", "sensor-7"), 1234), (("CN=Größe", "é"), 2**63)]
EPOCHS = [Epoch("5289cfdd2847", 1), Epoch("f" * 32, 1000)]
SEAL = Seal([Entry(1, 103, 5), Entry(1000, 2**40, 6)], End.CLOSED, 2**41)


class ContentsTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.tuples(WORDS, WORDS), NUMBERS)))
    def test_names_are_read_back(self, names: list[tuple[tuple[str, str], int]]) -> None:
        self.assertEqual(list(decode_names(encode_names(names))), names)

    @given(st.lists(st.builds(Epoch, st.text("0123456789abcdef", min_size=1, max_size=32), NUMBERS)))
    def test_epochs_are_read_back(self, epochs: list[Epoch]) -> None:
        self.assertEqual(decode_epochs(encode_epochs(epochs)), epochs)

    @given(st.builds(Seal, st.lists(st.builds(Entry, NUMBERS, NUMBERS, NUMBERS)), st.sampled_from(End), NUMBERS))
    def test_a_seal_is_read_back_and_found_from_its_end(self, seal: Seal) -> None:
        data = encode_seal(seal)
        self.assertEqual(decode_seal(data), seal)
        self.assertEqual(seal_offset(data[-TRAILER_SIZE:]), seal.offset)

    def test_what_is_cut_off_is_refused(self) -> None:
        whole = encode_names(NAMES)
        boundary = len(encode_names(NAMES[:1]))
        for size in set(range(len(whole))) - {0, boundary}:
            with self.assertRaises(BadContents):
                list(decode_names(whole[:size]))
        with self.assertRaises(BadContents):
            decode_epochs(encode_epochs(EPOCHS)[:-1])
        with self.assertRaises(BadContents):
            decode_seal(encode_seal(SEAL)[1:])
        with self.assertRaises(BadContents):
            decode_seal(b"short")

    def test_what_no_relay_writes_is_refused(self) -> None:
        with self.assertRaises(BadContents):
            list(decode_names(encode_names([(("", "x"), 1)])[:-1] + b"\xff"))
        with self.assertRaises(BadContents):
            decode_epochs(b"\xff" * 40)
        with self.assertRaises(BadContents):
            decode_seal(b"\x09" + bytes(8))
