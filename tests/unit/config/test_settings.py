"""The configuration file: what it may say, what is refused and in which words, and what `--check` makes of it."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from ipaddress import ip_network

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.logger import LogLevel
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Config, Faults
from relay.config.file import read_file
from relay.core.slow import SLOW_POLICIES
from relay.daemon.options import Options
from relay.wire.delimited import Line
from tests.kit.certificates import Authority
from tests.kit.folders import temporary_folder


class Case(SynchronousTestCase):
    """Has a folder of its own, and a file in it."""

    def setUp(self) -> None:
        self.folder = temporary_folder(self)
        self.file = self.folder / "relay.toml"

    def load(self, text: str, *arguments: str) -> Config:
        """What a file with that text, and those options beside it, ask for."""
        self.file.write_text(text)
        options = Options()
        options.parseOptions(["--config", str(self.file), *arguments])
        return options.config()

    def faults(self, text: str) -> list[str]:
        """What is wrong with a file with that text, without the name of the file."""
        self.file.write_text(text)
        options = Options()
        options.opt_config(str(self.file))
        lines = self.assertRaises(Faults, options.config).lines
        for line in lines:
            self.assertNotIn("\n", line)
            self.assertTrue(line.startswith(f"{self.file}: "), line)
        return [line.removeprefix(f"{self.file}: ") for line in lines]

    def check(self, *arguments: str) -> tuple[object, str, str]:
        """The exit status of `--check`, its output and its error output."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err), self.assertRaises(SystemExit) as end:
            Options().parseOptions([*arguments, "--check"])
        return end.exception.code, out.getvalue(), err.getvalue()


class FileTests(Case):
    """What a file may say."""

    def test_values_are_numbers_texts_and_lists_in_their_tables(self) -> None:
        config = self.load("""
            publish = ["tcp:1", "tcp:2"]
            subscribe = "tcp:3"
            framing = "line"
            max-message = 1000
            buffer = "2MiB"
            slow = "skip"
            stall-timeout = 1.5
            replay = 7

            [limits]
            max-connections = 100
            allow-publishers = ["192.0.2.0/24", "2001:db8::/32"]
            allow-subscribers = "192.0.2.1, 192.0.2.2"
            frame-timeout = 2

            [tls]
            subscribe-tls = "tcp:4"
            certificate = "a.pem"
            tls-timeout = 0

            [log]
            log-level = "warn"
            """)
        self.assertEqual((config.publish, config.subscribe), (("tcp:1", "tcp:2"), ("tcp:3",)))
        self.assertEqual((config.framing, config.max_message, config.buffer), (Line, 1000, 2 * 2**20))
        self.assertEqual((config.slow, config.stall_timeout, config.replay), (SLOW_POLICIES["skip"], 1.5, 7))
        self.assertEqual((config.max_connections, config.frame_timeout, config.tls_timeout), (100, 2.0, 0.0))
        self.assertEqual(config.allow_publishers, (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
        self.assertEqual(config.allow_subscribers, (ip_network("192.0.2.1"), ip_network("192.0.2.2")))
        self.assertIs(config.log_level, LogLevel.warn)

    def test_an_empty_file_is_the_defaults(self) -> None:
        default = Options()
        default.parseOptions([])
        self.assertEqual(self.load(""), default.config())
        self.assertEqual(self.load("[limits]\n[tls]\n[log]\n"), default.config())

    def test_an_empty_list_is_none(self) -> None:
        tls = '[tls]\npublish-tls = ["tcp:0"]\ncertificate = "a.pem"\n'
        self.assertEqual(self.load(f"publish = []\n{tls}").publish, ())
        self.assertEqual(self.load("[limits]\nallow-publishers = []\n").allow_publishers, ())

    def test_the_command_line_wins_wherever_it_stands(self) -> None:
        self.file.write_text('slow = "skip"\nreplay = 7\n')
        config, slow = ["--config", str(self.file)], ["--slow", "block"]
        for arguments in (slow + config, config + slow):
            options = Options()
            options.parseOptions(arguments)
            self.assertEqual((options.config().slow, options.config().replay), (SLOW_POLICIES["block"], 7))

    def test_a_list_on_the_command_line_replaces_the_one_in_the_file(self) -> None:
        text = 'publish = ["tcp:1", "tcp:2"]\n[limits]\nallow-publishers = ["192.0.2.0/24"]\n'
        config = self.load(text, "--publish", "tcp:3", "--publish", "tcp:4", "--allow-publishers", "none")
        self.assertEqual((config.publish, config.allow_publishers), (("tcp:3", "tcp:4"), ()))

    def test_the_file_is_read_again_each_time_and_the_command_line_still_wins(self) -> None:
        self.file.write_text('slow = "skip"\n')
        options = Options()
        options.parseOptions(["--config", str(self.file), "--replay", "3"])
        self.file.write_text('slow = "block"\nreplay = 9\n')
        config = options.config()
        self.assertEqual((config.slow, config.replay), (SLOW_POLICIES["block"], 3))


class FaultsTests(Case):
    """What is refused, and in which words."""

    def test_an_unknown_or_misplaced_name_is_told_where_it_stands(self) -> None:
        for text, expected in (
            ("slwo = 'skip'", "slwo: there is no such setting"),
            ("[limits]\nslwo = 1", "limits.slwo: there is no such setting"),
            ("[limit]\nreplay = 1", "limit: there is no such setting"),
            ("config = 'other.toml'", "config: there is no such setting"),
            ("check = true", "check: there is no such setting"),
            ("limits = 3", "limits: there is no such setting"),
            ("max_message = 1", "max_message: there is no such setting"),
            ("keepalive = 1", "keepalive: this belongs in the table [limits]"),
            ("[tls]\nlog-level = 'info'", "tls.log-level: this belongs in the table [log]"),
            ("[log]\nslow = 'skip'", "log.slow: this belongs at the top, before all tables"),
        ):
            self.assertEqual(self.faults(text), [expected])

    def test_a_value_of_the_wrong_kind_is_shown_with_its_place(self) -> None:
        for text, where, value in (
            ("replay = true", "replay", "True"),
            ("replay = 1.0", "replay", "1.0"),
            ("replay = '7'", "replay", "'7'"),
            ("replay = -1", "replay", "'-1'"),
            ("buffer = 2.5e6", "buffer", "2500000.0"),
            ("buffer = false", "buffer", "False"),
            ("buffer = '64MB'", "buffer", "'64MB'"),
            ("stall-timeout = true", "stall-timeout", "True"),
            ("stall-timeout = '30'", "stall-timeout", "'30'"),
            ("stall-timeout = inf", "stall-timeout", "'inf'"),
            ("stall-timeout = nan", "stall-timeout", "'nan'"),
            ("slow = ['skip']", "slow", "['skip']"),
            ("slow = 1", "slow", "1"),
            ("framing = {}", "framing", "{}"),
            ("publish = 8001", "publish", "8001"),
            ("publish = [8001]", "publish", "8001"),
            ("publish = ['tcp:1', 'nowhere']", "publish", "'nowhere'"),
            ("[limits]\nmax-connections = 'many'", "limits.max-connections", "'many'"),
            ("[limits]\nmax-connections = 0.5", "limits.max-connections", "0.5"),
            ("[limits]\nallow-publishers = ['192.0.2.1/24']", "limits.allow-publishers", "192.0.2.1/24"),
            ("[limits]\nallow-publishers = ['localhost']", "limits.allow-publishers", "'localhost'"),
            ("[tls]\ncertificate = ['a.pem']", "tls.certificate", "['a.pem']"),
            ("[log]\nlog-level = 'loud'", "log.log-level", "'loud'"),
            ("[log]\nlog-level = 2020-01-01", "log.log-level", "datetime.date(2020, 1, 1)"),
        ):
            [line] = self.faults(text)
            self.assertTrue(line.startswith(f"{where}: "), line)
            self.assertIn(value, line)

    def test_what_cannot_be_together_is_told_where_it_was_said(self) -> None:
        tls = "[tls]\ncertificate = 'a.pem'\n"
        for text, where, words in (
            ("buffer = 1", "buffer", "at least 1 MiB"),
            ("buffer = '1MiB'\nmax-message = 131073", "buffer", "1,048,584 bytes"),
            ("max-message = 0", "max-message", "at least 1 byte"),
            ("publish = []", "publish", "can't connect anywhere"),
            ("subscribe = []", "subscribe", "can't connect anywhere"),
            ("[limits]\nmax-connections = 0", "limits.max-connections", "at least 1"),
            ("[limits]\nsend-buffer = 4095", "limits.send-buffer", "at least 4 KiB"),
            ("[limits]\nkeepalive = 32768", "limits.keepalive", "at most 32,767"),
            ("[tls]\ncertificate = 'a.pem'", "tls.certificate", "no TLS endpoint"),
            (tls + "subscribe-tls = 'tcp:1'\npublisher-ca = 'b.pem'", "tls.publisher-ca", "no TLS endpoint"),
            (tls + "publish-tls = 'tcp:1'\nsubscriber-ca = 'b.pem'", "tls.subscriber-ca", "no TLS endpoint"),
        ):
            [line] = self.faults(text)
            self.assertTrue(line.startswith(f"{where}: "), line)
            self.assertIn(words, line)

    def test_tls_without_a_certificate_is_refused(self) -> None:
        with self.assertRaisesRegex(UsageError, "certificate: TLS needs one"):
            self.load("[tls]\nsubscribe-tls = 'tcp:0'\n")

    def test_everything_that_is_wrong_is_told_at_once_and_the_start_ends_with_the_first(self) -> None:
        self.assertEqual(
            self.faults("slwo = 1\nreplay = true\n[log]\nloud = 1\n"),
            [
                "slwo: there is no such setting",
                "replay: True is not a whole number",
                "log.loud: there is no such setting",
            ],
        )
        with self.assertRaisesRegex(UsageError, r"slwo: there is no such setting \(and 2 more: --check lists them\)$"):
            self.load(self.file.read_text())

    def test_what_is_not_toml_is_told_with_the_line(self) -> None:
        for text in ("slow =\n", "slow = 'skip'\nslow = 'block'\n", "slow = skip\n", "[limits\n"):
            [line] = self.faults(text)
            self.assertTrue("line " in line or "end of document" in line, line)

    def test_a_file_that_cannot_be_read_is_named_with_the_reason(self) -> None:
        binary = self.folder / "binary.toml"
        binary.write_bytes(b"slow = '\xff'\n")
        for path, reason in (
            (self.folder / "missing.toml", "No such file or directory"),
            (self.folder, "Is a directory"),
            (binary, "a configuration file is UTF-8"),
        ):
            [line] = self.assertRaises(Faults, read_file, str(path)).lines
            self.assertTrue(line.startswith(f"{path}: "), line)
            self.assertIn(reason, line)


class CheckTests(Case):
    """What `--check` makes of it."""

    def test_check_reads_certificates_and_keys(self) -> None:
        authority = Authority(self.folder)
        good, other = authority.issue(), authority.issue()
        empty = self.folder / "empty.pem"
        empty.write_text("")
        locked = self.folder / "locked.pem"
        key = load_pem_private_key(good.read_bytes(), None)
        locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
        missing = self.folder / "missing.pem"
        tls = ("--publish-tls", "tcp:0", "--certificate")
        self.assertEqual(self.check(*tls, str(good), "--publisher-ca", str(authority.ca)), (0, "ok\n", ""))
        for arguments, expected in (
            ([missing], [f"certificate: {missing}: No such file"]),
            ([empty], [f"certificate: {empty}: "]),
            ([authority.ca], [f"private-key: {authority.ca}: "]),
            ([good, "--private-key", other], [f"private-key: {other} does not belong to the certificate in {good}"]),
            (
                [good, "--private-key", locked],
                [f"private-key: {locked}: it asks for a password; openssl pkey writes a copy"],
            ),
            ([good, "--private-key", self.folder], [f"private-key: {self.folder}: Is a directory"]),
            ([good, "--publisher-ca", missing], [f"publisher-ca: {missing}: No such file"]),
            ([good, "--publisher-ca", empty], [f"publisher-ca: {empty}: "]),
        ):
            status, output, errors = self.check(*tls, *map(str, arguments))
            self.assertEqual((status, output), (1, ""))
            lines = errors.splitlines()
            self.assertEqual(len(lines), len(expected), errors)
            for line, begin in zip(lines, expected, strict=True):
                self.assertTrue(line.startswith(begin), line)

    def test_a_name_of_no_file_is_refused(self) -> None:
        """As from a variable of the shell that is not set."""
        with self.assertRaisesRegex(UsageError, r"^--config: give the name of a file$"):
            Options().parseOptions(["--config", ""])

    def test_a_key_that_openssl_finds_too_weak_is_a_fault_and_no_traceback(self) -> None:
        key = rsa.generate_private_key(65537, 1024)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weak")])
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
        now = datetime.now(UTC)
        dated = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
        certificate = dated.public_key(key.public_key()).sign(key, SHA256())
        weak = self.folder / "weak.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        weak.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
        status, _, errors = self.check("--publish-tls", "tcp:0", "--certificate", str(weak))
        self.assertEqual(status, 1)
        self.assertTrue(errors.startswith("certificate: "), errors)
        self.assertIn("key too small", errors)
