"""What the connections of pulls and pushes have in common: how the words of a core become a reason."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault, NotARelay
from relay.reach.link import reason_for
from relay.wire.close_reason import CloseReason


class ReasonTests(SynchronousTestCase):
    def test_each_fault_has_a_reason(self) -> None:
        for fault, reason in (
            (NotARelay("no"), CloseReason.SESSION_ERROR),
            (ConnectionFault("nothing came"), CloseReason.CONNECTION_LOST),
            (ConnectionFault("it stops", 1.0), CloseReason.PEER_CLOSED),
        ):
            self.assertIs(reason_for(fault), reason)
