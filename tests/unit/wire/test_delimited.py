"""A delimiter behind each message: `line`, `cr` and `nul`."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.delimited import Cr, Delimited, Line, Nul
from relay.wire.framing import MessageTooLong
from tests.kit.framings import LIMIT, FramingContract, chunked, cut_places, fed, split, wire

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


class DropTests(SynchronousTestCase):
    """What is too long is dropped up to its delimiter, if somebody says so."""

    def fed(self, kind: type[Delimited], chunks: list[bytes]) -> tuple[list[bytes], int, Delimited]:
        """The messages that come out, how many were dropped, and the framing."""
        dropped: list[MessageTooLong] = []
        framing = kind(LIMIT)
        framing.drop = lambda error: not dropped.append(error)  # type: ignore[func-returns-value]
        found, error = fed(framing, chunks)
        self.assertIsNone(error)
        for one in dropped:
            self.assertEqual((one.length, one.limit), (None, LIMIT))
        return split(kind, found), len(dropped), framing

    def test_all_others_come_out_in_order_however_the_stream_is_cut(self) -> None:
        lengths = st.lists(st.sampled_from([0, 1, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, 3 * LIMIT]), max_size=12)

        @given(st.sampled_from(KINDS), lengths, st.integers(0, 3 * LIMIT), cut_places)
        def check(kind: type[Delimited], lengths: list[int], rest: int, cuts: list[int]) -> None:
            stream = [b"%c" % (65 + at) * length + kind.delimiter for at, length in enumerate(lengths)]
            found, dropped, framing = self.fed(kind, chunked(b"".join(stream) + b"x" * rest, cuts))
            self.assertEqual(found, [one for one in stream if len(one) <= LIMIT + 1])
            self.assertEqual(dropped, sum(length > LIMIT for length in (*lengths, rest)))
            self.assertEqual(framing.partial, rest if rest <= LIMIT else 0)

        check()

    def test_who_says_no_in_the_middle_gets_the_error_there_and_nothing_after_it(self) -> None:
        answers = iter([True, False])
        framing = Line(LIMIT)
        framing.drop = lambda error: next(answers)
        long = b"x" * (LIMIT + 1) + b"\n"
        found, error = fed(framing, [b"one\n" + long + b"two\n" + long + b"three\n", b"four\n"])
        self.assertEqual(wire(found), b"one\ntwo\n")
        self.assertIsInstance(error, MessageTooLong)

    def test_what_is_dropped_takes_no_memory_and_is_looked_at_once(self) -> None:
        looked = 0

        class Counted(bytes):
            def find(self, sub, start=0, stop=None):  # type: ignore[no-untyped-def]
                nonlocal looked
                found = super().find(sub, start, len(self) if stop is None else stop)
                looked += (found if found >= 0 else len(self)) - start
                return found

            def __getitem__(self, key):  # type: ignore[no-untyped-def]
                nonlocal looked
                found = super().__getitem__(key)
                looked += len(found) if isinstance(found, bytes) else 1
                return found

        chunks = [Counted((b"x" * (LIMIT + 1) + b"\n") * 1000), *[Counted(b"x" * 1000)] * 50, Counted(b"\nend\n")]
        found, dropped, framing = self.fed(Line, list(chunks))
        self.assertEqual((found, dropped), ([b"end\n"], 1001))
        self.assertLess(looked, 2 * sum(map(len, chunks)))
        self.assertLess(framing._partial.__sizeof__(), 1000)
