"""What a subscriber gets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.events import Message, Run
from relay.wire.framing import Frames
from relay.wire.position import Position
from tests.kit.fakes import frame

FRAMES = Frames(frame(b"one") + frame(b"") + frame(b"three"), 3, 20)


class RunTests(SynchronousTestCase):
    def test_it_has_messages_with_positions(self) -> None:
        run = Run(FRAMES, "ab", 7)
        self.assertEqual(
            list(run.messages()), [Message(b"one", "ab", 7), Message(b"", "ab", 8), Message(b"three", "ab", 9)]
        )
        self.assertEqual(run.last, Position("ab", 9))
        self.assertEqual([message.position for message in run.messages()][-1], Position("ab", 9))

    def test_without_a_session_there_are_no_positions(self) -> None:
        run = Run(FRAMES, None, 1)
        self.assertIsNone(run.last)
        self.assertEqual([message.position for message in run.messages()], [None] * 3)
