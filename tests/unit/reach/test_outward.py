"""What the log tells of connections that the relay makes: the same trouble once, until one works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs

from relay.config.values import Remote
from relay.reach.link import LOOK, STEADY
from relay.reach.pull import Pull
from relay.reach.push import Push
from relay.wire.answer import Error, PublisherWelcome
from tests.kit.fakes import frame, said
from tests.kit.remotes import FAR, SESSION, SILENT, RemoteCase, welcome

WAIT = 45.0
"""Seconds, longer than between any two tries but after a loop."""


def loud(events: Sequence[dict[str, Any]]) -> list[tuple[LogLevel, str]]:
    """What an operator sees with the default `--log-level`."""
    return [(level, str(line)) for level, line in said(events) if level is not LogLevel.debug]


class OutwardTests(RemoteCase):
    def begin(self, role: str, remote: Remote) -> Pull | Push:
        return self.pull(remote) if role == "pull" else self.push(remote)

    def test_the_same_end_of_connections_that_do_not_work_is_told_once(self) -> None:
        for role in ("pull", "push"):
            for remote, hint in ((SILENT, "only"), (SESSION, "only, or know no sessions")):
                with capturedLogs() as events:
                    task = self.begin(role, remote)
                    for _ in range(8):
                        self.wire.end(ConnectionLost())
                        self.clock.advance(WAIT)
                lines = loud(events)
                self.assertEqual(len(lines), 2, lines)
                self.assertEqual(lines[0][0], LogLevel.info)
                self.assertIn("connected", lines[0][1])
                self.assertEqual(lines[1][0], LogLevel.warn)
                self.assertIn("the other side closed the connection at once: it may be full, or allow", lines[1][1])
                self.assertTrue(lines[1][1].endswith(f"other addresses {hint}"), lines[1][1])
                self.assertEqual(task.figures().why, task.dialler.trouble)
                self.assertIn("closed the connection at once", task.figures().why)
                task.remove()
                self.clock.advance(0)

    def test_another_trouble_is_told(self) -> None:
        with capturedLogs() as events:
            self.pull()
            for words in ("one", "one", "two"):
                self.wire.say(Error(words))
                self.clock.advance(0)
                self.clock.advance(WAIT)
        warnings = [line.partition("it says: ")[2] for level, line in loud(events) if level is LogLevel.warn]
        self.assertEqual(warnings, ["one", "two"])

    def test_when_one_works_again_it_is_told_with_its_beginning(self) -> None:
        for role, answer in (("pull", welcome(1)), ("push", PublisherWelcome(0, False, "relayed", FAR, 40, "relay"))):
            task = self.begin(role, SESSION)
            self.wire.end(ConnectionDone())
            self.clock.advance(WAIT)
            with capturedLogs() as events:
                self.wire.say(answer)
                lines = [line for _, line in loud(events)]
            self.assertIn(" connected", lines[0])
            self.assertIn(" goes on ", lines[1])
            self.assertEqual((task.figures().connected, task.figures().why), (True, ""))
            with capturedLogs() as events:
                self.wire.end(ConnectionDone())
                self.assertIn("disconnected: peer closed", loud(events)[0][1])
            task.remove()
            self.clock.advance(0)

    def test_a_silent_server_that_stays_is_connected(self) -> None:
        for role in ("pull", "push"):
            self.server.refuses = 1
            task = self.begin(role, SILENT)
            self.assertIn("connecting", task.figures().why)
            with capturedLogs() as events:
                self.clock.advance(0.1)
                self.assertEqual((task.figures().connected, loud(events)), (False, []))
                self.clock.advance(LOOK)
            self.assertEqual((task.figures().connected, task.figures().why), (True, ""))
            self.assertIn(" connected", loud(events)[0][1])
            task.remove()
            self.clock.advance(0)

    def test_a_server_that_ends_each_connection_soon_is_asked_less_and_less(self) -> None:
        for lasts, most in ((0.0, 20), (0.5 * STEADY, 20), (2 * STEADY, 60)):
            for role in ("pull", "push"):
                task = self.begin(role, SILENT)
                until = self.clock.seconds() + 120
                while self.clock.seconds() < until:
                    self.clock.pump([0.1] * round(10 * lasts))
                    if not self.wire.ended:
                        self.wire.end(ConnectionDone())
                    self.clock.advance(0.1)
                self.assertLessEqual(task.connections, most)
                self.assertGreater(task.connections, most // 3)
                task.remove()
                self.clock.advance(0)

    def test_what_a_server_sends_before_it_ends_the_connection_changes_nothing(self) -> None:
        pull = self.pull(SILENT)
        for _ in range(1200):
            if not self.wire.ended:
                self.wire.send(frame(b"220 hello"))
                self.wire.end(ConnectionDone())
            self.clock.advance(0.1)
        self.assertLessEqual(pull.connections, 20)
