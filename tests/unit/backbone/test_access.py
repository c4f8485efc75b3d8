"""How NATS is reached: credentials are told apart by what is in the file, and what is wrong with one is said."""

from __future__ import annotations

import ssl
from dataclasses import replace

from nats.errors import NoServersError
from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.access import Access, BadCredentials, explained, read_credentials, telling
from tests.kit.certificates import Authority
from tests.kit.folders import temporary_folder

SEED = "SU" + "A" * 56


def tls_error(reason: str) -> ssl.SSLError:
    """As OpenSSL's module raises it."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


class AccessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(self)
        self.access = Access(("nats://one:4222",), "RELAY")

    def written(self, text: str) -> str:
        file = self.folder / "credentials"
        file.write_text(text)
        return str(file)

    def test_each_kind_of_credentials_is_recognized(self) -> None:
        for text, options in (
            ("secret\n", {"token": "secret"}),
            ("me:it:is\n", {"user": "me", "password": "it:is"}),
            (SEED + "\n", {"nkeys_seed_str": SEED}),
        ):
            self.assertEqual(read_credentials(self.written(text)), options)
        path = self.written("-----BEGIN NATS USER JWT-----\nx\n-----BEGIN USER NKEY SEED-----\ny\n")
        self.assertEqual(read_credentials(path), {"user_credentials": path})

    def test_a_file_with_anything_else_is_refused(self) -> None:
        for text in ("", "two words", "one\ntwo", "-----BEGIN NATS USER JWT-----\nx\n", "SU" + "1" * 56):
            with self.assertRaises(BadCredentials):
                read_credentials(self.written(text))
        with self.assertRaises(OSError):
            read_credentials(str(self.folder / "none"))

    def test_the_subject_and_the_bucket_are_named_after_the_stream(self) -> None:
        self.assertEqual((self.access.subject, self.access.bucket), ("RELAY.proposals", "RELAY-snapshots"))

    def test_tls_is_used_if_it_is_asked_for(self) -> None:
        self.assertEqual(self.access.options(), {})
        tls = replace(self.access, servers=("tls://one:4222",)).options()["tls"]
        self.assertEqual((tls.verify_mode, tls.check_hostname), (ssl.CERT_REQUIRED, True))
        authority = Authority(self.folder)
        options = replace(self.access, ca=str(authority.ca), certificate=str(authority.issue("relay"))).options()
        self.assertIsInstance(options["tls"], ssl.SSLContext)

    def test_certificates_that_cannot_be_read_are_refused(self) -> None:
        nonsense = self.written("nonsense")
        for access in (replace(self.access, ca=nonsense), replace(self.access, certificate=nonsense)):
            with self.assertRaises(BadCredentials):
                access.options()

    def test_what_tells_most_of_a_connection_that_was_not_made_is_why_the_other_side_ended_it(self) -> None:
        lost, alert, unclosed = ConnectionResetError("lost"), tls_error("TLSV13_ALERT"), BrokenPipeError(32, "pipe")
        for error, reasons, most in (
            (lost, [], lost),
            (lost, [unclosed], lost),
            (lost, [lost, alert, unclosed], alert),
            (NoServersError(), [lost, unclosed], unclosed),
            (NoServersError(), [alert, unclosed], alert),
        ):
            self.assertIs(telling(error, reasons), most)

    def test_a_server_that_ends_a_connection_with_tls_may_want_another_certificate(self) -> None:
        for error in (ConnectionResetError("lost"), BrokenPipeError(32, "pipe")):
            told = explained(error, "tls://nats", {"tls": None})
            self.assertIsInstance(told, ConnectionResetError)
            self.assertIn("does it want another --backbone-certificate?", str(told))
            self.assertIs(explained(error, "nats://nats", {}), error)
        alert = explained(tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "tls://nats", {"tls": None})
        self.assertIn("alert certificate required: does it want another --backbone-certificate?", str(alert))
        wrong = explained(tls_error("WRONG_VERSION_NUMBER"), "tls://nats", {"tls": None})
        self.assertTrue(str(wrong).endswith("no TLS with it: wrong version number"), wrong)
