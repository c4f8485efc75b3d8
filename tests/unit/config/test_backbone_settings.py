"""The settings of the backbone are among all settings, and off unless they are given."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.config.backbone_settings import BACKBONE
from relay.config.config import configure
from relay.config.settings import SETTINGS


class BackboneSettingsTests(SynchronousTestCase):
    def test_they_stand_together_among_all_settings(self) -> None:
        found = tuple(setting for setting in SETTINGS if setting.table == "backbone")
        self.assertEqual(found, BACKBONE)

    def test_there_is_no_backbone_unless_one_is_given(self) -> None:
        self.assertIsNone(configure({}).backbone)
