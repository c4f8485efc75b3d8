"""What the core asks of a backbone is what one is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.backbone import Backbone
from tests.kit.backbones import Member


class BackboneTests(SynchronousTestCase):
    def test_one_says_how_it_is_and_why_publishers_wait(self) -> None:
        backbone: Backbone = Member().order
        self.assertNotEqual(backbone.trouble, "")
        self.assertEqual(backbone.figures().trouble, backbone.trouble)
