"""The format: records are what was encoded, and whatever is wrong with one is seen."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.journal.format import (
    HEAD_SIZE,
    HEADER_SIZE,
    BadHeader,
    Head,
    Header,
    Kind,
    OtherVersion,
    encode,
    new_mark,
    read_header,
    walk,
    whole_size,
)
from relay.wire.framing import Buffer
from relay.wire.framings import FRAMINGS, MAX_NAME

MARK = b"mark"
HEADER = Header("int32", 99_999, 7, bytes(range(16)), 1_000_000, MARK)
HEADS = st.builds(
    Head,
    kind=st.sampled_from(Kind),
    first=st.integers(0, 2**64 - 1),
    messages=st.integers(0, 2**32 - 1),
    unsynced=st.integers(0, 2**32 - 1),
    time=st.integers(0, 2**64 - 1),
)


def record(data: bytes = b"data", extra: bytes = b"extra", first: int = 1) -> bytes:
    return b"".join(encode(MARK, Head(Kind.BATCH, first, 1, 0, 0), extra, [data]))


class HeaderTests(SynchronousTestCase):
    def test_a_header_is_read_back(self) -> None:
        self.assertEqual(len(HEADER.encode()), HEADER_SIZE)
        self.assertEqual(read_header(HEADER.encode() + b"what follows"), HEADER)

    def test_every_cut_and_every_flipped_bit_is_seen(self) -> None:
        whole = HEADER.encode()
        for size in range(len(whole)):
            with self.assertRaises(BadHeader):
                read_header(whole[:size])
        for bit in range(8 * len(whole)):
            broken = bytearray(whole)
            broken[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(BadHeader):
                read_header(bytes(broken))

    def test_a_newer_version_is_told_apart_whatever_its_layout(self) -> None:
        newer = HEADER.encode()[:9] + b"\x03" + bytes(HEADER_SIZE)
        with self.assertRaises(OtherVersion) as caught:
            read_header(newer)
        self.assertIn("version 3", str(caught.exception))

    def test_what_was_written_before_the_first_release_is_told_apart(self) -> None:
        older = HEADER.encode()[:9] + b"\x01" + bytes(HEADER_SIZE)
        with self.assertRaisesRegex(OtherVersion, "version 1 of the format, from before the first release"):
            read_header(older)

    def test_a_version_that_is_all_that_is_wrong_is_damage(self) -> None:
        damaged = bytearray(HEADER.encode())
        damaged[9] += 1
        with self.assertRaisesRegex(BadHeader, "its header is damaged"):
            read_header(bytes(damaged))

    def test_there_is_room_for_the_name_of_every_framing(self) -> None:
        for framing in (*FRAMINGS, "package.module:Class", "x" * MAX_NAME):
            self.assertEqual(read_header(replace(HEADER, framing=framing).encode()).framing, framing)

    def test_no_mark_is_zeros_and_no_two_are_equal(self) -> None:
        marks = [new_mark() for _ in range(20)]
        self.assertEqual({len(mark) for mark in marks}, {4})
        self.assertGreater(len(set(marks)), 1)
        self.assertNotIn(b"\0\0\0\0", marks)


class RecordTests(SynchronousTestCase):
    @given(st.lists(st.tuples(HEADS, st.binary(max_size=50), st.lists(st.binary(max_size=50), max_size=3))))
    def test_records_are_read_back_as_they_were_encoded(self, records: list[tuple[Head, bytes, list[bytes]]]) -> None:
        encoded = [b"".join(encode(MARK, head, extra, pieces)) for head, extra, pieces in records]
        found = list(walk(memoryview(b"ahead" + b"".join(encoded) + bytes(100)), MARK, 5))
        self.assertEqual(
            [(head, extra, b"".join(pieces)) for head, extra, pieces in records],
            [
                (Head(Kind(one.kind), one.first, one.messages, one.unsynced, one.time), one.extra, one.data)
                for one in found
            ],
        )
        self.assertEqual([one.end - one.offset for one in found], [len(one) for one in encoded])

    def test_data_and_pieces_are_not_copied(self) -> None:
        pieces: list[Buffer] = [b"one", memoryview(b"two")]
        _, *same = encode(MARK, Head(Kind.BATCH, 1, 1, 0, 0), b"", pieces)
        self.assertTrue(all(one is other for one, other in zip(same, pieces, strict=True)))

    def test_the_walk_ends_before_a_record_that_is_cut_anywhere(self) -> None:
        whole = record(first=1) + record(first=2)
        for size in range(len(whole)):
            found = [one.first for one in walk(memoryview(whole[:size]), MARK)]
            self.assertEqual(found, [1] if size >= len(whole) // 2 else [], size)

    def test_the_walk_ends_before_a_record_with_any_flipped_bit(self) -> None:
        whole = record(first=1) + record(first=2) + record(first=3)
        size = len(whole) // 3
        for bit in range(8 * size, 16 * size):
            broken = bytearray(whole)
            broken[bit // 8] ^= 1 << bit % 8
            self.assertEqual([one.first for one in walk(memoryview(broken), MARK)], [1], bit)

    def test_a_record_of_another_segment_is_none(self) -> None:
        self.assertEqual(list(walk(memoryview(record()), b"else")), [])

    def test_offsets_are_those_in_the_segment(self) -> None:
        whole = record(first=1) + record(first=2)
        self.assertEqual(
            [(one.offset, one.end) for one in walk(memoryview(whole), MARK, base=1000)],
            [(1000, 1000 + len(whole) // 2), (1000 + len(whole) // 2, 1000 + len(whole))],
        )

    def test_the_size_of_a_record_is_known_from_its_head(self) -> None:
        whole = record()
        self.assertEqual(whole_size(memoryview(whole[:HEAD_SIZE]), MARK, 0), len(whole))
        self.assertEqual(whole_size(memoryview(whole[: HEAD_SIZE - 1]), MARK, 0), 0)
        self.assertEqual(whole_size(memoryview(whole), b"else", 0), 0)
