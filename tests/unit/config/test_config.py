"""A configuration: a value for each setting, and what contradicts itself is refused with every reason."""

from __future__ import annotations

import json
from dataclasses import fields, replace

from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import MAX_KEEPALIVE, MIN_SEND_BUFFER, Config, Faults, check, configure, shown_settings
from relay.config.setting import Given
from relay.config.settings import SETTINGS
from relay.config.values import Remote, backbone_url
from relay.wire.delimited import Line

FAR = Remote("tcp:far:8002", True)
UNIX: dict[str, object] = {"publish": ("unix:p",), "subscribe": ("haproxy:unix:s",)}


class ConfigTests(SynchronousTestCase):
    def test_it_has_a_field_for_each_setting_and_no_other(self) -> None:
        self.assertEqual({field.name for field in fields(Config)}, {setting.field for setting in SETTINGS})

    def test_what_is_not_given_has_its_default(self) -> None:
        self.assertEqual(configure({"replay": Given("--replay", ["3"])}), replace(configure({}), replay=3))

    def test_everything_that_is_not_understood_is_told_with_its_place(self) -> None:
        given = {"replay": Given("a.toml: replay", ["x"]), "slow": Given("--slow", ["y"])}
        error = self.assertRaises(Faults, configure, given)
        self.assertEqual([line.partition(": '")[0] for line in error.lines], ["--slow", "a.toml: replay"])
        self.assertEqual(str(error), f"{error.lines[0]} (and 1 more: --check lists them)")

    def test_a_contradiction_is_told_with_the_place_of_the_setting(self) -> None:
        for name, wrong, words in (
            ("max-message", {"max_message": 0}, "at least 1 byte"),
            ("buffer", {"buffer": 1}, "1 bytes is too small: at least 1 MiB"),
            ("buffer", {"buffer": 2**20, "max_message": 2**20}, "at least 8 times that"),
            (
                "buffer",
                {"buffer": 2**21 - 1, "backbone": backbone_url("nats://one/RELAY")},
                "too small with --backbone: at least 2 MiB",
            ),
            ("max-connections", {"max_connections": 0}, "at least 1, or auto"),
            ("send-buffer", {"send_buffer": MIN_SEND_BUFFER - 1}, "at least 4 KiB"),
            ("send-buffer", {"send_buffer": 2**31}, "less than 2 GiB"),
            ("keepalive", {"keepalive": MAX_KEEPALIVE + 1}, "at most 32,767 seconds"),
            ("publish", {"publish": ()}, "publishers can't connect anywhere"),
            ("subscribe", {"subscribe": ()}, "subscribers can't connect anywhere"),
            ("certificate", {"publish_tls": ("tcp:1",)}, "TLS needs one"),
            ("certificate", {"certificate": "a.pem"}, "no TLS endpoint"),
            ("private-key", {"private_key": "a.pem"}, "no TLS endpoint"),
            ("publisher-ca", {"publisher_ca": "a.pem"}, "no TLS endpoint"),
            ("subscriber-ca", {"subscriber_ca": "a.pem"}, "no TLS endpoint"),
            ("certificate", {"certificate": "a.pem", "private_key": "b.pem"}, "that it and private-key could be for"),
            ("web-host", {"web_host": ("x",), "web_origin": ("y",)}, "no web port that it and web-origin could be for"),
            ("pull", {"pull": (FAR, FAR)}, "session:tcp:far:8002 is there twice"),
            ("pull", {"pull": (FAR,), "framing": Line}, "without session: any will do"),
            ("reach-ca", {"reach_ca": "a.pem", "pull": (FAR,)}, "no connection with TLS"),
            ("reach-certificate", {"reach_certificate": "a.pem"}, "no connection with TLS"),
            ("reach-private-key", {"reach_private_key": "a.pem"}, "no connection with TLS"),
            ("tls-timeout", {"tls_timeout": 1.0}, "no TLS endpoint"),
            (
                "allow-publishers",
                {"mirror": FAR, "publish": (), "allow_publishers": ("x",)},
                "no TCP port for publishers",
            ),
            ("allow-publishers", {"publish": ("unix:p",), "allow_publishers": ("x",)}, "no TCP port for publishers"),
            (
                "allow-subscribers",
                {"subscribe": ("unix:s",), "allow_subscribers": ("x",)},
                "no TCP port for subscribers",
            ),
            ("publisher-names", {"mirror": FAR, "publish": (), "publisher_names": 5}, "no port for publishers"),
            ("max-per-address", {**UNIX, "max_per_address": 5}, "no TCP port that it could be for"),
            ("keepalive", {**UNIX, "keepalive": 5}, "no TCP connection that it could be for"),
            ("journal-age", {"journal_age": 1.0}, "no journal"),
            ("journal-size", {"journal_size": 1, "journal_sync": 1.0}, "no journal that it and journal-sync could be"),
            ("backbone-size", {"backbone_size": 1}, "no backbone"),
            ("backbone-age", {"backbone_age": 1.0}, "no backbone"),
            ("backbone-replicas", {"backbone_replicas": 3}, "no backbone"),
            ("web-token-file", {"web_token_file": "token"}, "no web port"),
            ("web-host", {"web_host": ("relay.example",)}, "no web port"),
            ("web-origin", {"web_origin": ("https://example.org",)}, "no web port"),
        ):
            values: dict[str, object] = dict(wrong)
            config = replace(configure({}), **values)  # type: ignore[arg-type]  # of each field's own type
            [line] = self.assertRaises(Faults, check, config, {name: "here"}).lines
            self.assertTrue(line.startswith("here: "), line)
            self.assertIn(words, line)

    def test_what_is_shown_is_json_and_says_nothing_of_files_or_networks(self) -> None:
        shown = json.loads(json.dumps(shown_settings(configure({}))))
        self.assertEqual((shown["framing"], shown["log-level"], shown["slow"]), ("int32", "info", "disconnect"))
        for name in shown:
            self.assertNotRegex(name, "allow|certificate|key$|-ca$|token|origin|host|max-connections")
