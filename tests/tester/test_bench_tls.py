"""The tester's benchmark over TLS: its certificate, its connections, and whole runs of it."""

from __future__ import annotations

import io
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import pytest

from tester.bench.certificates import make
from tester.bench.options import parse
from tester.bench.report import title
from tester.bench.secure import CIPHER, Secure
from tester.tls import Tls, TlsError
from tests.kit.bench import bench, needs_rich
from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.process import DEADLINE

HOST = "127.0.0.1"
TLS_1_3 = "TLSv1.3"


@contextmanager
def peer(certificate: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[socket.socket]:
    """A connection to a server with that certificate, which sends back all that it receives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.maximum_version = version

    def serve() -> None:
        try:
            with server.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as echoing:
                while data := echoing.recv(65536):
                    echoing.sendall(data)
        except OSError:
            pass  # whoever does not trust it is gone

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(server.getsockname(), DEADLINE) as plain:
            yield plain
        thread.join(DEADLINE)


def test_its_certificate_is_for_one_address_and_signed_by_its_authority(tmp_path: Path) -> None:
    files = make(tmp_path, HOST)
    both = tmp_path / "both.pem"
    both.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    with peer(both) as plain:
        context = ssl.create_default_context(cafile=files.authority)
        with context.wrap_socket(plain, server_hostname=HOST) as verified:
            assert verified.version() == TLS_1_3
    with peer(both) as plain, pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        ssl.create_default_context(cafile=files.authority).wrap_socket(plain, server_hostname="127.0.0.2")


def test_a_connection_is_used_like_a_socket_that_never_waits_to_read(authority: Authority) -> None:
    sent = bytes(range(256)) * 400  # more than some records, and no whole number of them
    with peer(authority.issue()) as plain:
        secure = Secure(plain, "localhost", Tls(authority.ca))
        assert (secure.version, secure.cipher) == (TLS_1_3, CIPHER)
        with pytest.raises(BlockingIOError):
            secure.recv(1 << 18)
        secure.sendall(sent)
        received = b""
        while len(received) < len(sent):
            try:
                received += secure.recv(1 << 18)
            except BlockingIOError:
                continue
        assert received == sent
        plain.shutdown(socket.SHUT_WR)


def test_a_peer_with_another_name_or_without_that_cipher_is_refused(authority: Authority, tmp_path: Path) -> None:
    certificate = authority.issue()
    with peer(certificate) as plain, pytest.raises(TlsError, match=r"not for 127\.0\.0\.2, but for localhost"):
        Secure(plain, "127.0.0.2", Tls(authority.ca))
    with peer(certificate, ssl.TLSVersion.TLSv1_2) as plain, pytest.raises(TlsError, match="protocol version"):
        Secure(plain, HOST, Tls(authority.ca))


def test_a_peer_that_ends_the_handshake_is_no_failure_of_tls() -> None:
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname(), DEADLINE) as plain:
        server.accept()[0].close()
        with pytest.raises(ConnectionError):
            Secure(plain, HOST, Tls())


def test_options_say_where_certificates_come_from(authority: Authority) -> None:
    own = ["--ca", str(authority.ca)]
    with redirect_stderr(io.StringIO()) as stderr, pytest.raises(SystemExit):
        parse(["--tls", *own])
    assert "--ca and --cert are for a relay that --publish and --subscribe name" in stderr.getvalue()
    there = ["--publish", "relay.example:1", "--subscribe", "relay.example:2"]
    assert parse(["--tls", *own, *there]).credentials == Tls(authority.ca)
    assert title(parse(["--tls"])).endswith(f"5 s, TLS 1.3 with {CIPHER}")


@needs_rich
def test_fan_out_over_tls_is_verified_beside_a_peer_with_the_same_tls(tmp_path: Path) -> None:
    """Peers that are started without it are named, and do no harm."""
    arguments = ("--tls", "--verify", "--subscribers", "4", "--publishers", "2", "--seconds", "0.5")
    ended = bench(tmp_path, *arguments, "--compare", "c,nats,redis,bun", "--json", "figures.json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in ("c", "redis", "bun"):
        assert f"{name}: not comparable over TLS" in ended.stderr
    found = json.loads((tmp_path / "figures.json").read_text())["figures"]
    with_nats = "nats-server is not installed" not in ended.stderr
    assert [figures["system"] for figures in found] == (["relay", "nats"] if with_nats else ["relay"])
    for figures in found:
        assert (figures["tls"], figures["cipher"]) == (TLS_1_3, CIPHER)
        assert (figures["incomplete"], figures["damaged"]) == (0, 0)
        assert figures["published"] > 100
    assert found[0]["orders"] == 1


@needs_rich
def test_a_relay_that_runs_already_is_measured_over_mutual_tls(authority: Authority, tmp_path: Path) -> None:
    trust = ("--publisher-ca", str(authority.ca), "--subscriber-ca", str(authority.ca))
    with Doors(authority.issue(), *trust) as relay:
        there = (
            *(
                "--publish",
                f"localhost:{relay.publish_tls_port}",
                "--subscribe",
                f"localhost:{relay.subscribe_tls_port}",
            ),
            *("--subscribers", "2", "--seconds", "0.3", "--rate", "1000"),
            *("--tls", "--ca", str(authority.ca)),
        )
        ended = bench(tmp_path, *there, "--cert", str(authority.issue("bench")), "--verify")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        ended = bench(tmp_path, *there)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert "it wants a certificate of ours, which --cert FILE names" in line


@needs_rich
def test_an_authority_that_is_not_known_is_one_line(authority: Authority, tmp_path: Path) -> None:
    with Doors(Authority(tmp_path, "stranger").issue()) as relay:
        there = ("--publish", f"{HOST}:{relay.publish_tls_port}", "--subscribe", f"{HOST}:{relay.subscribe_tls_port}")
        ended = bench(tmp_path, *there, "--tls", "--ca", str(authority.ca), "--seconds", "0.3")
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert "unable to get local issuer certificate; --ca FILE names authorities to trust" in line
