"""The heartbeat of a session: at its interval, until it is stopped."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.peers.heartbeat import Heartbeat
from tests.kit.sessions import Timers


class HeartbeatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.timers = Timers()
        self.beats: list[float] = []

    def start(self, seconds: float) -> Heartbeat:
        return Heartbeat(self.timers.call_later, seconds, lambda: self.beats.append(self.timers.now))

    def test_it_beats_at_its_interval(self) -> None:
        self.start(10)
        self.timers.advance(35)
        self.assertEqual(self.beats, [10, 20, 30])

    def test_without_an_interval_it_never_beats_and_has_no_timer(self) -> None:
        self.start(0).stop()
        self.assertEqual(self.timers.waiting, [])

    def test_it_stops_and_leaves_no_timer(self) -> None:
        heartbeat = self.start(10)
        self.timers.advance(15)
        heartbeat.stop()
        heartbeat.stop()
        self.timers.advance(100)
        self.assertEqual((self.beats, self.timers.waiting), ([10], []))

    def test_the_beat_itself_may_stop_it(self) -> None:
        heartbeat = Heartbeat(self.timers.call_later, 1, lambda: heartbeat.stop())
        self.timers.advance(5)
        self.assertEqual(self.timers.waiting, [])
