"""The relay's TLS doors, with the standard library's TLS at the other end."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack, suppress
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from tests.kit.certificates import Authority
from tests.kit.doors import Doors, dial
from tests.kit.fakes import frame
from tests.kit.healthy import Healthy
from tests.kit.peers import connection, ends, receive
from tests.kit.process import DEADLINE
from tests.kit.resets import reset


def test_messages_arrive_whole_and_in_order_and_a_subscriber_counts_from_its_handshake_on(authority: Authority) -> None:
    messages = [frame(bytes([number % 256]) * (number * 37 % 5000)) for number in range(4000)]
    with Doors(authority.issue()) as relay, dial(relay.subscribe_tls_port, authority.client()) as subscriber:
        relay.log.wait_for("subscriber .* connected")
        assert subscriber.version() == "TLSv1.3"
        with dial(relay.publish_tls_port, authority.client()) as publisher:
            publisher.sendall(b"".join(messages))
            for message in messages:
                assert receive(subscriber, len(message)) == message


def test_no_plaintext_leaves_a_tls_port_and_nobody_is_given_anything_before_the_handshake(authority: Authority) -> None:
    secret = b"the secret message" * 100
    with Doors(authority.issue()) as relay, socket.create_connection(("127.0.0.1", relay.subscribe_tls_port)) as raw:
        raw.settimeout(DEADLINE)
        with (
            dial(relay.publish_tls_port, authority.client()) as publisher,
            dial(relay.subscribe_tls_port, authority.client()) as subscriber,
        ):
            relay.log.wait_for("subscriber .* connected")
            publisher.sendall(frame(secret))
            assert receive(subscriber, len(frame(secret))) == frame(secret)
        # Now the one that has said nothing speaks TLS, through a buffer in which every byte that came can be seen.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
        seen = b""

        def step(action: Any) -> Any:  # Any: what the action returns
            nonlocal seen
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    data = raw.recv(2**16)
                    assert data
                    seen += data
                    incoming.write(data)

        step(tls.do_handshake)
        raw.sendall(outgoing.read())
        relay.log.wait_for("subscriber .* connected", 2)
        with dial(relay.publish_tls_port, authority.client()) as publisher:
            publisher.sendall(frame(secret))
            assert step(lambda: tls.read(2**16)) == frame(secret)
        assert b"secret" not in seen


def test_bad_frames_over_tls_deliver_what_came_before_once_and_nothing_after(authority: Authority) -> None:
    with (
        Doors(authority.issue()) as relay,
        socket.create_connection(("127.0.0.1", relay.subscribe_port), DEADLINE) as subscriber,
    ):
        relay.log.wait_for("subscriber .* connected")
        with dial(relay.publish_tls_port, authority.client()) as bad:
            bad.sendall(frame(b"one") + frame(b"two") + frame(b"three") + pack("!I", 2**31))
            with suppress(OSError):  # the relay may be quicker
                for _ in range(5):
                    bad.sendall(b"x")
                    bad.sendall(frame(b"late"))
            relay.log.wait_for("disconnected: message too long, 3 messages")
        with dial(relay.publish_tls_port, authority.client()) as good:
            good.sendall(frame(b"good"))
            expected = frame(b"one") + frame(b"two") + frame(b"three") + frame(b"good")
            assert receive(subscriber, len(expected)) == expected


@pytest.mark.alone
def test_a_handshake_that_is_not_completed_in_time_ends_the_connection(authority: Authority) -> None:
    with Doors(authority.issue(), "--tls-timeout", "1") as relay, Healthy(relay):
        hello = ssl.MemoryBIO()
        client = authority.client().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        half = hello.read()[:50]
        with ExitStack() as stack:
            peers = []
            for port in (relay.publish_tls_port, relay.subscribe_tls_port):
                for said in (b"", half):
                    peers.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE)))
                    peers[-1].sendall(said)
            assert all(map(ends, peers))
        for role in ("publisher", "subscriber"):
            relay.log.wait_for(f"{role} .* disconnected: TLS handshake timeout, .*; it took more than 1 s", 2)


@pytest.mark.alone
def test_plain_text_at_a_tls_port_is_one_line_and_the_end(authority: Authority) -> None:
    with Doors(authority.issue()) as relay, Healthy(relay):
        for port, said in (
            (relay.publish_tls_port, frame(b"hello")),
            (relay.publish_tls_port, b"GET / HTTP/1.1\r\n\r\n"),
            (relay.subscribe_tls_port, b"anything at all"),
        ):
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as peer:
                peer.sendall(said)
                while peer.recv(100):
                    pass  # OpenSSL says what it thinks of that
        relay.log.wait_for("publisher .* TLS handshake failed, .*; http request: the peer does not speak TLS")
        relay.log.wait_for("disconnected: TLS handshake failed", 3)


def test_who_has_no_certificate_of_the_right_authority_never_reaches_the_hub(
    authority: Authority, stranger: Authority
) -> None:
    mutual = ("--publisher-ca", str(authority.ca), "--subscriber-ca", str(stranger.ca))
    with Doors(authority.issue(), *mutual) as relay:

        def trusting(certificate: Path | None) -> ssl.SSLContext:
            return authority.client(certificate)

        own, other = authority.issue("own"), stranger.issue("other")
        with (
            dial(relay.publish_tls_port, trusting(own)) as publisher,
            dial(relay.subscribe_tls_port, trusting(other)) as subscriber,
        ):
            relay.log.wait_for("subscriber .* connected")
            for port, wrong in (
                (relay.publish_tls_port, other),
                (relay.publish_tls_port, None),
                (relay.subscribe_tls_port, own),
                (relay.subscribe_tls_port, None),
            ):
                # With TLS 1.3 a client learns of it only when it reads.
                with dial(port, trusting(wrong)) as peer:
                    with suppress(OSError):
                        peer.sendall(frame(b"forged"))
                    assert ends(peer)
            publisher.sendall(frame(b"true"))
            assert receive(subscriber, 8) == frame(b"true")
        for role in ("publisher", "subscriber"):
            relay.log.wait_for(f"{role} .* disconnected: TLS handshake failed, 0 messages, .* certificate", 2)
        assert len(relay.log.find("publisher .* connected$")) == 1


@pytest.mark.alone
def test_a_publisher_that_vanishes_without_a_goodbye_is_a_lost_connection(authority: Authority) -> None:
    with Doors(authority.issue()) as relay, Healthy(relay):
        with dial(relay.publish_tls_port, authority.client()) as publisher:
            publisher.sendall(frame(b"last words"))
            with socket.socket(fileno=publisher.detach()):
                pass  # closed, and no close_notify was sent
        relay.log.wait_for("publisher .* disconnected: connection lost, 1 messages, 14 bytes$")


@pytest.mark.alone
def test_a_thousand_handshakes_at_once_keep_nobody_waiting(authority: Authority) -> None:
    class Client:
        def __init__(self, port: int, context: ssl.SSLContext) -> None:
            self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
            assert not self.goes_on()

        def goes_on(self) -> bool:
            """Do what can be done of the handshake; returns whether that is all."""
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            finally:
                self.socket.sendall(self._outgoing.read())
            return True

        def finish(self) -> None:
            while not self.goes_on():
                data = self.socket.recv(2**16)
                assert data, "the relay ended the connection"
                self._incoming.write(data)

    with Doors(authority.issue()) as relay, Healthy(relay) as healthy:
        context = authority.client()
        clients = [Client(relay.subscribe_tls_port, context) for _ in range(1000)]
        for client in clients:
            client.finish()
        relay.log.wait_for("more lines like this were left out: subscriber .* connected")
        healthy.stop()
        for client in clients:
            reset(client.socket)


def test_a_client_that_offers_protocols_by_alpn_is_served(authority: Authority) -> None:
    """RFC 7301: a server that knows none of them answers as if it were not asked. Browsers and many libraries ask."""
    with Doors(authority.issue()) as relay:
        for port in (relay.publish_tls_port, relay.subscribe_tls_port):
            for offered in (["http/1.1"], ["h2", "http/1.1"], ["x" * 255] * 50):
                context = authority.client()
                context.set_alpn_protocols(offered)
                with context.wrap_socket(connection(port), server_hostname="localhost") as peer:
                    assert peer.selected_alpn_protocol() is None
        assert not relay.log.find("handshake failed")
