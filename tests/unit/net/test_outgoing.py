"""Connections that the relay makes: where they lead, and with which certificates."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from typing import cast

from OpenSSL import SSL
from twisted.internet import error as errors
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Config, Faults, configure
from relay.net.outgoing import (
    CLOSED_AT_ONCE,
    ClientCredentials,
    client_endpoint,
    is_ourselves,
    load_client_credentials,
    prepare,
    tls_trouble,
    unreachable,
)
from relay.net.transport import AcceptedTransport
from tests.kit.certificates import Authority
from tests.kit.folders import temporary_folder


class EndpointTests(SynchronousTestCase):
    def test_those_without_tls_are_twisteds_own(self) -> None:
        for text, kind in (("tcp:far:1", TCP4ClientEndpoint), ("unix:/run/relay", UNIXClientEndpoint)):
            self.assertIsInstance(client_endpoint(MemoryReactorClock(), text, ClientCredentials()), kind)

    def test_tls_goes_to_the_host_and_the_port(self) -> None:
        for text in ("tls:far.example:8002", "tls:host=far.example:port=8002:timeout=5", r"tls:\:\:1:8002"):
            made = client_endpoint(MemoryReactorClock(), text, ClientCredentials())
            self.assertNotIsInstance(made, HostnameEndpoint)
            self.assertIn("rapper", type(made).__name__)


class CredentialsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.authority = Authority(temporary_folder(self))
        self.own = str(self.authority.issue("site.example"))

    def config(self, **changes: str) -> Config:
        return replace(configure({}), **changes)  # type: ignore[arg-type]  # of each field's own type

    def test_without_files_the_system_is_trusted_and_nothing_is_shown(self) -> None:
        self.assertEqual(load_client_credentials(self.config()), ClientCredentials())

    def test_the_files_are_read(self) -> None:
        found = load_client_credentials(self.config(reach_ca=str(self.authority.ca), reach_certificate=self.own))
        self.assertIsNotNone(found.trusted)
        self.assertEqual(set(found.own), {"privateKey", "certificate", "extraCertChain"})

    def test_everything_that_is_wrong_is_told(self) -> None:
        other = str(self.authority.issue("other.example"))
        for changes, lines in (
            ({"reach_ca": "/none"}, ["reach-ca: /none: No such file or directory"]),
            (
                {"reach_certificate": "/none"},
                [
                    "reach-certificate: /none: No such file or directory",
                    "reach-private-key: /none: No such file or directory",
                ],
            ),
            (
                {"reach_certificate": self.own, "reach_private_key": other},
                [f"reach-private-key: {other} does not belong to the certificate in {self.own}"],
            ),
        ):
            self.assertEqual(self.assertRaises(Faults, load_client_credentials, self.config(**changes)).lines, lines)


class ConnectionTests(SynchronousTestCase):
    def test_tcp_asks_after_a_while_whether_the_other_side_is_there(self) -> None:
        transport = StringTransport()
        with socket.socket() as one:
            transport.socket = one  # type: ignore[attr-defined]
            prepare(cast(AcceptedTransport, transport), 7)
            self.assertEqual(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 7)
            self.assertTrue(one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        prepare(cast(AcceptedTransport, StringTransport()), 7)

    def test_our_own_other_end_is_known_by_its_address(self) -> None:
        def ends(here: object, there: object) -> AcceptedTransport:
            return cast(AcceptedTransport, StringTransport(hostAddress=here, peerAddress=there))

        client, server = IPv4Address("TCP", "127.0.0.1", 40000), IPv4Address("TCP", "127.0.0.1", 8002)
        other = IPv4Address("TCP", "127.0.0.1", 40001)
        self.assertTrue(is_ourselves(ends(client, server), ends(server, client)))
        self.assertFalse(is_ourselves(ends(client, server), ends(server, other)))
        path, nothing = UNIXAddress("/run/relay"), UNIXAddress(None)
        self.assertTrue(is_ourselves(ends(nothing, path), ends(path, nothing)))
        self.assertFalse(is_ourselves(ends(nothing, UNIXAddress("/run/other")), ends(path, nothing)))


class TroubleTests(SynchronousTestCase):
    def test_why_there_is_no_connection_is_told_in_words(self) -> None:
        for error, words in (
            (errors.ConnectionRefusedError(), "nobody listens there"),
            (errors.TimeoutError(), "nobody answers"),
            (errors.DNSLookupError("lookup failed: far."), "no address is known for it (lookup failed: far)"),
            (errors.getConnectError(OSError(errno.ECONNRESET, "x")), CLOSED_AT_ONCE),
            (errors.getConnectError(OSError(errno.EHOSTUNREACH, "x")), "No route to host"),
            (errors.getConnectError(OSError(errno.ENOENT, "x")), "No such file or directory"),
            (errors.ConnectError(), "An error occurred while connecting"),
        ):
            self.assertEqual(unreachable(Failure(error)), words)

    def test_what_tls_says_comes_with_the_option_that_may_help(self) -> None:
        for said, words in (
            ("certificate verify failed", "has signed it (--reach-ca)"),
            ("tlsv13 alert certificate required", "the other side asks for a certificate (--reach-certificate)"),
            ("tlsv1 alert unknown ca", "does not take the certificate that it was shown (--reach-certificate)"),
            ("no shared cipher", "no shared cipher"),
            ("wrong version number", "the peer does not speak TLS"),
        ):
            trouble = tls_trouble(Failure(SSL.Error([("SSL routines", "", said)])))
            self.assertTrue(trouble.startswith(said) and trouble.endswith(words), trouble)
        self.assertTrue(tls_trouble(Failure(errors.ConnectionDone())).endswith(": it may not speak TLS"))
