"""The ports that are listened on: all that were asked for, or none."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relay.config.config import Config, configure
from relay.net.ports import CannotStart, Ports
from tests.kit.fakes import said


@implementer(IListeningPort)
class Listening:
    def __init__(self, host: IPv4Address) -> None:
        self._host = host

    def startListening(self) -> None:
        """It listens already."""

    def stopListening(self) -> None:
        """It is closed at once."""

    def getHost(self) -> IPv4Address:
        return self._host


class Reactor(MemoryReactorClock):
    """Listens on every port but 9, which is taken, and says on which address."""

    def listenTCP(self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = "") -> IListeningPort:
        if port == 9:
            raise CannotListenError(interface, port, OSError("it is in use"))
        return Listening(IPv4Address("TCP", interface or "0.0.0.0", port))


class PortsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.ports = Ports(self.reactor, keepalive=60, exhausted=self.fail)

    def listen(self, option: str, endpoint: str) -> None:
        self.ports.listen(option, endpoint, Factory(), tcp.Server)

    def announced(self, config: Config) -> list[tuple[LogLevel, str | None]]:
        with capturedLogs() as events:
            self.ports.announce(config)
        return said(events)

    def test_those_that_an_option_asked_for_are_stopped_together(self) -> None:
        for option, endpoint in (("publish", "tcp:1"), ("publish", "tcp:2"), ("web", "tcp:3")):
            self.listen(option, endpoint)
        for stopped in self.ports.stop("publish", "subscribe"):
            self.successResultOf(stopped)
        self.assertEqual([option for option, _ in self.ports.open], ["web"])

    def test_one_that_cannot_be_had_closes_the_others(self) -> None:
        self.listen("publish", "tcp:1")
        error = self.assertRaises(CannotStart, self.listen, "subscribe", "tcp:9")
        self.assertEqual(str(error), "relay cannot start: --subscribe tcp:9: cannot listen on port 9: it is in use")
        self.assertIsInstance(error, SystemExit)
        self.assertEqual(self.ports.open, [])

    def test_what_anybody_can_use_is_warned_of(self) -> None:
        open_to_all = configure({})
        for option, endpoint, words in (
            ("publish", "tcp:1", "whoever reaches 0.0.0.0:1 can publish: "),
            ("publish-tls", "tcp:1", "whoever reaches 0.0.0.0:1 can publish: "),
            ("web", "tcp:1", "whoever reaches 0.0.0.0:1 can see all messages: "),
        ):
            self.ports.open.clear()
            self.listen(option, endpoint)
            [_, (level, text)] = self.announced(open_to_all)
            self.assertIs(level, LogLevel.warn)
            self.assertIn(words, str(text))

    def test_what_is_guarded_or_only_for_this_machine_is_not(self) -> None:
        guarded = replace(
            configure({}), allow_publishers=(ip_network("192.0.2.0/24"),), publisher_ca="a.pem", web_token_file="token"
        )
        for config, option, endpoint in (
            (configure({}), "subscribe", "tcp:1"),
            (configure({}), "publish", "tcp:1:interface=127.0.0.1"),
            (guarded, "publish", "tcp:1"),
            (replace(guarded, allow_publishers=()), "publish-tls", "tcp:1"),
            (guarded, "web", "tcp:1"),
        ):
            self.ports.open.clear()
            self.listen(option, endpoint)
            self.assertEqual(len(self.announced(config)), 1, option)
