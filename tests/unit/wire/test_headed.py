"""A head before each message, as a class of one's own has it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.framing import BadFrame, Buffer
from relay.wire.headed import FEW, LONGEST_HEAD, Headed, equal
from tests.kit.framings import LIMIT, FramingContract, split


class Marked(Headed):
    """A mark of two bytes, flags that mean nothing, and a length. A message ends with a full stop."""

    trailer = b"."

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        if not b"ab".startswith(bytes(data[start : start + 2])):
            raise ValueError("no mark")
        return (4, data[start + 3]) if len(data) - start >= 4 else None

    @classmethod
    def head(cls, length: int) -> bytes:
        return b"ab" + bytes([length % 7, length])


class Endless(Headed):
    """It never knows how long a message is."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        return None


class Nothing(Headed):
    """Its messages have no bytes at all."""

    @classmethod
    def measure(cls, data: Buffer | bytearray, start: int) -> tuple[int, int] | None:
        return 0, 0


class HeadedTests(FramingContract, SynchronousTestCase):
    framing = Marked
    wrong = (b"ab\0\x29", b"ab\0\x29"), (b"ac", b"a"), (b"x", b"x"), (b"ab\0\x01xx", b"ab\0\x01")

    def test_heads_of_one_length_that_differ_cost_no_more_than_others(self) -> None:
        """Only whole heads are compared: flags that change with each message must not make each look at all others."""
        looks = 0

        class Counted(bytes):
            def __getitem__(self, key):  # type: ignore[no-untyped-def]
                nonlocal looks
                found = super().__getitem__(key)
                looks += len(found) if isinstance(found, bytes) else 1
                return found

        stream = [b"ab" + bytes([number % 251, 1]) + b"x." for number in range(2000)]
        [(out, messages, _)] = Marked(LIMIT).receive(Counted(b"".join(stream)))
        self.assertEqual((messages, len(out)), (2000, 12_000))
        self.assertLess(looks, (FEW + 8) * 12_000)
        self.assertEqual(split(Marked, Marked(LIMIT).receive(b"".join(stream))), stream)

    def test_who_never_knows_how_long_a_message_is_refuses_it(self) -> None:
        framing = Endless(LIMIT)
        self.assertEqual(framing.receive(b"x" * (LONGEST_HEAD - 1)), [])
        self.assertRaises(BadFrame, framing.receive, b"x")
        self.assertRaises(BadFrame, Endless(LIMIT).receive, b"x" * 99)

    def test_a_message_without_a_byte_ends_nothing_and_is_refused_in_the_end(self) -> None:
        framing = Nothing(LIMIT)
        self.assertRaises(BadFrame, framing.receive, b"x" * 99)

    def test_frames_are_equal_as_far_as_all_bytes_that_frame_them_are(self) -> None:
        self.assertEqual(equal(b"a1.a2.a3,a4.", 0, 3, 4, 1, 1), 2)
        self.assertEqual(equal(b"a1.a2.a3,a4.", 0, 3, 4, 1), 4)
        self.assertEqual(equal(b"xa1.b2.", 1, 3, 2, 1), 1)
