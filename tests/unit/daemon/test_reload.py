"""Reloading: the whole of a new configuration or nothing of it."""

from __future__ import annotations

from dataclasses import replace

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Config, Faults
from relay.config.setting import Part
from relay.core.slow import SLOW_POLICIES
from relay.daemon.options import Options
from relay.daemon.reload import Applier, Change, Reload
from relay.net.certificates import load_credentials
from tests.kit.certificates import Authority
from tests.kit.fakes import said
from tests.kit.folders import temporary_folder


class ReloadTests(SynchronousTestCase):
    def setUp(self) -> None:
        options = Options()
        options.parseOptions([])
        self.config = options.config()
        self.now: Config | Faults = self.config
        self.applied: list[Config] = []
        self.certificate = ""
        self.reload = self.make(self.config)

    def make(self, config: Config) -> Reload:
        appliers: dict[Part, Applier] = dict.fromkeys(Part, lambda config: lambda: None)
        appliers |= {Part.HUB: self.apply, Part.LIMITS: self.limit, Part.CREDENTIALS: self.certify}
        return Reload(config, read=self.read, appliers=appliers, certificate=lambda: self.certificate)

    def read(self) -> Config:
        if isinstance(self.now, Faults):
            raise self.now
        return self.now

    def apply(self, config: Config) -> Change:
        return lambda: self.applied.append(config)

    def limit(self, config: Config) -> Change:
        if config.max_connections == 10**9:
            raise Faults(["max-connections: too many"])
        return lambda: None

    def certify(self, config: Config) -> Change:
        name = load_credentials(config).name
        return lambda: setattr(self, "certificate", name)

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
        certificate = str(Authority(temporary_folder(self)).issue("relay.example"))
        self.config = replace(self.config, publish_tls=("tcp:1",), certificate=certificate)
        self.reload = self.make(self.config)
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
        self.assertIn("reloaded; changed: nothing; certificate relay.example", str(self.says()[0][1]))

    def test_what_contradicts_that_which_cannot_change_is_refused(self) -> None:
        """The TLS port stays until a restart, so that its certificate cannot go before."""
        certificate = str(Authority(temporary_folder(self)).issue("relay.example"))
        running = replace(self.config, publish_tls=("tcp:1",), certificate=certificate)
        self.reload = self.make(running)
        [(_, text)] = self.says()
        self.assertEqual(text, "reload failed, everything stays as it was: --certificate: TLS needs one")

    def test_a_certificate_is_named_with_its_end(self) -> None:
        certificate = str(Authority(temporary_folder(self)).issue("relay.example"))
        running = replace(self.config, publish_tls=("tcp:1",), certificate="another.pem")
        self.now = replace(running, certificate=certificate)
        self.reload = self.make(running)
        [(_, text)] = self.says()
        self.assertRegex(
            str(text), r"changed: certificate \S+; certificate relay.example, valid until \d{4}-\d\d-\d\d$"
        )

    def test_a_part_without_anything_that_applies_its_settings_cannot_be(self) -> None:
        appliers: dict[Part, Applier] = dict.fromkeys(Part, self.apply)
        del appliers[Part.WEB], appliers[Part.LOG]
        error = self.assertRaises(
            ValueError, Reload, self.config, read=self.read, appliers=appliers, certificate=lambda: ""
        )
        self.assertEqual(str(error), "nothing applies the settings of WEB, LOG")

    def test_nothing_is_changed_before_everything_is_prepared(self) -> None:
        order: list[str] = []

        def applier(part: Part) -> Applier:
            def prepare(config: Config) -> Change:
                order.append("prepare")
                return lambda: order.append("change")

            return prepare

        reload = Reload(
            self.config,
            read=self.read,
            appliers={part: applier(part) for part in Part},
            certificate=lambda: "",
        )
        reload.apply(self.config)
        self.assertEqual(order, ["prepare"] * len(Part) + ["change"] * len(Part))

    def test_what_is_in_force_is_known(self) -> None:
        self.now = replace(self.config, stall_timeout=1.5, replay=5)
        self.says()
        self.assertEqual(self.reload.config, replace(self.config, stall_timeout=1.5))
