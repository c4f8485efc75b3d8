"""Publishers as a worker has them: the relay is told when they must wait, and when no longer."""

from __future__ import annotations

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Lag
from relay.peers.intake import SUBSCRIBERS
from relay.workers.intake import ReportingIntake
from relay.workers.messages import Held
from tests.kit.fakes import said


class ReportingIntakeTests(SynchronousTestCase):
    def test_it_waits_as_every_intake_does_and_the_relay_is_told(self) -> None:
        told: list[Held] = []
        intake = ReportingIntake(lambda: 0.0, told.append)
        with capturedLogs() as events:
            intake.pause(Lag(3, 300, 1.0))
        self.assertEqual((told, intake.waits_for, len(said(events))), ([Held(True)], (SUBSCRIBERS,), 1))
        intake.resume()
        self.assertEqual((told, intake.waits_for), ([Held(True), Held(False)], ()))
