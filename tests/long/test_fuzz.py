"""The fuzzer, for 20 seconds in all; `model/test_ledger` shows that it would notice what it looks for."""

from __future__ import annotations

import os
import random

import pytest

from tests.kit.fuzz import CASES, Case, play

SECONDS = 4.0
SEED = 1 if os.environ.get("CI") else random.SystemRandom().randrange(10**6)


@pytest.mark.parametrize("case", CASES[:5], ids=lambda case: "-".join(map(str, case)))
def test_everything_that_was_completely_sent_arrives_once_in_order_and_whole(case: Case) -> None:
    """`python -m tests.kit.fuzz` goes on for longer, with more cases; a failure names the seed."""
    print(f"seed {SEED}")
    done = play(case, str(SEED), SECONDS)
    assert done.messages > 0
    assert done.to_others > 0
    assert done.steps["publishers"] > 0
    assert done.steps["publishers bad"] > 0
