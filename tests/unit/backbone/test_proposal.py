"""Proposals are read as they were written, and nothing else is taken for one."""

from __future__ import annotations

import contextlib
from array import array

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.proposal import (
    FRAMING_CODES,
    VERSION,
    Claim,
    Contribution,
    NewerVersion,
    NoProposal,
    Part,
    Proposal,
    again,
    decode,
    encode,
)
from relay.wire.framings import FRAMINGS
from tests.kit.backbones import RELAY_A, contribution, proposal

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARTS = st.lists(
    st.builds(Claim, st.integers(1, 2**32 - 1), st.tuples(WORDS, WORDS))
    | st.builds(Contribution, st.integers(0, 9), st.integers(0, 2**64 - 1), st.integers(1, 5), st.integers(0, 50)),
    max_size=5,
)


class ProposalTests(SynchronousTestCase):
    def test_a_number_stands_for_each_framing_of_the_relay(self) -> None:
        self.assertEqual(set(FRAMING_CODES), set(FRAMINGS))
        self.assertEqual(len(set(FRAMING_CODES.values())), len(FRAMINGS))

    @given(st.binary(min_size=8, max_size=8), st.integers(1, 2**64 - 1), st.integers(0, 9), PARTS)
    def test_it_is_read_as_it_was_written(self, relay: bytes, number: int, attempt: int, parts: list[Part]) -> None:
        size = sum(part.size for part in parts if isinstance(part, Contribution))
        written = Proposal(relay, number, attempt, "int32", parts, bytes(size), None)
        read = decode(encode(written))
        self.assertEqual(read._replace(data=bytes(read.data)), written)

    def test_where_frames_cannot_tell_their_ends_are_written(self) -> None:
        payload = proposal(1, (Contribution(0, 0, 2, 5), b"ab" + b"cde"), framing="raw", ends=[2, 5])
        read = decode(payload)
        self.assertEqual((bytes(read.data), read.ends), (b"abcde", array("I", [2, 5])))

    @given(st.binary(max_size=100))
    def test_no_bytes_are_more_than_refused(self, data: bytes) -> None:
        for payload in (data, b"RB\1\1" + data, b"RB\1\3" + data):
            with contextlib.suppress(NoProposal):
                decode(payload)

    def test_one_that_is_cut_off_anywhere_is_refused(self) -> None:
        payload = proposal(1, Claim(1, ("CN=me", "sensor-7")), contribution(b"one", b"two", claim=1, first=1))
        for size in range(len(payload)):
            with self.assertRaises(NoProposal):
                decode(payload[:size])
        with self.assertRaises(NoProposal):
            decode(payload + b"x")

    def test_one_of_a_newer_version_is_not_guessed_at(self) -> None:
        payload = proposal(1)
        with self.assertRaises(NewerVersion):
            decode(payload[:2] + bytes([VERSION + 1]) + payload[3:])

    def test_proposed_again_it_differs_in_the_attempt_only(self) -> None:
        payload = proposal(7, contribution(b"one"))
        self.assertEqual(again(payload, 3), proposal(7, contribution(b"one"), attempt=3, relay=RELAY_A))
