"""A delimiter behind each message: `line`, `cr` and `nul`."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.delimited import Cr, Delimited, Line, Nul
from relay.wire.framing import MessageTooLong
from tests.kit.framings import LIMIT, FramingContract, split

KINDS: list[type[Delimited]] = [Line, Cr, Nul]


class DelimitedContract(FramingContract):
    """What holds whatever the delimiter is."""

    wrong = (b"x" * (LIMIT + 1), b"x" * 16), (b"y" * (3 * LIMIT), b"y" * 16)
    framing: ClassVar[type[Delimited]]

    @classmethod
    def allowed(cls, message: bytes) -> bytes:
        return message.replace(cls.framing.delimiter, b"")


class LineTests(DelimitedContract, SynchronousTestCase):
    framing = Line

    @classmethod
    def allowed(cls, message: bytes) -> bytes:
        return super().allowed(message).rstrip(b"\r")

    def test_carriage_returns_are_sent_on_and_the_last_one_of_a_line_is_no_part_of_its_message(self) -> None:
        frames = split(Line, Line(LIMIT).receive(b"a\r\nb\rc\n\n\r\r\n"))
        self.assertEqual(frames, [b"a\r\n", b"b\rc\n", b"\n", b"\r\r\n"])
        self.assertEqual([Line.message(frame) for frame in frames], [b"a", b"b\rc", b"", b"\r"])

    def test_two_looks_for_a_terminator_cover_the_limit(self) -> None:
        """Lines that alternate between empty and as long as allowed are the worst that `_whole` can be given."""

        class Counted(bytes):
            looks = 0

            def rfind(self, *args: object) -> int:
                Counted.looks += 1
                return super().rfind(*args)  # type: ignore[arg-type]

        data = (b"\n" + b"x" * LIMIT + b"\n") * 100
        [(out, messages, _)] = Line(LIMIT).receive(Counted(data))
        self.assertEqual((out, messages), (data, 200))
        self.assertLessEqual(Counted.looks, 2 + 2 * len(data) // LIMIT)


class CrTests(DelimitedContract, SynchronousTestCase):
    framing = Cr


class NulTests(DelimitedContract, SynchronousTestCase):
    framing = Nul


class DelimiterTests(SynchronousTestCase):
    def test_what_has_the_delimiter_in_it_is_no_message(self) -> None:
        for kind in KINDS:
            self.assertEqual(kind.frame(b"hi"), b"hi" + kind.delimiter)
            error = self.assertRaises(ValueError, kind.frame, b"h" + kind.delimiter + b"i")
            self.assertIn(kind.called, str(error))

    def test_the_error_has_no_length_and_the_first_bytes(self) -> None:
        with self.assertRaises(MessageTooLong) as caught:
            Line(LIMIT).receive(b"x" * 99)
        self.assertEqual((caught.exception.length, caught.exception.start), (None, b"x" * 16))
