"""No framing at all: a read is a message."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.framing import Frames
from relay.wire.raw import Raw
from tests.kit.framings import LIMIT, fed, wire


class RawTests(SynchronousTestCase):
    def test_a_read_is_a_message(self) -> None:
        framing = Raw(LIMIT)
        self.assertEqual(framing.receive(b"abc"), [Frames(b"abc", 1, 3)])
        self.assertEqual(framing.partial, 0)

    @example(b"x" * (2 * LIMIT + 1))
    @given(st.binary(min_size=1, max_size=4 * LIMIT))
    def test_a_read_over_the_limit_is_cut_and_not_refused(self, data: bytes) -> None:
        found, _ = fed(Raw(LIMIT), [data])
        self.assertEqual(wire(found), data)
        self.assertEqual([len(frames.data) for frames in found[:-1]], [LIMIT] * (len(found) - 1))
        self.assertEqual([frames.messages for frames in found], [1] * len(found))

    def test_it_has_one_end(self) -> None:
        self.assertEqual(list(Raw.ends(b"abc")), [3])

    def test_there_is_no_empty_message(self) -> None:
        self.assertEqual(Raw.frame(b"x"), b"x")
        self.assertRaises(ValueError, Raw.frame, b"")
