"""How the log is written."""

from __future__ import annotations

import json
import os
import signal
import sys
from io import StringIO

from twisted.internet import reactor
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python import log as legacy
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.logs import Output, as_json
from relay.wire.close_reason import CloseReason
from tests.kit.folders import temporary_folder


class JsonTests(SynchronousTestCase):
    def written(self) -> dict[str, object]:
        lines = [as_json(event) for event in self.events]
        [line] = [line for line in lines if line is not None]
        self.assertEqual(line.count("\n"), 1)
        found: dict[str, object] = json.loads(line)
        return found

    def setUp(self) -> None:
        self.events: list[dict[str, object]] = []
        self.log = Logger(namespace="relay.test", observer=self.events.append)  # type: ignore[arg-type]

    def test_an_event_is_an_object_with_its_own_fields(self) -> None:
        self.log.warn("{peer} ended: {reason}", peer="[::1]:5", reason=CloseReason.STALLED, count=3, object=self)
        found = self.written()
        self.assertRegex(str(found.pop("time")), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")
        self.assertEqual(
            found,
            {
                "level": "warn",
                "source": "relay.test",
                "message": "[::1]:5 ended: stalled",
                "event": "{peer} ended: {reason}",
                "peer": "[::1]:5",
                "reason": "stalled",
                "count": 3,
            },
        )

    def test_a_failure_has_its_traceback_in_the_same_line(self) -> None:
        try:
            raise ZeroDivisionError("nothing")
        except ZeroDivisionError:
            self.log.failure("it failed")
        found = self.written()
        self.assertEqual((found["level"], found["message"]), ("critical", "it failed"))
        self.assertIn("ZeroDivisionError: nothing", str(found["traceback"]))

    def test_what_peers_say_cannot_begin_another_line(self) -> None:
        self.log.info("{said}", said='a\n{"level": "fake"}\x1b[31m')
        found = self.written()
        self.assertEqual(found["message"], 'a\n{"level": "fake"}\x1b[31m')

    def test_what_twisted_logs_as_text_only_has_no_format(self) -> None:
        observer = LogPublisher(self.events.append)  # type: ignore[arg-type]
        legacy.LogPublisher(publishPublisher=observer).msg("Starting factory")
        found = self.written()
        self.assertEqual(found["message"], "Starting factory")
        self.assertNotIn("event", found)

    def test_an_event_that_says_nothing_is_left_out(self) -> None:
        self.log.info("")
        self.assertEqual([as_json(event) for event in self.events], [None])


class OutputTests(SynchronousTestCase):
    def emit(self, output: Output, *levels: LogLevel) -> None:
        log = Logger(namespace="relay.test", observer=LogPublisher(output()))
        for level in levels:
            log.emit(level, "an event")

    def test_only_what_is_important_enough_is_written(self) -> None:
        written = StringIO()
        self.patch(sys, "stdout", written)
        output = Output()
        self.emit(output, LogLevel.debug, LogLevel.info)
        self.assertRegex(written.getvalue(), r"^\S+ \[relay\.test#info\] an event\n$")
        output.levels.setLogLevelForNamespace("", LogLevel.warn)
        self.emit(output, LogLevel.info)
        self.assertEqual(written.getvalue().count("an event"), 1)

    def test_a_daemon_writes_to_a_file_that_can_be_rotated(self) -> None:
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        calls: list[object] = []
        self.patch(reactor, "callFromThread", calls.append)
        file = temporary_folder(self) / "relay.log"
        output = Output()
        output.format, output.file, output.nodaemon = "json", str(file), False
        self.emit(output, LogLevel.info)
        self.assertEqual(json.loads(file.read_text())["message"], "an event")
        os.kill(os.getpid(), signal.SIGUSR1)
        [rotate] = calls
        assert callable(rotate)
        rotate()
        self.assertTrue(file.with_name(file.name + ".1").exists())

    def test_a_daemon_has_no_standard_output(self) -> None:
        output = Output()
        output.file, output.nodaemon = "-", False
        self.assertRaises(SystemExit, output)
