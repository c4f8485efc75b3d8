"""docs/journal.md: its example is what the relay writes and reads, and its sizes are those of the code."""

from __future__ import annotations

import re

from relay.journal.contents import (
    End,
    Entry,
    Seal,
    decode_epochs,
    decode_names,
    decode_seal,
    encode_epochs,
    encode_names,
    encode_seal,
)
from relay.journal.format import HEAD_SIZE, HEADER_SIZE, MAGIC, VERSION, Head, Header, Kind, encode, read_header, walk
from relay.wire.counted import Int32
from relay.wire.position import Epoch
from tests.kit.page import ROOT, table

PAGE = (ROOT / "docs" / "journal.md").read_text()
TIME = 1_767_225_600_000_000
MESSAGES = b"\0\0\0\2hi\0\0\0\0"
HEADER = Header("int32", 99_999, 1, bytes(range(16)), TIME, bytes.fromhex("c0ffeea5"))


def example() -> tuple[bytes, list[bytes]]:
    """The header's bytes, and those of each record."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    header, *records = [
        bytes.fromhex("".join(re.match("((?:[0-9a-f]{2} ?)+)", line)[1] for line in block.splitlines()))  # type: ignore[index]
        for block in blocks
    ]
    return header, records


def bytes_in(heading: str, text: str) -> list[int]:
    """The sizes in the table of `text` with that heading."""
    return [int(size) for _, size, _ in table(text, heading) if size.isdigit()]


def test_the_example_is_read_as_the_page_says() -> None:
    header, records = example()
    assert read_header(header) == HEADER
    start, batch, seal = walk(memoryview(header + b"".join(records)), HEADER.mark, HEADER_SIZE)
    assert [start.kind, batch.kind, seal.kind] == [Kind.START, Kind.BATCH, Kind.SEAL]
    assert [start.time, batch.time, seal.time] == [TIME, TIME + 1, TIME + 2]
    assert decode_epochs(start.data) == [Epoch("5289cfdd2847", 1)]
    assert (batch.first, batch.messages, batch.unsynced, bytes(batch.data)) == (1, 2, 0, MESSAGES)
    assert list(Int32.ends(batch.data)) == [6, 10]
    assert list(decode_names(batch.extra)) == [(("", "p"), 2)]
    assert decode_seal(seal.data) == Seal([Entry(1, batch.offset, batch.time)], End.CLOSED, seal.offset)
    assert seal.next == 3


def test_the_example_is_what_the_relay_writes() -> None:
    header, records = example()
    mark, first = HEADER.mark, len(header) + len(records[0])
    seal = Seal([Entry(1, first, TIME + 1)], End.CLOSED, first + len(records[1]))
    names = encode_names([(("", "p"), 2)])
    written = (
        encode(mark, Head(Kind.START, 1, 0, 0, TIME), b"", [encode_epochs([Epoch("5289cfdd2847", 1)])]),
        encode(mark, Head(Kind.BATCH, 1, 2, 0, TIME + 1), names, [MESSAGES[:6], MESSAGES[6:]]),
        encode(mark, Head(Kind.SEAL, 3, 0, 0, TIME + 2), b"", [encode_seal(seal)]),
    )
    assert HEADER.encode() == header
    assert [b"".join(buffers) for buffers in written] == records


def test_the_sizes_and_numbers_are_those_of_the_code() -> None:
    before, after = PAGE.split("## Records")
    assert f"A header of {HEADER_SIZE} bytes" in PAGE
    assert sum(bytes_in("header", before)) == HEADER_SIZE
    assert sum(bytes_in("record", after)) == HEAD_SIZE
    assert MAGIC.hex(" ") in PAGE
    assert f"This is version {VERSION}." in PAGE
    assert ", ".join(f"{kind.value} {kind.name.lower()}" for kind in Kind) in PAGE
