"""Lengths of fixed width: `int32` and `int16`."""

from __future__ import annotations

from struct import pack

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.counted import Int16, Int32
from relay.wire.framing import Frames, MessageTooLong
from tests.kit.fakes import frame
from tests.kit.framings import LIMIT, FramingContract, split


class Int32Tests(FramingContract, SynchronousTestCase):
    framing = Int32
    wrong = tuple((pack("!I", length), pack("!I", length)) for length in (LIMIT + 1, 2**31 - 1, 2**32 - 1))

    def test_the_error_has_the_length_and_the_header_and_no_more(self) -> None:
        with self.assertRaises(MessageTooLong) as caught:
            Int32(LIMIT).receive(pack("!I", 1000) + b"rest")
        error = caught.exception
        self.assertEqual((error.length, error.limit, error.start), (1000, LIMIT, pack("!I", 1000)))

    def test_a_run_ends_with_a_header_that_differs_in_any_byte(self) -> None:
        """Headers in a run are compared byte by byte, at a distance, where payload may look like a header."""
        for length in (0, 2, 256, 257, 65_536, 65_537):
            for payload in (b"\0", b"\1", b"\2"):
                for behind in (b"\0", b"\1"):
                    stream = [frame(payload)] * 12 + [frame(behind * length)] + [frame(payload)] * 50
                    [(out, messages, _)] = Int32(99_999).receive(b"".join(stream))
                    self.assertEqual((messages, len(out)), (len(stream), sum(map(len, stream))))
                    self.assertEqual(split(Int32, [Frames(out, messages, 0)]), stream)

    def test_a_dribbled_message_takes_memory_as_it_comes_and_not_as_it_was_announced(self) -> None:
        framing = Int32(2**30)
        framing.receive(pack("!I", 2**30))
        for _ in range(1000):
            framing.receive(b"ab")
        self.assertEqual(framing.partial, 2004)
        self.assertLess(framing._partial.__sizeof__(), 3000)

    def test_it_is_what_twisted_writes(self) -> None:
        self.assertEqual(Int32.frame(b"hi"), b"\0\0\0\x02hi")


class Int16Tests(FramingContract, SynchronousTestCase):
    framing = Int16
    wrong = tuple((pack("!H", length), pack("!H", length)) for length in (LIMIT + 1, 2**15, 2**16 - 1))

    def test_it_has_no_longer_message_than_its_lengths_can_say(self) -> None:
        self.assertEqual(Int16.frame(bytes(65_535))[:2], b"\xff\xff")
        self.assertRaises(ValueError, Int16.frame, bytes(65_536))

    def test_a_run_ends_with_a_header_that_differs_in_any_byte(self) -> None:
        for length in (0, 2, 256, 257):
            stream = [Int16.frame(b"\1")] * 12 + [Int16.frame(bytes(length))] + [Int16.frame(b"\1")] * 50
            [(out, messages, _)] = Int16(99_999).receive(b"".join(stream))
            self.assertEqual((messages, len(out)), (len(stream), sum(map(len, stream))))
            self.assertEqual(split(Int16, [Frames(out, messages, 0)]), stream)
