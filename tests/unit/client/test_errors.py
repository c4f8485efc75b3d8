"""Why a client gives up: what ends it is told apart from what is tried again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.client import errors


class ErrorsTests(SynchronousTestCase):
    def test_all_but_a_fault_of_one_connection_end_a_client(self) -> None:
        found = {name: error for name, error in vars(errors).items() if isinstance(error, type)}
        ends = {name for name, error in found.items() if issubclass(error, errors.ClientError)}
        self.assertEqual(set(found) - ends, {"ConnectionFault"})

    def test_without_sessions_there_is_a_way_out(self) -> None:
        self.assertIn("session=False", str(errors.NoSessions()))
