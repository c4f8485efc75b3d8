"""The workers of a relay: what they are made from."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_network

from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay import __version__
from relay.config.config import Config, configure
from relay.config.setting import Given
from relay.config.values import Remote
from relay.daemon.assembly import Relay, Surroundings, assemble
from relay.daemon.worker import logged
from relay.daemon.workers import NUMBERS, QuietLog, make_workers, publish_event, worker_config
from relay.net.shared_ports import Reserved, ReservedPort
from relay.workers.messages import Begin, Connect
from tests.kit.fakes import said
from tests.kit.workers import SocketReactor, Told, turn


def configured(**given: str) -> Config:
    """A configuration, by the names of settings with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return configure({name: Given(f"--{name}", [value]) for name, value in named.items()})


class WorkerConfigTests(SynchronousTestCase):
    def test_a_worker_has_subscribers_by_tcp_and_nothing_that_there_is_one_of(self) -> None:
        own = configured(workers="2", web="tcp:8003", journal="/none", pull="tcp:far.example:1")
        config = worker_config(own)
        self.assertEqual((config.subscribe, config.mirror), (own.subscribe, Remote("the relay", session=True)))
        self.assertEqual((config.web, config.journal, config.pull, config.workers), ((), "", (), 0))

    def test_what_is_no_tcp_stays_with_the_relay(self) -> None:
        self.assertEqual(worker_config(configured(subscribe="unix:/run/relay")).subscribe, ())

    def test_limits_and_networks_are_those_of_the_relay(self) -> None:
        config = worker_config(configured(allow_subscribers="192.0.2.0/24", stall_timeout="7"))
        self.assertEqual((config.allow_subscribers, config.stall_timeout), ((ip_network("192.0.2.0/24"),), 7))


class EventTests(SynchronousTestCase):
    def test_an_event_of_a_worker_is_logged_with_its_level_and_its_place(self) -> None:
        with capturedLogs() as theirs:
            Logger().warn("subscriber {peer} left", peer="192.0.2.1:7")
        with capturedLogs() as ours:
            publish_event(logged(theirs[0]), 2)
        self.assertEqual(said(ours), [(LogLevel.warn, "subscriber 192.0.2.1:7 left")])
        self.assertEqual(ours[0]["worker"], 2)
        self.assertTrue(ours[0]["log_system"].endswith("#warn worker 2"))

    def test_connections_between_the_two_are_everyday(self) -> None:
        with capturedLogs() as events:
            QuietLog().info(Logger(), "worker {peer} connected", peer="1")
        self.assertEqual(said(events), [(LogLevel.debug, "worker 1 connected")])


class MakeWorkersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SocketReactor()
        self.addCleanup(self.reactor.close)

    def make(self, config: Config) -> Relay:
        return assemble(config, Surroundings(reactor=self.reactor, read=lambda: config))

    def test_each_is_told_where_to_listen_and_has_numbers_of_its_own(self) -> None:
        relay = self.make(configured(workers="2"))
        reserved = [ReservedPort(0, Reserved(), 1, "127.0.0.1", self.reactor) for _ in range(2)]
        for port in reserved:
            port.startListening()
            self.addCleanup(port.socket.close)
        workers = make_workers(relay, [reserved])
        self.assertEqual(workers.ports, [[reserved[0].fileno()], [reserved[1].fileno()]])
        workers.start(lambda: None)
        for connection in workers.registry.open:
            self.addCleanup(connection.cut)
        for number, spawned in enumerate(self.reactor.spawned, 1):
            far = Told(socket.socket(fileno=os.dup(spawned.control.fileno())), self.reactor)
            turn(self.reactor)
            begin, connect = far.take()
            assert isinstance(begin, Begin)
            self.assertEqual((begin.version, begin.numbers, begin.descriptors), (__version__, number * NUMBERS, (4,)))
            self.assertEqual((begin.settings.config.mirror, connect), (Remote("the relay", session=True), Connect()))
            for came in far.channel.sockets:
                came.close()

    def test_the_relays_numbers_are_those_of_all(self) -> None:
        relay = self.make(configured(workers="1"))
        workers = make_workers(relay, [])
        self.assertIs(relay.stats.elsewhere, workers)
        self.assertIn(workers.registry, relay.stats.registries)
        self.assertEqual(len(relay.machinery.hub.throttles), 1)
