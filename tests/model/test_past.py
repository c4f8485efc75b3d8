"""Hub, log, journal and subscribers in any order of events: see `tests.kit.past_machine`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES
from tests.kit.machine import try_events
from tests.kit.past_machine import PastMachine

EXAMPLES = 100


class PastModelTests(SynchronousTestCase):
    def test_disconnect(self) -> None:
        try_events(PastMachine, SLOW_POLICIES["disconnect"], EXAMPLES)

    def test_skip(self) -> None:
        try_events(PastMachine, SLOW_POLICIES["skip"], EXAMPLES)

    def test_block(self) -> None:
        try_events(PastMachine, SLOW_POLICIES["block"], EXAMPLES)
