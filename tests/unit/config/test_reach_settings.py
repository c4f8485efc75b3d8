"""The settings of other relays and servers, and what they do not go with."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults, configure, shared_endpoints
from relay.config.reach_settings import REACH
from relay.config.setting import Given
from relay.config.settings import SETTINGS
from relay.config.values import Remote


def given(**texts: str) -> dict[str, Given]:
    """What is given on the command line."""
    return {name.replace("_", "-"): Given(f"--{name}", [text]) for name, text in texts.items()}


class ReachSettingsTests(SynchronousTestCase):
    def test_they_stand_together_among_all_settings(self) -> None:
        found = tuple(setting for setting in SETTINGS if setting.table == "reach")
        self.assertEqual(found, REACH)

    def test_a_mirror_always_has_a_session_and_no_port_for_publishers(self) -> None:
        for text in ("tcp:far:8002", "session:tcp:far:8002"):
            config = configure(given(mirror=text))
            self.assertEqual(config.mirror, Remote("tcp:far:8002", True))
            self.assertEqual((config.publish, config.subscribe), ((), ("tcp:8002",)))
        self.assertEqual(configure(given(mirror="none")).publish, ("tcp:8001",))

    def test_a_mirror_may_have_a_journal(self) -> None:
        config = configure(given(mirror="tcp:far:8002", journal="/var/lib/relay"))
        self.assertEqual((config.mirror, config.journal), (Remote("tcp:far:8002", True), "/var/lib/relay"))

    def test_what_a_mirror_cannot_have_is_told(self) -> None:
        for name, text in (
            ("publish", "tcp:8001"),
            ("pull", "tcp:far:1"),
            ("push", "tcp:far:1"),
            ("backbone", "nats://far:4222/RELAY"),
        ):
            fault = self.assertRaises(Faults, configure, given(mirror="tcp:far:8002", **{name: text}))
            self.assertIn(f"--{name}: not with --mirror", str(fault))
        fault = self.assertRaises(Faults, configure, given(mirror="tcp:far:8002", framing="line"))
        self.assertIn("--mirror: it needs --framing int32", str(fault))

    def test_an_endpoint_that_takes_any_certificate_is_refused(self) -> None:
        fault = self.assertRaises(Faults, configure, given(pull="session:ssl:far:8002"))
        self.assertIn("--pull: 'session:ssl:far:8002' would take any certificate: use tls:HOST:PORT", str(fault))

    def test_workers_are_a_number_or_one_for_each_core_but_one(self) -> None:
        self.assertEqual([configure(given(workers=text)).workers for text in ("0", "3")], [0, 3])
        cores = len(os.sched_getaffinity(0))
        self.assertEqual(configure(given(workers="auto")).workers, max(1, cores - 1))

    def test_workers_that_cannot_be_are_told(self) -> None:
        for options, line in (
            ({"workers": "257"}, "--workers: at most 256"),
            ({"workers": "some"}, "--workers: 'some' is not a whole number"),
            ({"workers": "2", "framing": "line"}, "--workers: workers need --framing int32"),
            ({"workers": "2", "subscribe": "unix:/run/relay"}, "--workers: there is no TCP endpoint"),
        ):
            self.assertIn(line, str(self.assertRaises(Faults, configure, given(**options))))

    def test_workers_listen_where_that_is_by_tcp(self) -> None:
        config = configure(given(subscribe="haproxy:tcp6:8002"))
        self.assertEqual(shared_endpoints(config), (("subscribe", "haproxy:tcp6:8002"),))
