"""What all framings have in common: what they pass on is a copy or a view, and an error says what came."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from relay.wire.framing import VIEW, BadFrame, Frames, MessageTooLong
from tests.kit.fakes import frame
from tests.kit.framings import LIMIT


class FramingTests(SynchronousTestCase):
    def test_what_came_whole_is_passed_on_without_a_copy(self) -> None:
        data = frame(b"x" * 10) * 5
        [(out, messages, held)] = Int32(LIMIT).receive(data)
        self.assertIs(out, data)
        self.assertEqual((messages, held), (5, len(data)))

    def test_a_large_read_that_came_whole_is_no_view_of_itself(self) -> None:
        data = frame(b"x" * VIEW)
        [(out, _, held)] = Int32(VIEW).receive(data)
        self.assertIs(out, data)
        self.assertEqual(held, len(data))

    def test_a_part_is_a_view_if_it_is_large_and_half_of_its_read_at_least(self) -> None:
        for size, rest, view in (
            (VIEW, 4, True),
            (VIEW - 1, 4, False),
            (10, 4, False),
            (2 * VIEW, 2 * VIEW, True),
            (2 * VIEW, 2 * VIEW + 2, False),
        ):
            data = frame(b"x" * (size - 4)) + frame(b"y" * 9 * VIEW)[:rest]
            [(out, messages, held)] = Int32(9 * VIEW).receive(data)
            self.assertEqual((len(out), messages), (size, 1))
            self.assertEqual((isinstance(out, memoryview), held), (view, len(data) if view else size), (size, rest))

    def test_most_of_a_large_read_is_passed_on_as_a_view_that_is_charged_the_read(self) -> None:
        framing = Int32(VIEW)
        framing.receive(frame(b"begun")[:-1])
        data = b"n" + frame(b"x" * 1020) * (2 * VIEW // 1024) + b"\0\0"
        first, second = framing.receive(data)
        self.assertEqual(first, Frames(frame(b"begun"), 1, 9))
        self.assertIsInstance(second.data, memoryview)
        self.assertEqual(second.data, data[1:-2])
        self.assertEqual(second.held, len(data))

    def test_little_of_a_large_read_is_copied_so_that_it_does_not_keep_it(self) -> None:
        data = frame(b"x" * VIEW) + frame(b"y" * 9 * VIEW)[:-1]
        [(out, messages, held)] = Int32(9 * VIEW).receive(data)
        self.assertIsInstance(out, bytes)
        self.assertEqual((messages, held), (1, VIEW + 4))

    def test_the_error_says_how_long_and_how_long_is_allowed(self) -> None:
        error = MessageTooLong(100_000, 99_999, b"", [])
        self.assertEqual(str(error), "a message of 100,000 bytes, more than the limit of 99,999 bytes")
        error = MessageTooLong(None, 99_999, b"", [])
        self.assertEqual(str(error), "a message of more than the limit of 99,999 bytes")

    def test_the_error_says_why_the_connection_ends(self) -> None:
        self.assertIs(MessageTooLong(1, 0, b"", []).reason, CloseReason.MESSAGE_TOO_LONG)
        self.assertIs(BadFrame("nonsense", b"", []).reason, CloseReason.BAD_FRAME)
