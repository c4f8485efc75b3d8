"""Each setting that can be reloaded reaches what it is for, and what cannot be used reaches nothing."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from OpenSSL import SSL
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, LogLevelFilterPredicate, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults, configure
from relay.config.setting import Part
from relay.config.settings import SETTINGS
from relay.config.values import Remote
from relay.core.slow import SLOW_POLICIES
from relay.daemon.assembly import Surroundings, assemble
from relay.daemon.workers import worker_config
from relay.web.request import Request
from relay.web.streams import Takeover
from relay.wire.delimited import Line
from relay.wire.websocket import text
from tests.kit.certificates import Authority
from tests.kit.fakes import said
from tests.kit.folders import temporary_folder
from tests.kit.relays import HOST

SKIP = SLOW_POLICIES["skip"]
OVER_TLS = Remote("tls:far.example:8002", False)
ORIGIN = "https://example.org"
NOT_IN_WORKERS = (Part.PUBLISHERS, Part.JOURNAL, Part.REACH, Part.WEB)


class AppliersTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = temporary_folder(self)
        self.authority = Authority(folder)
        self.token = folder / "token"
        self.token.write_text("secret")
        self.config = replace(
            configure({}),
            framing=Line,
            idle_seconds=60.0,
            publish_tls=("tcp:1",),
            subscribe_tls=("tcp:2",),
            web=("tcp:3",),
            pull=(OVER_TLS,),
            web_token_file=str(self.token),
            certificate=str(self.authority.issue("relay.example")),
            journal=str(folder / "journal"),
            journal_sync=1.0,
        )
        (folder / "journal").mkdir()
        self.now = self.config
        self.levels = LogLevelFilterPredicate()
        self.relay = assemble(
            self.config, Surroundings(reactor=MemoryReactorClock(), read=lambda: self.now, levels=self.levels)
        )
        self.limits = (1024, 10**6)
        self.patch(resource, "getrlimit", lambda which: self.limits)
        self.patch(resource, "setrlimit", lambda which, limits: setattr(self, "limits", limits))

    def reload(self, **changes: Any) -> str:  # Any: of each field's own type
        """What the log says of a reload after these changes."""
        self.now = replace(self.config, **changes)
        with capturedLogs() as events:
            self.relay.reload()
        return str(said(events)[-1][1])

    def asks_for_certificates(self, context: SSL.Context | None) -> bool:
        assert context is not None
        return bool(context.get_verify_mode() & SSL.VERIFY_FAIL_IF_NO_PEER_CERT)

    def allowed(self, token: str = "secret") -> object:
        """What a page of another site gets that asks for messages."""
        assert self.relay.site is not None
        headers = (HOST, (b"Authorization", f"Bearer {token}".encode()), (b"Origin", ORIGIN.encode()))
        answer = self.relay.site.pages.respond(Request("GET", "/events", {}, "HTTP/1.1", headers))
        return 200 if isinstance(answer, Takeover) else answer.status

    def observed(self) -> dict[str, tuple[object, Callable[[], object], object]]:
        """For each setting that can be reloaded: another value, where it has to arrive, and as what."""
        machinery, appliers = self.relay.machinery, self.relay.appliers
        journal: Any = machinery.journal  # Any: a worker has none
        other = str(self.authority.issue("other.example"))
        ca = str(self.authority.ca)
        network = (ip_network("192.0.2.0/24"),)
        return {
            "slow": (SKIP, lambda: machinery.hub.slow, SKIP),
            "stall-timeout": (7.5, lambda: machinery.hub.stall_timeout, 7.5),
            "max-connections": (
                2000,
                lambda: (machinery.admission.max_connections, self.limits[0] > 2000),
                (2000, True),
            ),
            "max-per-address": (3, lambda: machinery.admission.max_per_address, 3),
            "allow-publishers": (network, lambda: machinery.publishers.allowed, network),
            "allow-subscribers": (network, lambda: {one.allowed for one in machinery.all_subscribers}, {network}),
            "idle-message": ("hello", lambda: self.relay.appliers.idle.frame, b"hello\n"),
            "idle-seconds": (25.5, lambda: self.relay.appliers.idle.seconds, 25.5),
            "too-long": ("discard", lambda: machinery.intake.discards, True),
            "frame-timeout": (1.5, lambda: machinery.intake.frame_timeout, 1.5),
            "journal-size": (2**30, lambda: journal.figures().limit, 2**30),
            "journal-age": (3600.0, lambda: journal.housekeeping.age, 3600.0),
            "journal-sync": (0.0, lambda: (journal.interval, machinery.sessions.ack), (0.0, "synced")),
            "publisher-names": (5, lambda: machinery.sessions.names.limit, 5),
            "drain-timeout": (9.0, lambda: appliers.drain_timeout, 9.0),
            "certificate": (other, lambda: appliers.certificate.partition(",")[0], "other.example"),
            "private-key": (self.config.certificate, lambda: self.relay.reload.done[True], 1),
            "publisher-ca": (ca, lambda: self.asks_for_certificates(appliers.publisher_tls.context), True),
            "subscriber-ca": (ca, lambda: self.asks_for_certificates(appliers.subscriber_tls.context), True),
            "tls-timeout": (
                2.5,
                lambda: (machinery.publishers.handshake_timeout, machinery.subscribers.handshake_timeout),
                (2.5, 2.5),
            ),
            "pull": (
                (OVER_TLS, Remote("tcp:far.example:1", False)),
                lambda: [one.remote for one in machinery.reaching.figures()],
                [str(OVER_TLS), "tcp:far.example:1"],
            ),
            "push": (
                (Remote("tcp:far.example:1", False),),
                lambda: [(one.role, one.remote) for one in machinery.reaching.figures()][1:],
                [("push", "tcp:far.example:1")],
            ),
            "reach-ca": (ca, lambda: self.relay.reload.config.reach_ca, ca),
            "reach-certificate": (other, lambda: self.relay.reload.config.reach_certificate, other),
            "reach-private-key": (other, lambda: self.relay.reload.config.reach_private_key, other),
            "web-host": (("relay.example",), lambda: appliers.web.hosts, ("relay.example",)),
            "web-origin": ((ORIGIN,), self.allowed, 200),
            "log-level": (LogLevel.error, lambda: self.levels.logLevelForNamespace("any"), LogLevel.error),
        }

    def test_each_setting_that_can_be_reloaded_arrives(self) -> None:
        settings = {setting.name: setting for setting in SETTINGS if setting.reload is not None}
        self.assertEqual(set(self.observed()), set(settings))
        for name, setting in settings.items():
            self.setUp()
            value, observe, arrived = self.observed()[name]
            self.assertNotEqual(observe(), arrived, name)
            self.assertIn(f"reloaded; changed: {name} ", self.reload(**{setting.field: value}))
            self.assertEqual(observe(), arrived, name)

    def test_each_of_them_arrives_in_a_worker_too_unless_it_is_about_what_workers_do_not_have(self) -> None:
        names = {setting.name for setting in SETTINGS if setting.reload not in (None, *NOT_IN_WORKERS)}
        for name in names - {"allow-publishers"}:
            self.setUp()
            surroundings = Surroundings(reactor=MemoryReactorClock(), read=lambda: self.now, levels=self.levels)
            self.relay = assemble(worker_config(self.config), surroundings)
            value, observe, arrived = self.observed()[name]
            if name != "private-key":
                self.assertNotEqual(observe(), arrived, name)
            changed: dict[str, Any] = {name.replace("-", "_"): value}
            self.relay.reload.apply(worker_config(replace(self.config, **changed)))
            if name == "private-key":
                self.assertIn(self.config.certificate, self.relay.appliers.files)
            else:
                self.assertEqual(observe(), arrived, name)

    def test_every_part_is_what_some_setting_is_for(self) -> None:
        self.assertEqual({setting.reload for setting in SETTINGS} - {None}, set(Part))

    def test_feeds_that_exist_go_by_the_new_policy_too(self) -> None:
        assert self.relay.machinery.feeds is not None
        found = self.relay.machinery.feeds.provide(text(), None)
        assert found is not None
        self.reload(slow=SKIP, stall_timeout=7.5)
        hub = found[0].hub
        self.assertEqual((hub.slow, hub.stall_timeout), (SKIP, 7.5))

    def test_the_token_in_the_file_is_read_again(self) -> None:
        self.token.write_text("another")
        self.assertEqual(
            self.reload(web_origin=(ORIGIN,)),
            f"reloaded; changed: web-origin {ORIGIN}; certificate " + self.relay.appliers.certificate,
        )
        self.assertEqual((self.allowed("secret"), self.allowed("another")), (401, 200))

    def test_what_publishers_were_promised_of_the_disk_is_kept(self) -> None:
        self.assertIn("reloaded", self.reload(journal_sync=0.0))
        self.assertIn("reload failed", self.reload(journal_sync=1.0))
        assert self.relay.machinery.journal is not None
        self.assertEqual(self.relay.machinery.journal.interval, 0.0)

    def test_a_token_that_everybody_can_read_is_warned_of(self) -> None:
        warning = (LogLevel.warn, f"every user of this machine can read the token: chmod o-r {self.token}")
        for mode, warned in ((0o640, False), (0o644, True)):
            self.token.chmod(mode)
            with capturedLogs() as events:
                self.relay.reload()
            self.assertIs(warning in said(events), warned)

    def test_workers_take_some_of_the_descriptors(self) -> None:
        limits = self.relay.appliers.by_part()[Part.LIMITS]
        subscribe = ("tcp:1", "tcp:2:interface=127.0.0.1", "unix:/none")
        config = replace(self.config, max_connections=10**9, workers=10, subscribe=subscribe, subscribe_tls=())
        fault = self.assertRaises(Faults, limits, config)
        self.assertIn("the limit of open files allows 999,396", str(fault))  # two sockets and two connections each

    def test_what_fails_in_one_part_changes_nothing_in_any(self) -> None:
        before = {name: observe() for name, (_, observe, _) in self.observed().items()}
        everything = {
            setting.field: self.observed()[setting.name][0] for setting in SETTINGS if setting.reload is not None
        }
        for wrong, words in (
            ({"max_connections": 10**9}, "max-connections: the limit of open files allows 999,436; "),
            ({"certificate": "/none", "private_key": ""}, "certificate: /none: "),
            ({"private_key": "/none"}, "private-key: /none: "),
            ({"publisher_ca": "/none"}, "publisher-ca: /none: "),
            ({"reach_ca": "/none"}, "reach-ca: /none: "),
        ):
            fields: dict[str, Any] = {**everything, "private_key": "", **wrong}
            self.assertIn(f"reload failed, everything stays as it was: {words}", self.reload(**fields))
            self.check(before)
        self.token.write_text("two words")
        self.assertIn("web-token-file: ", self.reload(**{**everything, "private_key": ""}))
        self.check(before)

    def check(self, before: dict[str, object]) -> None:
        self.assertEqual({name: observe() for name, (_, observe, _) in self.observed().items()}, before)
        self.assertEqual(self.limits, (1024, 10**6))
        self.assertEqual(self.relay.reload.config, self.config)
