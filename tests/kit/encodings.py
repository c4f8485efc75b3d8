"""Messages to be encoded."""

from __future__ import annotations

from hypothesis import strategies as st

EPOCH = "0123456789ab"
texts = st.text(st.sampled_from("\n\r\0 :dé€🙂\ufeff\u2028\x85"), max_size=12).map(str.encode)
messages = st.lists(st.one_of(texts, st.binary(max_size=200)), max_size=20)
positions = st.sampled_from([1, 2, 9, 99, 2**63])
SIZES_OF_HEADERS = (0, 125, 126, 65535, 65536, 0)
"""Lengths of messages, such that a WebSocket frame has each of its sizes of header."""
