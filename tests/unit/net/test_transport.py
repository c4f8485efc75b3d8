"""What is said of every accepted transport is so for those that Twisted and the relay make."""

from __future__ import annotations

import socket
from functools import partial
from typing import cast

from OpenSSL import SSL
from twisted.internet import main, unix
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from relay.core import chores
from relay.net.certificates import RenewableContext
from relay.net.haproxy import Header
from relay.net.tcp import PublisherTransport, SubscriberTransport
from relay.net.tls import direct
from relay.net.transport import AcceptedTransport
from tests.kit.folders import temporary_folder
from tests.kit.transports import TransportTests, at_once

MEMBERS = {name for name in vars(AcceptedTransport) if not name.startswith("_")}


class FullProducer:
    def pauseProducing(self) -> None:
        """The transport is full."""

    def resumeProducing(self) -> None:
        """It is not any more."""

    def stopProducing(self) -> None:
        """It is gone."""


class AcceptedTransportTests(TransportTests):
    def tls(self) -> TLSMemoryBIOFactory:
        context = RenewableContext()
        context.context = SSL.Context(SSL.TLS_METHOD)
        return context.wrap(Factory())

    def secure(self, protocol: Protocol) -> Protocol:
        factory = self.tls()
        return cast(Protocol, factory.protocol(factory, protocol))

    def proxied(self, protocol: Protocol) -> Protocol:
        return cast(Protocol, Header(WrappingFactory(Factory()), cast(IProtocol, protocol)))

    def each(self) -> list[tuple[str, AcceptedTransport]]:
        """Every kind of transport that there is, as the protocol above it has it."""
        read = partial(PublisherTransport, lambda: 2**16, lambda: None, chores.at_once)
        found = []
        for name, make, between in (
            ("publisher", read, lambda protocol: protocol),
            ("subscriber", at_once, lambda protocol: protocol),
            ("publisher with TLS", read, self.secure),
            ("subscriber with TLS", at_once, self.secure),
            ("PROXY", at_once, self.proxied),
            ("TLS behind PROXY", at_once, lambda protocol: self.proxied(self.secure(protocol))),
        ):
            self.set_up(make, between=between)
            found.append((name, cast(AcceptedTransport, self.protocol.transport)))
        return [*found, ("Unix socket", self.unix())]

    def unix(self) -> AcceptedTransport:
        folder = temporary_folder(self)
        reactor = MemoryReactorClock()
        protocols: list[Protocol] = []

        class Kept(Protocol):
            def connectionMade(self) -> None:
                protocols.append(self)

        port = unix.Port(f"{folder}/port".encode(), Factory.forProtocol(Kept), reactor=reactor)
        port.startListening()
        self.addCleanup(port.connectionLost, Failure(main.CONNECTION_DONE))
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(f"{folder}/port")
        port.doRead()
        transport = protocols[0].transport
        self.addCleanup(cast(unix.Server, transport).connectionLost, Failure(main.CONNECTION_DONE))
        return cast(AcceptedTransport, transport)

    def test_each_has_everything_that_is_relied_on(self) -> None:
        for name, transport in self.each():
            self.assertTrue(ITransport.providedBy(transport), name)
            self.assertEqual(
                {member for member in MEMBERS if not callable(getattr(transport, member, None))}, set(), name
            )

    def test_each_says_who_is_where_and_takes_a_producer(self) -> None:
        for name, transport in self.each():
            self.assertGreaterEqual(transport.fileno(), 0, name)
            self.assertNotEqual(repr(transport.getHost()), "", name)
            self.assertNotEqual(repr(transport.getPeer()), "", name)
            transport.registerProducer(cast(IPushProducer, FullProducer()), True)
            transport.unregisterProducer()
            transport.pauseProducing()
            transport.resumeProducing()

    def test_those_send_at_once_that_are_tcp_or_tls_above_it(self) -> None:
        sending = {name for name, transport in self.each() if direct(transport) is not None}
        self.assertEqual(sending, {"subscriber", "subscriber with TLS"})
        self.assertIsInstance(self.transport, SubscriberTransport)

    def test_what_wraps_a_connection_is_known_by_twisted_s_own_class(self) -> None:
        self.assertTrue(issubclass(Header, ProtocolWrapper))
        self.assertTrue(issubclass(self.tls().protocol, ProtocolWrapper))
