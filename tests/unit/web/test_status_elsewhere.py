"""What the status page is told of connections that other processes of the relay have."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from relay.core.cursor import Lag
from relay.core.state import State
from relay.observe.roster import ended, slowest
from relay.web.status import Status
from relay.wire.counted import Int32
from tests.kit.elsewhere import FakeElsewhere
from tests.kit.relays import START, RelayCase


class ElsewhereTests(RelayCase):
    def begin(self, replay: int = 0) -> None:
        super().begin(replay)
        self.status = Status(self.stats, self.hub.log, Int32, dict, str, lambda: "k3f9x2", lambda: self.time)

    def test_those_of_other_processes_are_among_the_slowest_and_the_ended(self) -> None:
        publisher = self.publisher()
        _, transport = self.subscriber()
        transport.full = True
        self.publish(publisher, 1)
        self.publish(publisher, 1)
        [own] = slowest(self.registries, lambda: self.now, 1)
        assert own.lag is not None
        further = Lag(own.lag.messages + 1, own.lag.bytes + 100, 9.0)
        publisher.connectionLost(Failure(ConnectionDone()))
        [ended_here] = ended(self.stats.registries)
        there = FakeElsewhere(
            slowest=[replace(own, number=2**32, lag=further), replace(own, number=2**32 + 1, state=State.LAGGING)],
            ended=[replace(ended_here, number=2**32 + 2, until=START - 1)],
        )
        self.stats.elsewhere = there
        now = self.status.now()
        rows, gone = now["slowest"], now["ended"]
        assert isinstance(rows, list) and isinstance(gone, list)
        self.assertEqual(rows[0]["number"], 2**32)
        self.assertEqual(rows[0]["why"], "takes less than it is sent")
        self.assertIn((2**32 + 1, "catching up"), [(row["number"], row["why"]) for row in rows])
        self.assertEqual([one["number"] for one in gone], [ended_here.number, 2**32 + 2])
