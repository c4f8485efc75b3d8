"""What is true of every encoding: a message stands by itself in it, and its end is found again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.encoding import Encoding
from relay.wire.events import EventEncoding
from relay.wire.websocket import binary, text
from tests.kit.encodings import EPOCH, SIZES_OF_HEADERS, messages, positions

ENCODINGS: dict[str, Encoding] = {"events": EventEncoding(EPOCH), "binary": binary(), "text": text()}
"""All that there are."""


class EncodingTests(SynchronousTestCase):
    def parts(self, encoding: Encoding, data: bytes) -> list[bytes]:
        """What was encoded, cut where the encoding says that messages end."""
        return [data[start:stop] for start, stop in pairwise([0, *encoding.ends(data)])]

    @given(st.sampled_from(sorted(ENCODINGS)), messages, positions)
    @example("events", [bytes(length) for length in SIZES_OF_HEADERS], 1)
    @example("binary", [bytes(length) for length in SIZES_OF_HEADERS], 1)
    @example("text", [bytes(length) for length in SIZES_OF_HEADERS], 1)
    def test_between_any_two_messages_a_stream_can_begin_and_end(
        self, name: str, sent: list[bytes], position: int
    ) -> None:
        encoding = ENCODINGS[name]
        whole = encoding.encode(sent, position)
        alone = [encoding.encode([message], at) for at, message in enumerate(sent, position)]
        self.assertEqual(self.parts(encoding, whole), alone)
        self.assertEqual(b"".join(alone), whole)

    @given(st.sampled_from(sorted(ENCODINGS)), messages, positions)
    def test_the_ends_rise_to_the_last_which_is_the_end_of_all(
        self, name: str, sent: list[bytes], position: int
    ) -> None:
        encoding = ENCODINGS[name]
        whole = encoding.encode(sent, position)
        ends = list(encoding.ends(whole))
        self.assertEqual(len(ends), len(sent))
        self.assertTrue(all(start < stop for start, stop in pairwise([0, *ends])), "each message takes something")
        self.assertEqual([0, *ends][-1], len(whole))

    @given(st.sampled_from(sorted(ENCODINGS)), messages)
    def test_a_view_is_as_good_as_bytes(self, name: str, sent: list[bytes]) -> None:
        encoding = ENCODINGS[name]
        whole = encoding.encode(sent, 1)
        self.assertEqual(encoding.ends(memoryview(b"x" + whole)[1:]), encoding.ends(whole))

    def test_messages_are_taken_one_by_one_from_wherever_they_come(self) -> None:
        sent = [b"one", b"", b"\xff"]
        for encoding in ENCODINGS.values():
            self.assertEqual(encoding.encode(iter(sent), 7), encoding.encode(sent, 7))

    def test_it_is_known_by_the_word_of_its_feed(self) -> None:
        self.assertEqual({name: encoding.name for name, encoding in ENCODINGS.items()}, NAMES)


NAMES = {"events": "events", "binary": "ws", "text": "ws"}
"""How feeds are called in the log, in metrics and in JSON."""
