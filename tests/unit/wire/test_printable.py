"""Text from peers, as it is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.printable import escaped, printable


class PrintableTests(SynchronousTestCase):
    def test_what_can_be_seen_stays_and_all_else_is_spelled(self) -> None:
        for data, text in (
            (b"hello, <b>world</b> & co", "hello, <b>world</b> & co"),
            ("Grüße 漢字 🙂".encode(), "Grüße 漢字 🙂"),
            (b"a\nb\tc\0\x1b[31m\x7f", r"a\nb\tc\x00\x1b[31m\x7f"),
            (b"\xff\xfeok\xc3", r"\xff\xfeok\xc3"),
            (b"C:\\new", r"C:\\new"),
            ("abc\u202edef\u200b\u2028".encode(), r"abc\u202edef\u200b\u2028"),
            ("\U000e0001".encode(), r"\U000e0001"),
            ("\ud800".encode("utf-8", "surrogatepass"), r"\xed\xa0\x80"),
        ):
            self.assertEqual(printable(data), text)

    def test_a_character_that_was_cut_is_left_out(self) -> None:
        smile = "🙂".encode()
        for kept in range(1, 4):
            self.assertEqual(printable(b"a" + smile[:kept], whole=False), "a")
            self.assertEqual(printable(b"a" + smile[:kept]), "a" + "".join(f"\\x{byte:02x}" for byte in smile[:kept]))

    @given(st.text())
    def test_any_text_is_shown_as_one_line_and_what_prints_stays(self, text: str) -> None:
        shown = escaped(text)
        self.assertTrue(shown.isprintable())
        self.assertEqual(shown == text, text.isprintable())

    @given(st.binary(max_size=300), st.booleans())
    def test_any_bytes_are_one_line_of_text(self, data: bytes, whole: bool) -> None:
        text = printable(data, whole)
        self.assertTrue(text.isprintable())
        text.encode()
