"""What the relay says of itself now and then."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import configure
from relay.daemon.assembly import Surroundings, assemble
from relay.daemon.systemd import Supervisor
from tests.kit.fakes import frame, said


class Watching(Supervisor):
    watchdog = 0.5

    def __init__(self) -> None:
        self.pings = 0
        self.told: list[str] = []

    def alive(self) -> None:
        self.pings += 1

    def status(self, text: str) -> None:
        self.told.append(text)


class ReportsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.supervisor = Watching()
        self.relay = assemble(
            configure({}),
            Surroundings(reactor=MemoryReactorClock(), read=lambda: configure({}), supervisor=self.supervisor),
        )
        self.every: dict[float, list[Callable[[float], None]]] = {}
        for part in (self.relay.totals, self.relay.status):
            part.register(lambda seconds, call: self.every.setdefault(seconds, []).append(call))

    def publish(self, *messages: bytes) -> None:
        publisher = self.relay.publishers.buildProtocol(None)
        publisher.makeConnection(StringTransport())
        publisher.dataReceived(b"".join(map(frame, messages)))
        self.relay.machinery.hub.flush()

    def lines(self) -> list[tuple[LogLevel, str | None]]:
        [report] = self.every[60.0]
        with capturedLogs() as events:
            report(60.0)
        return said(events)

    def test_totals_are_one_line_a_minute_if_there_was_traffic(self) -> None:
        self.assertEqual(self.lines(), [])
        self.publish(b"one", b"two")
        self.assertEqual(
            self.lines(),
            [
                (
                    LogLevel.info,
                    "totals: 2 messages in the last minute, 2 messages, 14 bytes since the start; "
                    "1 publishers, 0 subscribers (0 lagging); buffer 526 bytes, 0 needed",
                )
            ],
        )
        self.assertEqual(self.lines(), [])

    def test_the_status_says_how_many_there_are_and_how_fast_messages_come(self) -> None:
        [report] = self.every[5.0]
        self.publish(*[b"message"] * 10)
        report(5.0)
        report(5.0)
        self.assertEqual(
            self.supervisor.told,
            ["1 publishers, 0 subscribers; 2 messages/s", "1 publishers, 0 subscribers; 0 messages/s"],
        )

    def test_a_watchdog_hears_from_it_as_often_as_it_wants(self) -> None:
        [ping] = self.every[0.5]
        ping(0.5)
        self.assertEqual(self.supervisor.pings, 1)

    def test_without_a_watchdog_nothing_is_called_for_it(self) -> None:
        relay = assemble(configure({}), Surroundings(reactor=MemoryReactorClock(), read=lambda: configure({})))
        intervals: list[float] = []
        relay.status.register(lambda seconds, call: intervals.append(seconds))
        self.assertEqual(intervals, [5.0])
