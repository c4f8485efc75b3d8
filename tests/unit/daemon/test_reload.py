"""Reloading: the whole of a new configuration or nothing of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Config, Faults
from relay.core.slow import SLOW_POLICIES
from relay.daemon.options import Options
from relay.daemon.reload import Reload
from relay.net.credentials import Credentials
from tests.kit.certificates import Authority
from tests.kit.fakes import said


class ReloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        options = Options()
        options.parseOptions([])
        self.config = options.config()
        self.now: Config | Faults = self.config
        self.applied: list[Config] = []
        self.reload = Reload(self.config, self.read, self.apply)

    def read(self) -> Config:
        if isinstance(self.now, Faults):
            raise self.now
        return self.now

    def apply(self, config: Config, credentials: Credentials) -> None:
        if config.max_connections == 10**9:
            raise Faults(["max-connections: too many"])
        self.applied.append(config)

    def says(self) -> list[tuple[LogLevel, str | None]]:
        with capturedLogs() as events:
            self.reload()
        return said(events)

    def test_what_can_change_changes_and_what_cannot_is_named(self) -> None:
        self.now = replace(
            self.config, slow=SLOW_POLICIES["skip"], stall_timeout=1.5, max_connections=7, buffer=2**21, replay=5
        )
        self.assertEqual(
            self.says(),
            [
                (
                    LogLevel.info,
                    "reloaded; changed: slow skip, stall-timeout 1.5, max-connections 7; "
                    "only after a restart: buffer, replay",
                )
            ],
        )
        [config] = self.applied
        self.assertEqual(config, replace(self.config, slow=SLOW_POLICIES["skip"], stall_timeout=1.5, max_connections=7))
        self.assertEqual(self.reload.done, {True: 1})

    def test_a_change_is_told_once_and_a_restart_that_is_due_each_time(self) -> None:
        self.now = replace(self.config, log_level=LogLevel.warn, allow_publishers=(), replay=5)
        self.assertIn("changed: log-level warn; only after a restart: replay", str(self.says()[0][1]))
        self.assertIn("changed: nothing; only after a restart: replay", str(self.says()[0][1]))

    def test_a_configuration_with_a_fault_changes_nothing(self) -> None:
        for wrong in (
            Faults(["relay.toml: slow: wrong", "another"]),
            replace(self.config, max_connections=10**9, slow=SLOW_POLICIES["skip"]),
            replace(self.config, certificate="/nonexistent", slow=SLOW_POLICIES["skip"]),
        ):
            self.now = wrong
            [(level, text)] = self.says()
            self.assertIs(level, LogLevel.warn)
            self.assertRegex(str(text), "^reload failed, everything stays as it was: .*(wrong|too many|No such file)")
        self.assertEqual(self.applied, [])
        self.assertEqual(self.reload.done, {False: 3})
        self.now = self.config
        self.assertEqual(self.says(), [(LogLevel.info, "reloaded; changed: nothing")])

    def test_what_contradicts_that_which_cannot_change_is_refused(self) -> None:
        """The TLS port stays until a restart, so that its certificate cannot go before."""
        with TemporaryDirectory() as folder:
            certificate = str(Authority(Path(folder)).issue("relay.example"))
            running = replace(self.config, publish_tls=("tcp:1",), certificate=certificate)
            self.reload = Reload(running, self.read, self.apply)
            [(_, text)] = self.says()
        self.assertEqual(text, "reload failed, everything stays as it was: --certificate: TLS needs one")

    def test_a_certificate_is_named_with_its_end(self) -> None:
        with TemporaryDirectory() as folder:
            self.now = replace(self.config, certificate=str(Authority(Path(folder)).issue("relay.example")))
            [(_, text)] = self.says()
        self.assertRegex(
            str(text), r"changed: certificate \S+; certificate relay.example, valid until \d{4}-\d\d-\d\d$"
        )
