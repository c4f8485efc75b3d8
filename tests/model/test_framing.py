"""The framings against parsers that take one byte at a time.

A framing has to say the same after every chunk: not only the same messages in the end.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from relay.wire.framing import BadFrame, Framing, MessageTooLong
from relay.wire.raw import Raw
from tests.kit.naive_framings import MODELS, FramingTests, Model, chunkings, cut, streams


class SameTests(FramingTests):
    def check(self, framing: Framing, model: Model, chunks: list[bytes]) -> None:
        """Both say the same after every chunk."""
        for chunk in chunks:
            refused = model.refused
            expected = model.receive(chunk)
            try:
                found = framing.receive(chunk)
            except BadFrame as error:
                self.assertTrue(model.refused and not refused, "refused what is no error, or twice")
                if isinstance(error, MessageTooLong):
                    self.assertEqual((error.length, error.limit), (model.length, model.limit))
                    self.assertIn(str(model.limit), str(error))
                else:
                    self.assertIsNone(model.length)
                self.assertEqual(error.start[: len(model.part)], model.part[: len(error.start)])
                self.assertGreaterEqual(len(error.start), 1)
                found = error.frames
            else:
                self.assertEqual(model.refused, refused, "did not refuse")
            messages = []
            for data, count, held in found:
                ends = list(framing.ends(data))
                self.assertEqual(len(ends), count)
                self.assertEqual(ends[-1], len(data))
                self.assertGreaterEqual(held, len(data))
                self.assertLessEqual(held, max(len(data), len(chunk)))
                messages += [bytes(data[start:stop]) for start, stop in pairwise([0, *ends])]
            self.assertEqual(messages, expected)
            self.assertEqual(framing.partial, 0 if model.refused else len(model.part))

    def test_each_framing_says_what_its_model_says_after_every_chunk(self) -> None:
        for kind, model in MODELS.items():
            self.check_streams(kind, model)

    def check_streams(self, kind: type[Framing], model: type[Model]) -> None:
        @self.settings
        @given(streams(kind), chunkings)
        def check(limit_and_stream: tuple[int, bytes], sizes: list[int]) -> None:
            limit, stream = limit_and_stream
            self.check(kind(limit), model(limit), cut(stream, sizes))

        check()

    @example(3, b"abcde", [])
    @given(st.integers(1, 9), st.binary(max_size=600), chunkings)
    def test_raw_cuts_every_chunk_at_the_limit_and_nowhere_else(
        self, limit: int, stream: bytes, sizes: list[int]
    ) -> None:
        framing = Raw(limit)
        for chunk in cut(stream, sizes):
            found = framing.receive(chunk)
            expected = [chunk[at : at + limit] for at in range(0, len(chunk), limit)]
            self.assertEqual([bytes(data) for data, _, _ in found], expected)
            self.assertTrue(all(count == 1 and held in (len(data), len(chunk)) for data, count, held in found))
            self.assertEqual(framing.partial, 0)
