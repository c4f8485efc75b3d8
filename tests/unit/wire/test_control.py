"""Control frames: written and read again, and everything else refused in words."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.control import CARRIERS, CONTROL, MAX_CONTROL, BadControl, frame, is_control, read, write
from relay.wire.digits import Netstring, Octet
from relay.wire.framing import MessageTooLong
from relay.wire.varint import Varint

keys = st.text(max_size=5).filter(lambda key: key != "lost")
values = st.dictionaries(keys, st.one_of(st.integers(), st.text(), st.booleans()), max_size=5)


class ControlTests(SynchronousTestCase):
    @given(values)
    def test_what_was_written_is_read_again(self, known: dict[str, object]) -> None:
        self.assertEqual(read(write(known)), known)

    def test_what_is_none_is_left_out_except_what_nobody_knows_to_be_lost(self) -> None:
        self.assertEqual(write({"name": None, "lost": None, "a": 0}), b'{"lost":null,"a":0}')

    def test_the_header_is_the_length_above_all_lengths_of_messages(self) -> None:
        self.assertEqual(frame(b"{}"), b"\x80\0\0\x02{}")
        for header, expected in (
            *((CONTROL - 1, False), (CONTROL, True), (CONTROL + MAX_CONTROL, True)),
            *((CONTROL + MAX_CONTROL + 1, False), (0, False), (2**32 - 1, False)),
        ):
            self.assertIs(is_control(header), expected, header)

    def test_in_each_framing_a_control_frame_is_longer_than_all_messages(self) -> None:
        self.assertEqual(frame(b"{}", Varint), b"\x82\x80\x80\x80\x08{}")
        self.assertEqual(frame(b"{}", Octet), b"2147483650 {}")
        self.assertEqual(frame(b"{}", Netstring), b"2147483650:{},")
        for carrier in CARRIERS:
            _, length = carrier.measure(frame(bytes(MAX_CONTROL), carrier), 0) or (0, 0)
            self.assertTrue(is_control(length))
            self.assertEqual(length - CONTROL, MAX_CONTROL)
            self.assertRaises(MessageTooLong, carrier(2**31 - 1).receive, frame(b"{}", carrier))

    def test_what_is_no_json_object_is_refused(self) -> None:
        for body in (
            *(b"", b"1", b"[]", b'"a"', b"null", b"{", b"{} x", b"{'a': 1}", b'{"a": 01}'),
            *(b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1, "a": 1}', b'{"b": {"a": 1, "a": 2}}'),
            *(b"\xff", b'{"a": "\xc3"}', b"[" * 2000, b'{"a":' * 800),
        ):
            with self.assertRaises(BadControl) as refused:
                read(body)
            self.assertIn("a control frame must be", str(refused.exception))

    def test_no_bytes_do_anything_else(self) -> None:
        @given(st.binary(max_size=60))
        def check(body: bytes) -> None:
            with contextlib.suppress(BadControl):
                self.assertIsInstance(read(body), dict)

        check()
