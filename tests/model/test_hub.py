"""Hub, log and subscribers in any order of events, under each policy; `tests.kit.machine` says what is expected."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.slow import SLOW_POLICIES
from tests.kit.machine import HubMachine, try_events

EXAMPLES = 150


class HubModelTests(SynchronousTestCase):
    def test_disconnect(self) -> None:
        try_events(HubMachine, SLOW_POLICIES["disconnect"], EXAMPLES)

    def test_skip(self) -> None:
        try_events(HubMachine, SLOW_POLICIES["skip"], EXAMPLES)

    def test_block(self) -> None:
        try_events(HubMachine, SLOW_POLICIES["block"], EXAMPLES)
