"""docs/backbone.md: its sizes, numbers and words are those of the code."""

from __future__ import annotations

import re

from relay.backbone import fold, outbox, proposal, snapshot
from relay.backbone.fold import Fold, Standing, Verdict
from relay.backbone.proposal import FRAMING_CODES, Claim, decode
from relay.backbone.snapshot import encode_snapshot
from tests.kit.backbones import RELAY_A, contribution
from tests.kit.backbones import proposal as proposed
from tests.kit.page import ROOT, table

PAGE = (ROOT / "docs" / "backbone.md").read_text()
FLAT = " ".join(PAGE.split())


def size_of(heading: str) -> int:
    """The sum of the sizes in the table with that heading."""
    begin = PAGE.index(f"\n| {heading} |")
    one = PAGE[begin : PAGE.index("\n\n", begin + 1)]
    return sum(int(row[1]) for row in table(one, heading) if row[1].isdigit())


def test_the_sizes_are_those_of_the_code() -> None:
    assert size_of("head") == proposal.HEAD_SIZE
    assert size_of("part") == proposal.PART_SIZE
    assert size_of("name") == fold.NAME_SIZE
    assert size_of("snapshot") + 4 == len(encode_snapshot(Fold()))
    state = Fold()
    state.relays[RELAY_A] = 2
    state.restore(("", "x"), Standing())
    assert size_of("snapshot") + 16 + fold.NAME_SIZE + 1 + 4 == len(encode_snapshot(state))


def test_the_bytes_stand_in_the_order_of_the_page() -> None:
    payload = proposed(3, Claim(9, ("S", "na")), contribution(b"hi", claim=9, first=1), attempt=7)
    head = b"RB" + bytes([1, 1]) + RELAY_A + bytes([0] * 7 + [3] + [0] * 3 + [7] + [0] * 3 + [2])
    claim = bytes([1, 0, 0, 0, 9] + [0] * 8 + [0, 0, 0, 1] + [0, 0, 0, 2]) + b"Sna"
    messages = bytes([2, 0, 0, 0, 9] + [0] * 7 + [1] + [0, 0, 0, 1] + [0, 0, 0, 6])
    assert payload == head + claim + messages + b"\0\0\0\2hi"
    assert decode(payload).number == 3


def test_the_numbers_and_words_are_those_of_the_code() -> None:
    assert f"This is version {proposal.VERSION}." in FLAT
    assert ", ".join(f"{code} {name}" for name, code in FRAMING_CODES.items()) in FLAT
    assert f"the last {fold.MAX_RELAYS:,} that" in FLAT
    assert f"take {fold.MAX_NAMES_SIZE // 1024} KiB in a snapshot ({fold.NAME_SIZE} bytes" in FLAT
    assert f"{outbox.WINDOW // 2**20} MiB or {outbox.MOST} proposals" in FLAT
    assert f"up to {outbox.JOINED // 1024} KiB" in FLAT
    assert (
        f"for {outbox.PATIENCE:.0f} seconds (then {2 * outbox.PATIENCE:.0f}, then {outbox.MOST_PATIENCE:.0f})" in FLAT
    )
    assert f"another {fold.SNAPSHOT_SIZE // 2**20} MiB or {fold.SNAPSHOT_MESSAGES:,} messages" in FLAT
    assert f"magic | 2 | `{snapshot.MAGIC.decode()}`" in PAGE
    named = set(re.findall(r"\(`(\w+)`\)", PAGE.split("## What relays")[0]))
    assert named == {*Verdict} | {"stale"}
