"""The service: it listens or does not start, tells what it does, and stops."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any, cast

from twisted.application.service import IServiceMaker
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon import service
from relay.daemon.assembly import Surroundings, assemble
from relay.daemon.options import Options
from relay.daemon.service import CannotStart, RelayService, makeService
from relay.peers.subscriber import Subscriber
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import frame, said

HOME = ("--allow-publishers", "192.0.2.0/24")


class FakeReactor(MemoryReactorClock):
    """Twisted's reactor for tests, with threads and an end."""

    stopped = 0

    def callFromThread(self, call: Any, *args: object) -> None:  # Any: as Twisted's
        self.callLater(0, call, *args)

    def stop(self) -> None:
        self.stopped += 1

    def run_turn(self) -> None:
        self.advance(0)


class FakeTransport(StringTransport):
    """Twisted's transport for tests, with what TCP has besides."""

    half_closed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseWriteConnection(self) -> None:
        self.half_closed = True


class ServiceTests(SynchronousTestCase):
    def make(self, *arguments: str) -> RelayService:
        options = Options()
        options.parseOptions(list(arguments))
        self.reactor = FakeReactor()
        return RelayService(assemble(options.config(), Surroundings(reactor=self.reactor, read=options.config)))

    def start(self, *arguments: str) -> RelayService:
        relay = self.make(*arguments)
        relay.privilegedStartService()
        relay.startService()
        self.addCleanup(relay.stopService)
        return relay

    def run_hooks(self) -> None:
        """What the reactor does once it runs; the handlers of signals are put back after the test."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        for call, args, kwargs in self.reactor.whenRunningHooks:
            call(*args, **kwargs)

    def connect(self, number: int) -> tuple[Any, FakeTransport]:  # Any: a protocol of either role
        """Connect to the port that was listened on as the `number`th."""
        address = IPv4Address("TCP", "192.0.2.1", 40001)
        protocol = self.reactor.tcpServers[number][1].buildProtocol(address)
        assert protocol is not None
        transport = FakeTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_it_relays(self) -> None:
        self.start()
        _, received = self.connect(1)
        publisher, _ = self.connect(0)
        publisher.dataReceived(frame(b"one"))
        self.reactor.run_turn()
        self.assertEqual(received.value(), frame(b"one"))

    def test_it_listens_on_every_endpoint_and_says_so_with_its_limits(self) -> None:
        with capturedLogs() as events:
            self.start("--publish", "tcp:1", "--publish", "tcp:2", "--subscribe", "tcp:3", *HOME)
            self.assertEqual(said(events), [])
            self.run_hooks()
        self.assertEqual([server[0] for server in self.reactor.tcpServers], [1, 2, 3])
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "listening for publishers on 0.0.0.0:1"),
                (LogLevel.info, "listening for publishers on 0.0.0.0:2"),
                (LogLevel.info, "listening for subscribers on 0.0.0.0:3"),
                (
                    LogLevel.info,
                    "relaying messages of up to 99,999 bytes, framing int32; buffer 64 MiB, "
                    "slow subscribers: disconnect, stall timeout 180 s, replay 0",
                ),
            ],
        )

    def test_whom_anybody_can_publish_to_is_warned(self) -> None:
        for options, warnings in ((("--publish", "tcp:1"), 1), (HOME, 0), (("--publish", "unix:/run/none"), 0)):
            self.start(*options)
            with capturedLogs() as events:
                self.run_hooks()
            warned = [text for level, text in said(events) if level is LogLevel.warn]
            self.assertEqual(len(warned), warnings, options)
            for text in warned:
                self.assertIn("whoever reaches 0.0.0.0:1 can publish", str(text))

    def test_it_listens_also_where_nobody_asks_for_privileges(self) -> None:
        relay = self.make()
        relay.startService()
        self.addCleanup(relay.stopService)
        self.assertEqual(len(self.reactor.tcpServers), 2)

    def test_a_port_that_is_taken_ends_the_start_and_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            options = Options()
            options.parseOptions(
                ["--publish", "tcp:0:interface=127.0.0.1", "--subscribe", f"tcp:{port}:interface=127.0.0.1"]
            )
            relay = RelayService(assemble(options.config(), Surroundings(reactor=reactor, read=options.config)))
            error = self.assertRaises(CannotStart, relay.privilegedStartService)
        self.assertIsInstance(error, SystemExit)
        self.assertRegex(str(error), rf"^relay cannot start: --subscribe tcp:{port}:\S+: port {port} is taken, by ")
        self.assertEqual(relay.relay.ports.open, [])

    def test_an_endpoint_that_does_not_listen_at_once_is_refused_too(self) -> None:
        self.patch(TCP4ServerEndpoint, "listen", lambda self, factory: Deferred())
        error = self.assertRaises(CannotStart, self.make().privilegedStartService)
        self.assertIn("--publish tcp:8001: it does not listen at once", str(error))

    def test_parts_are_called_until_it_stops(self) -> None:
        service = self.start()
        publisher, _ = self.connect(0)
        with capturedLogs() as events:
            self.reactor.pump([1.0] * 60)
            publisher.dataReceived(frame(b"one"))
            self.reactor.pump([1.0] * 60)
        [line] = [line for _, line in said(events) if str(line).startswith("totals")]
        self.assertRegex(str(line), "^totals: 1 messages in the last minute, ")
        publisher.dataReceived(frame(b"one"))
        service.stopService()
        with capturedLogs() as events:
            self.reactor.pump([1.0] * 60)
        self.assertEqual([line for _, line in said(events) if str(line).startswith("totals")], [])

    def test_stopping_hands_on_what_was_published_and_closes_everything(self) -> None:
        relay = self.start()
        publisher, publishing = self.connect(0)
        subscriber, received = self.connect(1)
        publisher.dataReceived(frame(b"one"))
        stopped = relay.stopService()
        self.assertEqual(received.value(), frame(b"one"))
        self.assertTrue(publishing.disconnecting)
        self.assertTrue(received.half_closed)
        self.assertFalse(received.disconnected, "a reset could destroy what is on its way")
        self.assertEqual(publisher.reason, CloseReason.SHUTDOWN)
        self.assertNoResult(stopped)
        for protocol in (publisher, subscriber):
            protocol.connectionLost(Failure(ConnectionDone()))
        self.reactor.pump([1.0] * 100)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_signals_stop_it_once_with_status_0(self) -> None:
        relay = self.start()
        self.run_hooks()
        with capturedLogs() as events:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGUSR1)
            self.reactor.run_turn()
            relay.running = False
            os.kill(os.getpid(), signal.SIGINT)
            self.reactor.run_turn()
        self.assertEqual(self.reactor.stopped, 1)
        self.assertEqual(said(events), [(LogLevel.info, "SIGTERM received, stopping")])


class PluginTests(SynchronousTestCase):
    def test_twistd_finds_it(self) -> None:
        [maker] = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "relay"]
        self.assertIs(maker.options, Options)
        self.assertIs(maker.makeService, makeService)

    def test_it_makes_a_service_of_the_options(self) -> None:
        options = Options()
        options.parseOptions(["--replay", "3", "--publish", "tcp:0", "--subscribe", "tcp:0"])
        made = makeService(options)
        self.assertEqual(made.relay.reload.config.replay, 3)
        self.assertIsInstance(made.relay.subscribers.buildProtocol(None), Subscriber)
        self.assertIs(service.Options, cast(object, Options))
