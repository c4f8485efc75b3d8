"""The options of `twistd relay`: what they mean, and what is refused."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from ipaddress import ip_network

from twisted.logger import LogLevel
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

import twisted
from relay import __version__
from relay.config.config import Config
from relay.config.values import BackboneUrl, Remote
from relay.core.slow import SLOW_POLICIES
from relay.daemon.options import Options
from relay.wire.counted import Int32
from relay.wire.delimited import Line
from relay.wire.raw import Raw


def parse(*arguments: str) -> Config:
    options = Options()
    options.parseOptions(list(arguments))
    return options.config()


class OptionsTests(SynchronousTestCase):
    def test_the_defaults_are_those_of_the_manual(self) -> None:
        self.assertEqual(
            parse(),
            Config(
                publish=("tcp:8001",),
                subscribe=("tcp:8002",),
                framing=Int32,
                max_message=99_999,
                buffer=64 * 2**20,
                slow=SLOW_POLICIES["disconnect"],
                stall_timeout=180.0,
                replay=0,
                max_connections=None,
                max_per_address=0,
                frame_timeout=30.0,
                too_long="disconnect",
                publisher_names=10_000,
                journal="",
                journal_size=10 * 2**30,
                journal_age=0.0,
                journal_sync=0.0,
                backbone=None,
                backbone_credentials="",
                backbone_ca="",
                backbone_certificate="",
                backbone_replicas=1,
                backbone_size=10 * 2**30,
                backbone_age=0.0,
                keepalive=60,
                idle_seconds=0.0,
                idle_message="",
                send_buffer=256 * 1024,
                drain_timeout=5.0,
                allow_publishers=(),
                allow_subscribers=(),
                publish_tls=(),
                subscribe_tls=(),
                certificate="",
                private_key="",
                publisher_ca="",
                subscriber_ca="",
                tls_timeout=5.0,
                pull=(),
                push=(),
                mirror=None,
                workers=0,
                reach_ca="",
                reach_certificate="",
                reach_private_key="",
                web=(),
                web_token_file="",
                web_host=(),
                web_origin=(),
                log_format="text",
                log_level=LogLevel.info,
            ),
        )

    def test_everything_can_be_chosen(self) -> None:
        config = parse(
            *("--publish", "tcp:1", "--publish", "tcp:2:interface=127.0.0.1", "--subscribe", "unix:/run/relay"),
            *("--too-long", "discard"),
            *("--idle-seconds", "25.5", "--idle-message", "# idle"),
            *("--framing", "line", "--max-message", "1KiB", "--buffer", "2 MiB", "--slow", "skip"),
            *("--stall-timeout", "0.5", "--replay", "7"),
            *("--max-connections", "100", "--max-per-address", "10", "--frame-timeout", "1.5"),
            *("--keepalive", "0", "--send-buffer", "64KiB", "--drain-timeout", "0"),
            *("--allow-publishers", "192.0.2.0/24, 2001:db8::/32", "--allow-subscribers", "127.0.0.1"),
            *("--allow-subscribers", "::1", "--publish-tls", "tcp:3", "--subscribe-tls", "tcp:4"),
            *("--subscribe-tls", "tcp:5", "--certificate", "chain.pem", "--private-key", "key.pem"),
            *("--publisher-ca", "one.pem", "--subscriber-ca", "other.pem", "--tls-timeout", "2"),
            *("--publisher-names", "5"),
            *("--backbone", "tls://one:4222,[::1]:1/RELAY", "--backbone-credentials", "nats.creds"),
            *("--backbone-ca", "nats-ca.pem", "--backbone-certificate", "nats.pem"),
            *("--backbone-replicas", "3", "--backbone-size", "2GiB", "--backbone-age", "3600"),
            *("--pull", "tcp:far.example:2947", "--pull", "tls:far.example:8002"),
            *("--push", "unix:/run/other", "--mirror", "none", "--workers", "0"),
            *("--reach-ca", "authority.pem", "--reach-certificate", "own.pem", "--reach-private-key", "own.key"),
            *("--web", "tcp:6:interface=127.0.0.1", "--web", "unix:/run/web", "--web-token-file", "token"),
            *("--web-host", "Relay.example.", "--web-host", "map-1"),
            *("--web-origin", "https://Example.org/", "--web-origin", "http://127.0.0.1:8080"),
            *("--log-format", "json", "--log-level", "warn"),
        )
        self.assertEqual(
            config,
            Config(
                publish=("tcp:1", "tcp:2:interface=127.0.0.1"),
                subscribe=("unix:/run/relay",),
                framing=Line,
                max_message=1024,
                buffer=2**21,
                slow=SLOW_POLICIES["skip"],
                stall_timeout=0.5,
                replay=7,
                max_connections=100,
                max_per_address=10,
                frame_timeout=1.5,
                too_long="discard",
                publisher_names=5,
                journal="",
                journal_size=10 * 2**30,
                journal_age=0.0,
                journal_sync=0.0,
                backbone=BackboneUrl(("tls://one:4222", "tls://[::1]:1"), "RELAY"),
                backbone_credentials="nats.creds",
                backbone_ca="nats-ca.pem",
                backbone_certificate="nats.pem",
                backbone_replicas=3,
                backbone_size=2**31,
                backbone_age=3600.0,
                keepalive=0,
                idle_seconds=25.5,
                idle_message="# idle",
                send_buffer=64 * 1024,
                drain_timeout=0.0,
                allow_publishers=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
                allow_subscribers=(ip_network("127.0.0.1"), ip_network("::1")),
                publish_tls=("tcp:3",),
                subscribe_tls=("tcp:4", "tcp:5"),
                certificate="chain.pem",
                private_key="key.pem",
                publisher_ca="one.pem",
                subscriber_ca="other.pem",
                tls_timeout=2.0,
                pull=(Remote("tcp:far.example:2947", False), Remote("tls:far.example:8002", False)),
                push=(Remote("unix:/run/other", False),),
                mirror=None,
                workers=0,
                reach_ca="authority.pem",
                reach_certificate="own.pem",
                reach_private_key="own.key",
                web=("tcp:6:interface=127.0.0.1", "unix:/run/web"),
                web_token_file="token",
                web_host=("relay.example", "map-1"),
                web_origin=("https://example.org", "http://127.0.0.1:8080"),
                log_format="json",
                log_level=LogLevel.warn,
            ),
        )
        kept = parse("--journal", "/tmp", "--journal-size", "1GiB", "--journal-age", "86400", "--journal-sync", "0.5")
        self.assertEqual((kept.journal, kept.journal_size), ("/tmp", 2**30))
        self.assertEqual((kept.journal_age, kept.journal_sync), (86_400.0, 0.5))
        self.assertEqual(
            (parse("--framing", "raw").framing, parse("--slow", "block").slow), (Raw, SLOW_POLICIES["block"])
        )

    def test_what_is_wrong_is_named_in_one_line_with_the_reason(self) -> None:
        for arguments, words in (
            (["--framing", "crlf"], ["--framing", "'crlf'", "int32, int16", "package.module:Class"]),
            (["--framing", "tests.kit.nowhere:Own"], ["--framing", "cannot be imported", "tests.kit.nowhere"]),
            (["--framing", "tests.kit.own_framing:Other"], ["--framing", "no such class"]),
            (["--too-long", "discard"], ["--too-long", "the framing int32", "where the next message begins"]),
            (["--framing", "line", "--too-long", "cut"], ["--too-long", "'cut'", "disconnect, discard"]),
            (["--idle-message", "x"], ["--idle-message", "only with idle-seconds"]),
            (["--idle-seconds", "0.5"], ["--idle-seconds", "at least 1, or 0"]),
            (
                ["--framing", "raw", "--idle-seconds", "9"],
                ["--idle-message", "framing raw: there are no empty messages"],
            ),
            (
                ["--framing", "line", "--idle-seconds", "9", "--idle-message", "a\nb"],
                ["--idle-message", "framing line: there is a line feed"],
            ),
            (
                ["--max-message", "9", "--idle-seconds", "9", "--idle-message", "x" * 10],
                ["--idle-message", "longer than a message may be, 9 bytes"],
            ),
            (["--slow", "wait"], ["--slow", "'wait'", "disconnect, skip, block"]),
            (["--buffer", "64MB"], ["--buffer", "'64MB'", "64MiB"]),
            (["--buffer", "1023KiB"], ["--buffer", "1,023 KiB", "at least 1 MiB"]),
            (["--buffer", "1MiB", "--max-message", "131073"], ["--buffer", "131,073", "1,048,584 bytes"]),
            (["--max-message", "-1"], ["--max-message", "'-1'"]),
            (["--journal", "/tmp", "--journal-size", "63MiB"], ["--journal-size", "63 MiB", "at least 64 MiB"]),
            (["--journal-sync", "often"], ["--journal-sync", "'often'"]),
            (["--backbone", "one:4222/RELAY"], ["--backbone", "'one:4222/RELAY'", "nats://one:4222,two:4222/RELAY"]),
            (["--backbone", "nats://one,/RELAY"], ["--backbone", "no backbone"]),
            (["--backbone", "nats://one/RE.LAY"], ["--backbone", "no backbone"]),
            (["--backbone", "nats://one/X", "--journal", "/tmp"], ["--journal", "not with --backbone"]),
            (["--backbone", "nats://one/X", "--backbone-replicas", "2"], ["--backbone-replicas", "1, 3 or 5"]),
            (["--backbone", "nats://one/X", "--backbone-size", "1MiB"], ["--backbone-size", "at least 64 MiB"]),
            (["--backbone", "nats://one/X", "--backbone-age", "60"], ["--backbone-age", "at least 300"]),
            (["--backbone-ca", "ca.pem"], ["--backbone-ca", "no backbone that it could be for"]),
            (["--max-message", "0"], ["--max-message", "at least 1"]),
            (["--stall-timeout", "-1"], ["--stall-timeout", "'-1'"]),
            (["--stall-timeout", "soon"], ["--stall-timeout", "'soon'"]),
            (["--stall-timeout", "inf"], ["--stall-timeout", "'inf'"]),
            (["--replay", "-1"], ["--replay", "'-1'"]),
            (["--replay", "1.5"], ["--replay", "'1.5'"]),
            (["--publish", "8001"], ["--publish", "'8001'", "tcp:8001"]),
            (["--subscribe", "tcp:http"], ["--subscribe", "'tcp:http'"]),
            (["--subscribe", "tcp"], ["--subscribe", "'tcp'"]),
            (["--web", "tcp:1", "--web-origin", "example.org"], ["--web-origin", "'example.org'", "https://"]),
            (["--web-origin", "https://example.org"], ["--web-origin", "no web port"]),
            (["--web", "tcp:1", "--web-host", "http://a:8003"], ["--web-host", "'http://a:8003'", "relay.example.org"]),
        ):
            error = self.assertRaises(UsageError, parse, *arguments)
            self.assertNotIn("\n", str(error))
            for word in words:
                self.assertIn(word, str(error))

    def test_the_smallest_buffer_for_the_largest_messages_is_accepted(self) -> None:
        self.assertEqual(parse("--buffer", "1MiB", "--max-message", "131072").buffer, 2**20)

    def test_help_names_every_option_with_its_default(self) -> None:
        usage = " ".join(str(Options()).split())
        for option, default in (
            ("--publish", "tcp:8001"),
            ("--subscribe", "tcp:8002"),
            ("--framing", "int32"),
            ("--max-message", "99999"),
            ("--buffer", "64MiB"),
            ("--slow", "disconnect"),
            ("--stall-timeout", "30"),
            ("--replay", "0"),
        ):
            self.assertIn(option, usage)
            self.assertIn(f"[default: {default}]", usage)

    def test_version_names_the_relay_and_twisted(self) -> None:
        output = StringIO()
        with redirect_stdout(output):
            self.assertEqual(self.assertRaises(SystemExit, parse, "--version").code, 0)
        self.assertEqual(output.getvalue(), f"relay {__version__}, Twisted {twisted.__version__}\n")
