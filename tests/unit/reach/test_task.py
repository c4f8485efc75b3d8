"""What pulls and pushes have in common: they come, go, are counted over all their connections, and keep their place."""

from __future__ import annotations

from relay.reach.pull import Pull
from relay.reach.push import Push
from relay.wire.close_reason import CloseReason
from tests.kit.remotes import SILENT, RemoteCase


class TaskTests(RemoteCase):
    def test_what_went_over_all_connections_adds_up(self) -> None:
        for begin in (self.pull, self.push):
            task: Pull | Push = begin(SILENT)
            for connections in (1, 2):
                self.assertEqual(task.figures().connections, connections)
                self.wire.loseConnection()
                self.clock.advance(0)
                self.assertIsNone(task.link)
                self.assertFalse(task.figures().connected)
                self.clock.advance(60)
            task.remove()

    def test_one_that_is_removed_ends_its_connection_and_makes_no_other(self) -> None:
        for begin in (self.pull, self.push):
            task: Pull | Push = begin(SILENT)
            link = task.link
            assert link is not None
            before = len(self.server.wires)
            task.remove()
            self.assertIs(link.reason, CloseReason.REMOVED)
            self.clock.advance(100)
            self.assertEqual(len(self.server.wires), before)

    def test_one_that_is_stopped_leaves_its_connection(self) -> None:
        for begin in (self.pull, self.push):
            task: Pull | Push = begin(SILENT)
            task.stop()
            assert task.link is not None
            self.assertIsNone(task.link.reason)
            self.wire.loseConnection()
            self.clock.advance(100)
            self.assertIsNone(task.link)
