"""The parts that have to be swept say so themselves, and are called with the seconds that have passed."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.timing import SWEEP
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import FakeSubscriber
from tests.kit.hubs import HubTests


class EveryTests(HubTests):
    def test_the_hub_registers_its_sweep(self) -> None:
        self.set_up(stall_timeout=2.0)
        registered: list[tuple[float, Callable[[float], None]]] = []
        self.hub.register(lambda seconds, call: registered.append((seconds, call)))
        [(seconds, sweep)] = registered
        self.assertEqual(seconds, SWEEP)
        stuck = FakeSubscriber(self.hub, room=0)
        self.publish(b"one")
        for _ in range(4):
            sweep(1.0)
        self.assertIs(stuck.reason, CloseReason.STALLED)
