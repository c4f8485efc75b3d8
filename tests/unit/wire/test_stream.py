"""What a relay sends in a session: runs of messages and control frames, in order, in any chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire import control
from relay.wire.framing import Frames, MessageTooLong
from relay.wire.stream import Piece, SessionStream
from tests.kit.fakes import frame

LIMIT = 40
parts = st.lists(st.tuples(st.booleans(), st.binary(max_size=LIMIT)), max_size=20)


def flat(pieces: list[Piece]) -> list[tuple[bool, bytes]]:
    """Each frame by itself: whether it is a control frame, and its bytes; runs have no boundaries of their own."""
    found: list[tuple[bool, bytes]] = []
    for piece in pieces:
        if isinstance(piece, Frames):
            assert piece.messages > 0
            data = bytes(piece.data)
            count = 0
            while data:
                size = 4 + int.from_bytes(data[:4])
                found.append((False, data[4:size]))
                data, count = data[size:], count + 1
            assert count == piece.messages
        else:
            found.append((True, piece))
    return found


class SessionStreamTests(SynchronousTestCase):
    @given(parts, st.integers(1, 100))
    def test_any_chunks_give_the_whole(self, sent: list[tuple[bool, bytes]], size: int) -> None:
        data = b"".join(control.frame(body) if speaks else frame(body) for speaks, body in sent)
        stream = SessionStream(LIMIT)
        found: list[Piece] = []
        for start in range(0, len(data), size):
            found += stream.split(data[start : start + size])
        self.assertEqual(flat(found), sent)
        self.assertEqual(stream.partial, 0)

    def test_the_longest_control_frame_is_one_and_one_byte_more_is_a_message_that_is_too_long(self) -> None:
        body = bytes(control.MAX_CONTROL)
        self.assertEqual(SessionStream(LIMIT).split(control.frame(body)), [body])
        self.assertRaises(MessageTooLong, SessionStream(LIMIT).split, control.frame(body + b"x"))

    def test_the_limit_can_be_learned_on_the_way(self) -> None:
        stream = SessionStream(LIMIT)
        stream.split(frame(bytes(LIMIT)))
        stream.limit = 3
        self.assertEqual(flat(stream.split(frame(b"one"))), [(False, b"one")])
        self.assertRaises(MessageTooLong, stream.split, frame(b"four"))

    def test_messages_in_a_row_are_one_run(self) -> None:
        self.assertEqual(len(SessionStream(LIMIT).split(frame(b"a") * 100)), 1)

    @given(st.integers(1, 20))
    def test_a_message_that_is_too_long_ends_it_after_what_came_before(self, size: int) -> None:
        data = frame(b"one") + control.frame(b"{}") + frame(bytes(LIMIT + 1)) + frame(b"two")
        stream = SessionStream(LIMIT)
        found: list[Piece] = []
        with self.assertRaises(MessageTooLong):
            for start in range(0, len(data), size):
                try:
                    found += stream.split(data[start : start + size])
                except MessageTooLong:
                    found += stream.pieces
                    raise
        self.assertEqual(flat(found), [(False, b"one"), (True, b"{}")])
        self.assertEqual(stream.split(frame(b"three")), [])
