"""The soak, for 20 seconds; by hand, with `python -m tests.kit.soak`, a minute or hours."""

from __future__ import annotations

import os
import random

from tests.kit.soak import soak

SECONDS = 20.0
SEED = 1 if os.environ.get("CI") else random.SystemRandom().randrange(10**6)


def test_under_a_mixed_load_a_relay_does_not_grow() -> None:
    print(f"seed {SEED}")
    figures = soak(SECONDS, SEED)
    print(figures)
    assert figures.faults() == []
    assert figures.samples > SECONDS
