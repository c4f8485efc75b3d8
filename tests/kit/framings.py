"""What every framing has to do, whatever its bytes: the same messages for any chunking, and one error at one place."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.framing import BadFrame, Frames, Framing

LIMIT = 40


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at those places, as far as they are inside it."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:stop] for start, stop in pairwise(places)]


def fed(framing: Framing, chunks: list[bytes]) -> tuple[list[Frames], BadFrame | None]:
    """All frames that come out, and the error, after which the rest is fed too."""
    found: list[Frames] = []
    raised: BadFrame | None = None
    for chunk in chunks:
        try:
            found += framing.receive(chunk)
        except BadFrame as error:
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


class FramingContract:
    """Tests of any framing that waits for the rest of a message. Derive a `SynchronousTestCase` from it."""

    framing: ClassVar[type[Framing]]
    wrong: ClassVar[tuple[tuple[bytes, bytes], ...]]
    """What no message begins with, or one that is too long; and the beginning of it that the error tells."""

    @classmethod
    def allowed(cls, message: bytes) -> bytes:
        """The message that is sent instead, where the framing has none that is `message`."""
        return message

    # Each test calls what hypothesis calls: what is inherited by several classes must not be decorated itself.

    def case(self) -> SynchronousTestCase:
        assert isinstance(self, SynchronousTestCase)
        return self

    def framed(self, messages: list[bytes]) -> list[bytes]:
        return [self.framing.frame(self.allowed(message)) for message in messages]

    def test_any_chunking_gives_the_same_messages(self) -> None:
        @given(payloads, cut_places)
        def check(messages: list[bytes], cuts: list[int]) -> None:
            stream = self.framed(messages)
            found, error = fed(self.framing(LIMIT), chunked(b"".join(stream), cuts))
            self.case().assertIsNone(error)
            self.case().assertEqual(split(self.framing, found), stream)
            self.case().assertEqual([self.framing.message(one) for one in stream], list(map(self.allowed, messages)))

        check()

    def test_runs_of_one_length_are_counted_exactly(self) -> None:
        @given(runs, cut_places)
        def check(groups: list[tuple[bytes, int]], cuts: list[int]) -> None:
            stream = self.framed([message for message, times in groups for _ in range(times)])
            found, error = fed(self.framing(LIMIT), chunked(b"".join(stream), cuts))
            self.case().assertIsNone(error)
            self.case().assertEqual(split(self.framing, found), stream)

        check()

    def test_the_error_is_at_the_same_place_and_nothing_follows_it(self) -> None:
        @given(payloads, st.data(), cut_places)
        def check(messages: list[bytes], data: st.DataObject, cuts: list[int]) -> None:
            stream, late = self.framed(messages), self.framing.frame(b"late")
            bad, start = data.draw(st.sampled_from(self.wrong))
            framing = self.framing(LIMIT)
            found, error = fed(framing, chunked(b"".join(stream) + bad + late * 3, cuts))
            self.case().assertEqual(split(self.framing, found), stream)
            assert error is not None
            self.case().assertTrue(error.start.startswith(start), (error.start, bad))
            self.case().assertEqual(framing.receive(late), [])
            self.case().assertEqual(framing.partial, 0)

        check()

    def test_an_incomplete_message_waits(self) -> None:
        @given(st.binary(max_size=LIMIT), st.integers(0, LIMIT + 3))
        def check(message: bytes, cut: int) -> None:
            [whole] = self.framed([message])
            part = whole[: min(cut, len(whole) - 1)]
            framing = self.framing(LIMIT)
            self.case().assertEqual(framing.receive(part), [])
            self.case().assertEqual(framing.partial, len(part))
            self.case().assertEqual(wire(framing.receive(whole[len(part) :])), whole)
            self.case().assertEqual(framing.partial, 0)

        check()

    def test_a_message_at_the_limit_is_taken_whole_or_in_two(self) -> None:
        whole = self.framing.frame(b"x" * LIMIT)
        self.case().assertEqual(wire(self.framing(LIMIT).receive(whole * 2)), whole * 2)
        framing = self.framing(LIMIT)
        self.case().assertEqual(framing.receive(whole[:-1]), [])
        self.case().assertEqual(wire(framing.receive(whole[-1:])), whole)
