"""Messages to be encoded, and what holds for every encoding."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.encoding import Encoding

EPOCH = "0123456789ab"
texts = st.text(st.sampled_from("\n\r\0 :dé€🙂\ufeff\u2028\x85"), max_size=12).map(str.encode)
messages = st.lists(st.one_of(texts, st.binary(max_size=200)), max_size=20)
positions = st.sampled_from([1, 2, 9, 99, 2**63])
SIZES_OF_HEADERS = (0, 125, 126, 65535, 65536, 0)
"""Lengths of messages, such that a WebSocket frame has each of its sizes of header."""


class EncodingCase(SynchronousTestCase):
    def check(self, encoding: Encoding, sent: list[bytes], position: int) -> None:
        whole = encoding.encode(sent, position)
        ends = list(encoding.ends(whole))
        self.assertEqual(ends, list(encoding.ends(memoryview(b"x" + whole)[1:])), "a view is as good as bytes")
        parts = [whole[start:stop] for start, stop in pairwise([0, *ends])]
        self.assertEqual(parts, [encoding.encode([message], at) for at, message in enumerate(sent, position)])
        self.assertEqual(b"".join(parts), whole)
