"""All others that a relay connects to: they come and go with the configuration."""

from __future__ import annotations

from relay.config.values import Remote
from relay.reach.reach import Reach
from tests.kit.remotes import SESSION, SILENT, RemoteCase

OTHER = Remote("tcp:other:1", False)


class ReachTests(RemoteCase):
    def setUp(self) -> None:
        super().setUp()
        self.reach = Reach(self.around)

    def remotes(self) -> list[str]:
        return [one.remote for one in self.reach.figures()]

    def test_nothing_connects_before_the_start(self) -> None:
        self.reach.change([("pull", SILENT), ("push", OTHER)])
        self.assertEqual(self.server.wires, [])
        self.reach.start()
        self.assertEqual(len(self.server.wires), 2)

    def test_what_stays_wanted_keeps_its_connection(self) -> None:
        self.reach.start()
        self.reach.change([("pull", SILENT), ("pull", SESSION)])
        first, second = self.server.wires
        self.reach.change([("pull", SESSION), ("push", OTHER)])
        self.clock.advance(0)
        self.assertEqual((first.ended, second.ended, len(self.server.wires)), (True, False, 3))
        self.assertEqual(self.remotes(), [str(SESSION), str(OTHER)])

    def test_places_are_written_every_second_so_that_nobody_forgets_them(self) -> None:
        self.reach.change([("push", SESSION)])
        self.noted.clear()
        self.reach.sweep()
        ((kind, _), number), _ = self.noted
        self.assertEqual((kind, number), ("push", 0))

    def test_once_stopped_it_connects_no_more_and_leaves_connections_to_the_drain(self) -> None:
        self.reach.change([("pull", SILENT)])
        self.reach.start()
        self.reach.stop()
        self.assertFalse(self.wire.ended)
        self.wire.loseConnection()
        self.clock.advance(100)
        self.assertEqual(len(self.server.wires), 1)
