"""The tester's publisher and client over TLS: whom they trust, and what they say when there can be no connection."""

from __future__ import annotations

import io
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tester.client.options import parse as parse_client
from tester.connection import parse_host
from tester.handshake import PATIENCE, Handshake
from tester.publisher.options import parse as parse_publisher
from tester.tls import explain
from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.process import DEADLINE, Lines, free_port, start

LONG_AGO = datetime(2020, 1, 1)
FAR_AHEAD = datetime(2999, 1, 1)
ATTACHED = "subscriber .* begins a session"
UNKNOWN = "certificate verify failed: unable to get local issuer certificate; --ca FILE names authorities to trust"


def self_signed(folder: Path, named: bool = True, password: bytes = b"") -> Path:
    """A certificate that nobody else signed, for 127.0.0.1 unless it has no name, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "itself")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    usage = x509.BasicConstraints(ca=True, path_length=None)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names if named else usage, critical=False)
        .sign(key, SHA256())
    )
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    file = folder / "itself.pem"
    file.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    )
    return file


@contextmanager
def program(name: str, address: str, *arguments: str, **environment: str) -> Iterator[Lines]:
    """A publisher or a client that does not outlive the test."""
    command = (sys.executable, "-m", f"tester.{name}", "--connect", address, "--tls", *arguments)
    lines = start(*command, env=os.environ | environment)
    try:
        yield lines
    finally:
        lines.process.kill()


def trusting(authority: Authority, *more: object) -> list[str]:
    return ["--ca", str(authority.ca), *map(str, more)]


def ends_with(running: Lines, line: str) -> None:
    """Status 1, and of what is said, one line is not about the connection or what was exchanged."""
    assert running.wait_for_end() == 1, running.text
    usual = r"connected to |sent |all is sent; waiting until |of 1 message|received |[\d:.]+  #\d+  "
    assert [said for said in running.text.splitlines() if not re.match(usual, said)] == [line]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_what_is_published_over_tls_is_received_over_tls(authority: Authority, host: str) -> None:
    with Doors(authority.issue()) as relay:
        publish, subscribe = f"{host}:{relay.publish_tls_port}", f"{host}:{relay.subscribe_tls_port}"
        with program("client", subscribe, *trusting(authority, "--count", 500)) as client:
            relay.log.wait_for(ATTACHED)
            sizes = ("--size", "50000", "--count", "500", "--interval", "0")
            with program("publisher", publish, *trusting(authority), *sizes) as publisher:
                assert publisher.wait_for_end() == 0, publisher.text
            assert client.wait_for_end() == 0, client.text
    assert "sent 500 messages, 25,000,000 bytes" in publisher.text
    assert "received 500 messages, 25,000,000 bytes" in client.text
    checksums = re.findall(r"#(\d+)  .* crc32 (\w+)", client.text)
    assert len(checksums) == 500
    assert set(re.findall(r"#(\d+)  .* crc32 (\w+)", publisher.text)) <= set(checksums)


def test_without_ca_the_authorities_of_the_system_are_trusted(authority: Authority) -> None:
    with Doors(authority.issue()) as relay:
        address = f"127.0.0.1:{relay.publish_tls_port}"
        with program("publisher", address, "--count", "1", SSL_CERT_FILE=str(authority.ca)) as publisher:
            assert publisher.wait_for_end() == 0, publisher.text
        with program("publisher", address, "--count", "1") as publisher:
            ends_with(publisher, f"{address}: {UNKNOWN}")


def test_a_relay_that_wants_a_certificate_is_shown_one(authority: Authority) -> None:
    trust = ("--publisher-ca", str(authority.ca), "--subscriber-ca", str(authority.ca))
    with Doors(authority.issue(), *trust) as relay:
        own = trusting(authority, "--count", 1, "--cert", authority.issue("tester"))
        with program("client", f"127.0.0.1:{relay.subscribe_tls_port}", *own) as client:
            relay.log.wait_for(ATTACHED)
            with program("publisher", f"127.0.0.1:{relay.publish_tls_port}", *own) as publisher:
                assert publisher.wait_for_end() == 0, publisher.text
            assert client.wait_for_end() == 0, client.text


@pytest.mark.parametrize("name", ["publisher", "client"])
@pytest.mark.parametrize("own", ["none", "of an authority that it does not know"])
def test_a_relay_that_does_not_accept_who_we_are_ends_it(
    authority: Authority, stranger: Authority, name: str, own: str
) -> None:
    trust = ("--publisher-ca", str(authority.ca), "--subscriber-ca", str(authority.ca))
    with Doors(authority.issue(), *trust) as relay:
        port = relay.publish_tls_port if name == "publisher" else relay.subscribe_tls_port
        cert = [] if own == "none" else ["--cert", str(stranger.issue("tester"))]
        with program(name, f"127.0.0.1:{port}", *trusting(authority), *cert) as running:
            reason = (
                "it wants a certificate of ours, which --cert FILE names"
                if own == "none"
                else "it refuses our certificate (--cert): unknown ca"
            )
            ends_with(running, f"127.0.0.1:{port}: {reason}")
        relay.log.wait_for("TLS handshake failed", count=1)


@pytest.mark.parametrize("name", ["publisher", "client"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unknown authority", UNKNOWN),
        ("self-signed", "certificate verify failed: self-signed certificate; --ca FILE names authorities to trust"),
        ("expired", "certificate verify failed: certificate has expired"),
        ("not yet valid", "certificate verify failed: certificate is not yet valid or the system clock is incorrect"),
        ("wrong host", "certificate verify failed: it is not for 127.0.0.1, but for relay.example, 127.0.0.2"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_ends_it(
    authority: Authority, stranger: Authority, tmp_path: Path, name: str, fault: str, reason: str
) -> None:
    certificate = {
        "unknown authority": lambda: stranger.issue(),
        "self-signed": lambda: self_signed(tmp_path),
        "expired": lambda: authority.issue(until=LONG_AGO),
        "not yet valid": lambda: authority.issue(since=FAR_AHEAD),
        "wrong host": lambda: authority.issue("relay.example", "127.0.0.2"),
    }[fault]()
    with Doors(certificate) as relay:
        port = relay.publish_tls_port if name == "publisher" else relay.subscribe_tls_port
        with program(name, f"127.0.0.1:{port}", *trusting(authority)) as running:
            ends_with(running, f"127.0.0.1:{port}: {reason}")
        assert "connected to" not in running.text


def test_a_certificate_without_a_name_is_for_nobody_also_if_its_authority_is_trusted(tmp_path: Path) -> None:
    """That it is called so in its subject does not count (RFC 9525, section 2)."""
    certificate = self_signed(tmp_path, named=False)
    with Doors(certificate) as relay:
        address = f"127.0.0.1:{relay.subscribe_tls_port}"
        with program("client", address, "--ca", str(certificate)) as client:
            reason = "certificate verify failed: Certificate does not contain any `subjectAltName`s."
            ends_with(client, f"{address}: {reason}")


def test_they_come_back_to_a_relay_that_restarts_but_not_to_somebody_else(
    authority: Authority, stranger: Authority
) -> None:
    port = free_port()
    there = ("--subscribe-tls", f"tcp:{port}:interface=127.0.0.1")
    with (
        Doors(authority.issue(), *there) as relay,
        program("client", f"127.0.0.1:{port}", *trusting(authority)) as client,
    ):
        relay.log.wait_for(ATTACHED)
        assert relay.stop() == 0
        client.wait_for("^the relay ended the connection: shutdown$")
        with Doors(authority.issue(), *there) as relay:
            client.wait_for("connected to", count=2)
            relay.log.wait_for(ATTACHED)
        with Doors(stranger.issue(), *there):
            assert client.wait_for_end() == 1
    assert client.text.splitlines()[-1] == f"127.0.0.1:{port}: {UNKNOWN}"


def test_a_peer_that_answers_without_tls_ends_it(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with program("client", address, *trusting(authority)) as client:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"\0\0\0\5hello")
                reason = "the TLS handshake failed: wrong version number; does it speak TLS there?"
                ends_with(client, f"{address}: {reason}")


def test_a_peer_that_closes_instead_is_waited_for(authority: Authority) -> None:
    """A relay that is about to end does that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with program("publisher", address, *trusting(authority)) as publisher:
            for _ in range(3):
                server.accept()[0].close()
            assert publisher.process.poll() is None
    assert publisher.wait_for_end() != 0
    assert publisher.text == f"waiting for a relay at {address}: it ended the TLS handshake; does it speak TLS there?"


class HandshakeTests(SynchronousTestCase):
    """What is between a connection and a protocol, without TLS below it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = StringTransport()
        self.refusals: list[str] = []
        self.handshake = Handshake(Factory.forProtocol(Protocol), "relay.example", self.clock, self.refusals.append)
        self.done: Deferred[IProtocol] = self.handshake.done
        self.handshake.makeConnection(self.transport)

    def test_a_peer_that_does_not_answer_is_left_and_tried_again(self) -> None:
        self.clock.advance(PATIENCE - 0.1)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(0.1)
        self.assertTrue(self.transport.disconnected)
        self.handshake.connectionLost(Failure(ConnectionAbortedError()))
        failure = self.failureResultOf(self.done, ConnectionError)
        self.assertIn("no answer to the TLS handshake in 10 s", failure.getErrorMessage())
        self.assertEqual(self.refusals, [])

    def test_who_no_longer_waits_for_it_ends_it(self) -> None:
        self.done.cancel()
        self.assertTrue(self.transport.disconnected)
        self.handshake.connectionLost(Failure(ConnectionAbortedError()))
        self.done.addErrback(lambda _: None)
        self.assertFalse(self.clock.getDelayedCalls())


class ExplainTests(SynchronousTestCase):
    def explain(self, reason: str) -> str:
        connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        return explain(SSL.Error([("SSL routines", "", reason), ("SSL routines", "", "and more")]), "host", connection)

    def test_what_the_other_side_says_is_told_from_what_we_found(self) -> None:
        self.assertEqual(
            self.explain("sslv3 alert certificate expired"), "it refuses our certificate (--cert): certificate expired"
        )
        self.assertEqual(self.explain("tlsv1 alert protocol version"), "it refuses the TLS handshake: protocol version")
        self.assertIn("unsupported protocol; does it speak TLS", self.explain("unsupported protocol"))

    def test_a_certificate_that_is_gone_is_no_reason_to_fail(self) -> None:
        self.assertIn("does not say why", self.explain("certificate verify failed"))


class AddressTests(SynchronousTestCase):
    def test_a_name_or_an_address_can_be_verified(self) -> None:
        self.assertEqual(parse_host("relay.example:8001"), ("relay.example", 8001))
        self.assertEqual(parse_host("tcp:127.0.0.1:8001"), ("127.0.0.1", 8001))
        self.assertEqual(parse_host("[2001:db8::1]:8001"), ("2001:db8::1", 8001))

    def test_nothing_else_can(self) -> None:
        for address in ("unix:/run/relay.sock", "8001", "tls:relay.example:8001", "relay.example:8001:bind=x"):
            self.assertIn("--tls needs a HOST:PORT", str(self.assertRaises(SystemExit, parse_host, address)))


@pytest.mark.parametrize("parse", [parse_publisher, parse_client])
def test_options_that_are_for_tls_say_so(parse: object, authority: Authority) -> None:
    assert callable(parse)
    for option in (["--ca", str(authority.ca)], ["--cert", str(authority.issue())]):
        with redirect_stderr(io.StringIO()) as stderr, pytest.raises(SystemExit):
            parse(option)
        assert f"{option[0]} is for TLS: give --tls as well" in stderr.getvalue()
    assert parse([]).credentials is None


def test_files_that_will_not_do_are_named(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    mixed = tmp_path / "mixed"
    key = re.search(r"-+BEGIN [A-Z ]*KEY.*?END [A-Z ]*KEY-+\n", stranger.issue().read_text(), re.DOTALL)
    assert key is not None
    mixed.write_text(authority.ca.read_text() + key[0])
    for option, file, reason in (
        ("--ca", "/no/such/file", "No such file or directory"),
        ("--ca", tmp_path / "empty", "there is no certificate in it"),
        ("--cert", tmp_path / "empty", "there is no certificate in it"),
        ("--cert", authority.ca, "there is no private key in it"),
        ("--cert", mixed, "the key does not belong to the first certificate in it"),
        ("--cert", self_signed(tmp_path, password=b"secret"), "the key has a password"),
    ):
        with redirect_stderr(io.StringIO()) as stderr, pytest.raises(SystemExit):
            parse_client(["--tls", option, str(file)])
        assert f"argument {option}: {file}: {reason}" in stderr.getvalue()
        assert stderr.getvalue().count("\n") == 1


def test_a_chain_is_shown_with_the_certificate(authority: Authority) -> None:
    file = authority.issue("tester")
    credentials = parse_client(["--tls", "--cert", str(file)]).credentials
    assert credentials is not None
    assert credentials.identity is not None
    own, others = credentials.identity
    first, *rest = x509.load_pem_x509_certificates(file.read_bytes())
    assert own.original.to_cryptography() == first
    assert [crypto.X509.to_cryptography(one) for one in others] == rest
