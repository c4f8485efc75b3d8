"""What the connections of pulls and pushes have in common: how the words of a core become a reason."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client.errors import ConnectionFault, NoSessions, NotARelay
from relay.reach.link import reason_for, words_for
from relay.wire.close_reason import CloseReason


class ReasonTests(SynchronousTestCase):
    def test_each_fault_has_a_reason(self) -> None:
        for fault, reason in (
            (NotARelay("no"), CloseReason.SESSION_ERROR),
            (ConnectionFault("nothing came"), CloseReason.CONNECTION_LOST),
            (ConnectionFault("it stops", 1.0), CloseReason.PEER_CLOSED),
        ):
            self.assertIs(reason_for(fault), reason)

    def test_words_are_those_of_the_relay_and_not_of_the_client_library(self) -> None:
        self.assertEqual(words_for(NotARelay("no")), "no")
        self.assertNotIn("session=", words_for(NoSessions()))
        self.assertIn("without session: no answer is needed", words_for(NoSessions()))
