"""Published frames go into the outbox, with whose they are, and not into the log."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.outbox import Outbox
from relay.backbone.pending import Proposed
from relay.backbone.proposal import Contribution, decode
from tests.kit.backbones import NOWHERE, RELAY_A
from tests.kit.fakes import frames


class ProposedTests(SynchronousTestCase):
    def test_each_is_contributed_under_the_claim_of_its_publisher(self) -> None:
        filled: list[int] = []
        outbox = Outbox(RELAY_A, "int32", True, lambda: 0.0)
        pending = Proposed(outbox, lambda: filled.append(outbox.waiting))
        for claim, message in ((0, b"a"), (3, b"b"), (0, b"c"), (0, b"d"), (4, b"e")):
            if claim:
                pending.mark(1, claim, 1, None, 1)
            pending.frames += frames(message)
            pending.size += 5
        self.assertFalse(pending.move_to(NOWHERE, lambda: 0.0))
        self.assertEqual((pending.frames, pending.size, len(filled)), ([], 0, 1))
        (payload,) = outbox.take()
        self.assertEqual(
            decode(payload).parts,
            [Contribution(0, 0, 1, 5), Contribution(3, 1, 1, 5), Contribution(0, 0, 2, 10), Contribution(4, 1, 1, 5)],
        )
        self.assertFalse(pending.move_to(NOWHERE, lambda: 0.0))
        self.assertEqual(outbox.take(), [])
