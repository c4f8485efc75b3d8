"""What only some relays have is made if it is asked for."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import configure
from relay.daemon.load import load_backbone, load_journal, require_nats
from relay.net.ports import CannotStart
from relay.peers.intake import Intake
from tests.kit.folders import temporary_folder

NOTHING = configure({})


class LoadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.intake = Intake(lambda: 0.0)

    def test_a_relay_has_neither_unless_it_is_asked_for(self) -> None:
        self.assertIsNone(load_journal(NOTHING, self.intake, self.reactor))
        self.assertIsNone(load_backbone(NOTHING, self.intake, self.reactor))

    def test_a_journal_is_opened_and_what_is_wrong_ends_the_start(self) -> None:
        folder = str(temporary_folder(self))
        recording = load_journal(replace(NOTHING, journal=folder), self.intake, self.reactor)
        assert recording is not None
        recording.storage.close()
        with self.assertRaises(CannotStart):
            load_journal(replace(NOTHING, journal=folder + "/none"), self.intake, self.reactor)

    def test_what_the_backbone_needs_is_installed_for_tests(self) -> None:
        require_nats()
