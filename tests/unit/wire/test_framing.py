"""The framings against a naive model: any chunking of a stream gives what the whole of it gives."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.framing import FRAMINGS, VIEW, Frames, Framing, Int32, Line, MessageTooLong, Raw
from tests.kit.fakes import frame

LIMIT = 40


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at those places, as far as they are inside it."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:stop] for start, stop in pairwise(places)]


def fed(framing: Framing, chunks: list[bytes]) -> tuple[list[Frames], MessageTooLong | None]:
    """All frames that come out, and the error, after which the rest is fed too."""
    found: list[Frames] = []
    raised: MessageTooLong | None = None
    for chunk in chunks:
        try:
            found += framing.receive(chunk)
        except MessageTooLong as error:
            assert raised is None, "raised twice"
            found += error.frames
            raised = error
    return found, raised


def wire(found: list[Frames]) -> bytes:
    return b"".join(frames.data for frames in found)


def split(framing: type[Framing], found: list[Frames]) -> list[bytes]:
    """The single messages as they are on the wire, by `ends`, which has to agree with the counts."""
    messages = []
    for frames in found:
        ends = framing.ends(frames.data)
        assert len(ends) == frames.messages, "ends and messages disagree"
        messages += [bytes(frames.data[start:stop]) for start, stop in pairwise([0, *ends])]
    return messages


cut_places = st.lists(st.integers(1, 400), max_size=30)
# Small sizes make equal lengths in a row likely, which take another path through the code.
payloads = st.lists(st.one_of(st.binary(max_size=LIMIT), st.just(b""), st.just(b"abc"), st.just(b"abcd")), max_size=30)
runs = st.lists(st.tuples(st.sampled_from([b"", b"a", b"bb"]), st.integers(1, 30)), max_size=6)


class Int32Tests(SynchronousTestCase):
    @given(payloads, cut_places)
    def test_any_chunking_gives_the_same_messages(self, messages: list[bytes], cuts: list[int]) -> None:
        stream = [frame(message) for message in messages]
        found, error = fed(Int32(LIMIT), chunked(b"".join(stream), cuts))
        self.assertIsNone(error)
        self.assertEqual(split(Int32, found), stream)

    @given(runs, cut_places)
    def test_runs_of_one_length_are_counted_exactly(self, groups: list[tuple[bytes, int]], cuts: list[int]) -> None:
        stream = [frame(message) for message, times in groups for _ in range(times)]
        found, error = fed(Int32(LIMIT), chunked(b"".join(stream), cuts))
        self.assertIsNone(error)
        self.assertEqual(split(Int32, found), stream)

    @given(payloads, st.integers(LIMIT + 1, 2**32 - 1), st.binary(max_size=99), cut_places)
    def test_the_error_is_at_the_same_place_and_nothing_follows_it(
        self, messages: list[bytes], length: int, rest: bytes, cuts: list[int]
    ) -> None:
        stream = [frame(message) for message in messages]
        framing = Int32(LIMIT)
        found, error = fed(framing, chunked(b"".join(stream) + pack("!I", length) + rest + frame(b"late") * 3, cuts))
        self.assertEqual(split(Int32, found), stream)
        assert error is not None
        self.assertEqual((error.length, error.limit, error.start), (length, LIMIT, pack("!I", length)))
        self.assertEqual(framing.receive(frame(b"later")), [])
        self.assertEqual(framing.partial, 0)

    @given(st.binary(max_size=LIMIT), st.integers(0, LIMIT + 3))
    def test_an_incomplete_message_waits(self, message: bytes, cut: int) -> None:
        whole = frame(message)
        part = whole[: min(cut, len(whole) - 1)]
        framing = Int32(LIMIT)
        self.assertEqual(framing.receive(part), [])
        self.assertEqual(framing.partial, len(part))
        self.assertEqual(wire(framing.receive(whole[len(part) :])), whole)
        self.assertEqual(framing.partial, 0)

    def test_a_message_at_the_limit_is_taken(self) -> None:
        self.assertEqual(wire(Int32(LIMIT).receive(frame(b"x" * LIMIT))), frame(b"x" * LIMIT))

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

    def test_a_run_ends_with_a_header_that_differs_in_any_byte(self) -> None:
        """Headers in a run are compared byte by byte, at a distance, where payload may look like a header."""
        for length in (0, 2, 256, 257, 65_536, 65_537):
            for payload in (b"\0", b"\1", b"\2"):
                for behind in (b"\0", b"\1"):
                    stream = [frame(payload)] * 12 + [frame(behind * length)] + [frame(payload)] * 50
                    [(out, messages, _)] = Int32(99_999).receive(b"".join(stream))
                    self.assertEqual((messages, len(out)), (len(stream), sum(map(len, stream))))
                    self.assertEqual(split(Int32, [Frames(out, messages, 0)]), stream)

    def test_the_error_says_how_long_and_how_long_is_allowed(self) -> None:
        error = MessageTooLong(100_000, 99_999, b"", [])
        self.assertEqual(str(error), "a message of 100,000 bytes, more than the limit of 99,999 bytes")
        error = MessageTooLong(None, 99_999, b"", [])
        self.assertEqual(str(error), "a message of more than the limit of 99,999 bytes")

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

    def test_a_dribbled_message_takes_memory_as_it_comes_and_not_as_it_was_announced(self) -> None:
        framing = Int32(2**30)
        framing.receive(pack("!I", 2**30))
        for _ in range(1000):
            framing.receive(b"ab")
        self.assertEqual(framing.partial, 2004)
        self.assertLess(framing._partial.__sizeof__(), 3000)


class LineTests(SynchronousTestCase):
    lines = st.lists(st.binary(max_size=LIMIT).map(lambda line: line.replace(b"\n", b"")), max_size=30)

    @given(lines, st.binary(max_size=LIMIT).map(lambda line: line.replace(b"\n", b"")), cut_places)
    def test_any_chunking_gives_the_same_messages(self, lines: list[bytes], rest: bytes, cuts: list[int]) -> None:
        stream = [line + b"\n" for line in lines]
        framing = Line(LIMIT)
        found, error = fed(framing, chunked(b"".join(stream) + rest, cuts))
        self.assertIsNone(error)
        self.assertEqual(split(Line, found), stream)
        self.assertEqual(framing.partial, len(rest))

    @given(lines, st.integers(LIMIT + 1, 3 * LIMIT), cut_places)
    def test_the_error_is_at_the_same_place_and_nothing_follows_it(
        self, lines: list[bytes], length: int, cuts: list[int]
    ) -> None:
        stream = [line + b"\n" for line in lines]
        framing = Line(LIMIT)
        found, error = fed(framing, chunked(b"".join(stream) + b"x" * length + b"\nlate\n\n", cuts))
        self.assertEqual(split(Line, found), stream)
        assert error is not None
        self.assertIsNone(error.length)
        self.assertEqual(error.start, b"x" * 16)
        self.assertEqual(framing.receive(b"later\n"), [])
        self.assertEqual(framing.partial, 0)

    def test_a_line_at_the_limit_is_taken_whole_or_in_two(self) -> None:
        line = b"x" * LIMIT + b"\n"
        self.assertEqual(wire(Line(LIMIT).receive(b"a\n" + line)), b"a\n" + line)
        framing = Line(LIMIT)
        self.assertEqual(framing.receive(line[:-1]), [])
        self.assertEqual(wire(framing.receive(line[-1:])), line)

    def test_carriage_returns_are_sent_on_and_the_last_one_of_a_line_is_no_part_of_its_message(self) -> None:
        frames = split(Line, Line(LIMIT).receive(b"a\r\nb\rc\n\n\r\r\n"))
        self.assertEqual(frames, [b"a\r\n", b"b\rc\n", b"\n", b"\r\r\n"])
        self.assertEqual([Line.message(frame) for frame in frames], [b"a", b"b\rc", b"", b"\r"])


class RawTests(SynchronousTestCase):
    def test_a_read_is_a_message(self) -> None:
        framing = Raw(LIMIT)
        self.assertEqual(framing.receive(b"abc"), [Frames(b"abc", 1, 3)])
        self.assertEqual(framing.partial, 0)

    @example(b"x" * (2 * LIMIT + 1))
    @given(st.binary(min_size=1, max_size=4 * LIMIT))
    def test_a_read_over_the_limit_is_cut_and_not_refused(self, data: bytes) -> None:
        found = Raw(LIMIT).receive(data)
        self.assertEqual(wire(found), data)
        self.assertEqual([len(frames.data) for frames in found[:-1]], [LIMIT] * (len(found) - 1))
        self.assertEqual([frames.messages for frames in found], [1] * len(found))

    def test_it_has_one_end(self) -> None:
        self.assertEqual(list(Raw.ends(b"abc")), [3])


class CostTests(SynchronousTestCase):
    """No input may cost more than a small multiple of its length: counted in looks, not in time."""

    def test_the_table_has_all_framings(self) -> None:
        self.assertEqual(FRAMINGS, {"int32": Int32, "line": Line, "raw": Raw})
        self.assertEqual([framing.self_delimiting for framing in FRAMINGS.values()], [True, True, False])

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
