"""Certificates and keys: read as a whole or refused with everything that is wrong."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from OpenSSL import SSL
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults, configure
from relay.net.certificates import NO_TLS, Credentials, RenewableContext, explain, load_credentials
from tests.kit.certificates import Authority
from tests.kit.folders import temporary_folder


class CredentialsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.authority = Authority(temporary_folder(self))
        self.config = replace(configure({}), certificate=str(self.authority.issue("relay.example")))

    def test_without_a_certificate_there_is_nothing(self) -> None:
        self.assertEqual(load_credentials(configure({})), Credentials())

    def test_a_certificate_serves_both_roles_and_has_a_name(self) -> None:
        loaded = load_credentials(self.config)
        self.assertIsInstance(loaded.publishers, SSL.Context)
        self.assertIsInstance(loaded.subscribers, SSL.Context)
        self.assertRegex(loaded.name, r"^relay.example, valid until \d{4}-\d\d-\d\d$")

    def test_what_its_files_contain_is_kept_and_makes_the_same_again_wherever_they_are(self) -> None:
        config = replace(self.config, subscriber_ca=str(self.authority.ca))
        loaded = load_credentials(config)
        self.assertEqual(set(loaded.files), {config.certificate, config.subscriber_ca})
        again = load_credentials(config, loaded.files.__getitem__)
        self.assertEqual((again.name, again.files), (loaded.name, loaded.files))

    def test_only_a_role_with_an_authority_asks_for_certificates(self) -> None:
        loaded = load_credentials(replace(self.config, publisher_ca=str(self.authority.ca)))
        assert loaded.publishers is not None
        assert loaded.subscribers is not None
        self.assertTrue(loaded.publishers.get_verify_mode() & SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        self.assertEqual(loaded.subscribers.get_verify_mode(), SSL.VERIFY_NONE)

    def test_everything_that_is_wrong_is_told_with_the_setting_and_the_file(self) -> None:
        wrong = replace(self.config, private_key="/none", publisher_ca="/none", subscriber_ca="/none")
        self.assertEqual(
            self.assertRaises(Faults, load_credentials, wrong).lines,
            [f"{name}: /none: No such file or directory" for name in ("private-key", "publisher-ca", "subscriber-ca")],
        )

    def test_a_file_without_what_it_is_for_is_one_fault_in_words(self) -> None:
        folder = temporary_folder(self)
        certificate = Path(self.config.certificate).read_text()
        key, rest = re.split("(?<=KEY-----\n)(?=-----BEGIN CERT)", certificate)
        (folder / "text").write_text("nonsense")
        (folder / "certificate").write_text(rest)
        (folder / "key").write_text(key)
        no_key = "there is no private key (PEM) in it; one that has a file of its own is given by --private-key"
        for wrong, line in (
            ({"certificate": "none"}, "certificate: {}: No such file or directory"),
            ({"certificate": "text"}, "certificate: {}: there is no certificate (PEM) in it"),
            ({"certificate": "certificate"}, f"private-key: {{}}: {no_key}"),
            ({"publisher_ca": "key"}, "publisher-ca: {}: there is no certificate (PEM) in it"),
        ):
            [(name, file)] = wrong.items()
            config = replace(self.config, **{name: os.path.relpath(folder / file)})  # type: ignore[arg-type]
            lines = self.assertRaises(Faults, load_credentials, config).lines
            self.assertEqual(lines, [line.format(folder / file)])

    def test_a_context_can_be_replaced_for_connections_to_come(self) -> None:
        renewable = RenewableContext()
        for _ in range(2):
            renewable.context = load_credentials(self.config).publishers
            factory = renewable.wrap(self.fail)  # type: ignore[arg-type]  # it is not asked for anything
            connection = renewable.serverConnectionForTLS(factory.protocol(factory, self.fail))
            self.assertIs(connection.get_context(), renewable.context)

    def test_a_failure_is_explained_in_openssl_s_words(self) -> None:
        error = SSL.Error([("SSL routines", "", "no shared cipher")])
        self.assertEqual(explain(Failure(error)), "no shared cipher")
        for words in NO_TLS:
            plain = SSL.Error([("SSL routines", "", words)])
            self.assertEqual(explain(Failure(plain)), f"{words}: the peer does not speak TLS")
        for other in (SSL.Error(), SSL.SysCallError(-1, "Unexpected EOF"), ValueError()):
            self.assertEqual(explain(Failure(other)), "the peer closed the connection")
