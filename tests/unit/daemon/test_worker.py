"""A worker's process: what it does when it is told to, over real sockets, inside this process."""

from __future__ import annotations

import os
import socket
from contextlib import redirect_stderr
from io import StringIO
from typing import NoReturn

from twisted.logger import Logger, capturedLogs
from twisted.python.failure import Failure

from relay import __version__
from relay.config.config import Config, configure
from relay.config.setting import Given
from relay.core.journal import Chunk
from relay.daemon.worker import LOOK, WorkerProcess, logged, resident
from relay.daemon.workers import worker_config
from relay.net.pair import PairSender, adopt, make_pair
from relay.net.shared_ports import Reserved, ReservedPort
from relay.wire.close_reason import CloseReason
from relay.workers.messages import (
    Ask,
    Begin,
    Borrow,
    Change,
    Counted,
    Kept,
    Lent,
    Logged,
    Message,
    Ready,
    Refuse,
    Report,
    Settings,
    Stop,
)
from tests.kit.fakes import frame
from tests.kit.relays import RelayCase
from tests.kit.sessions import EPOCH, hello
from tests.kit.workers import SocketReactor, Told, turn

HOST = "127.0.0.1"


class Ended(Exception):  # noqa: N818  # no error
    """The process has ended."""


class StoppingReactor(SocketReactor):
    """A reactor that can be stopped."""

    stopped = False

    def stop(self) -> None:
        self.stopped = True


class WorkerProcessTests(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = StoppingReactor()
        self.addCleanup(self.reactor.close)
        self.statuses: list[int] = []
        self.kept: Kept | None = None
        near, far = make_pair()
        self.worker = WorkerProcess(self.reactor, self.end)
        self.relay = Told(near, self.reactor)
        adopt(far, self.worker.channel, self.reactor)
        self.port = ReservedPort(0, Reserved(), 1, HOST, self.reactor)
        self.port.startListening()
        self.addCleanup(self.port.socket.close)
        self.publishing = self.publisher()

    def end(self, status: int) -> NoReturn:
        self.statuses.append(status)
        raise Ended

    def config(self, **given: str) -> Config:
        all_given = {"subscribe": f"tcp:1:interface={HOST}", "workers": "1", **given}
        return worker_config(configure({name: Given(f"--{name}", [value]) for name, value in all_given.items()}))

    def turn(self) -> None:
        for _ in range(3):
            turn(self.reactor)
            self.turns.run_all()
        self.reactor.advance(LOOK)
        turn(self.reactor)

    def tell(self, message: Message) -> list[Message]:
        """Tell the worker something, and return what it answers."""
        self.relay.channel.tell(message)
        self.turn()
        return self.relay.take()

    def start(self, **given: str) -> list[Message]:
        """It begins, and has the messages of the relay."""
        self.relay.channel.tell(
            Begin(__version__, Settings(self.config(**given), {}), 1000, (os.dup(self.port.fileno()),), self.kept)
        )
        subscriber = self.subscribers["tcp"].buildProtocol(None)
        near, far = make_pair()
        subscriber.makeConnection(PairSender(near, subscriber, "1", self.reactor))
        self.addCleanup(subscriber.cut)
        self.relay.channel.send_socket(far)
        self.upstream = subscriber
        self.turn()
        return self.relay.take()

    def connect(self) -> socket.socket:
        """Somebody subscribes."""
        peer = socket.create_connection((HOST, self.port.getHost().port), timeout=10)
        self.addCleanup(peer.close)
        self.turn()
        return peer

    def test_it_accepts_connections_once_it_has_the_messages(self) -> None:
        self.assertEqual(self.start()[-1], Ready())

    def test_its_subscribers_are_given_what_the_relay_has(self) -> None:
        self.start()
        peer = self.connect()
        self.publishing.dataReceived(frame(b"one"))
        self.turns.run_all()
        self.turn()
        self.assertEqual(peer.recv(100), frame(b"one"))

    def test_it_tells_who_came_and_what_it_does(self) -> None:
        self.start()
        self.connect()
        told = self.relay.take()
        self.assertIn(Counted((HOST,), ()), told)
        [report] = self.tell(Ask(7, 0))
        assert isinstance(report, Report)
        [row] = [row for row in report.rows if row.role == "subscriber"]
        self.assertGreaterEqual(row.number, 1000)
        self.assertEqual(report.snapshot.live, 1)
        self.assertGreater(report.cpu, 0)

    def test_nobody_is_listed_for_who_did_not_ask(self) -> None:
        self.start()
        self.connect()
        self.relay.take()
        [report] = self.tell(Ask(8))
        assert isinstance(report, Report)
        self.assertEqual((report.rows, report.ended), ((), ()))

    def test_it_ends_the_newest_connection_when_there_are_too_many_in_all(self) -> None:
        self.start()
        first, second = self.connect(), self.connect()
        self.tell(Refuse(HOST, CloseReason.ADDRESS_LIMIT))
        self.assertRaises(ConnectionError, second.recv, 1)
        first.setblocking(False)
        self.assertRaises(BlockingIOError, first.recv, 1)

    def test_it_applies_another_configuration(self) -> None:
        self.start()
        peer = self.connect()
        self.tell(Change(Settings(self.config(**{"allow-subscribers": "192.0.2.0/24"}), {})))
        late = self.connect()
        self.assertRaises(ConnectionError, late.recv, 1)
        peer.setblocking(False)
        self.assertRaises(BlockingIOError, peer.recv, 1)

    def test_its_log_is_the_relays(self) -> None:
        with capturedLogs() as events:
            Logger().warn("something")
        self.worker.observe(events[0])
        self.worker.observe({**events[0], "log_namespace": "log_legacy"})
        self.turn()
        [told] = self.relay.take()
        assert isinstance(told, Logged)
        self.assertEqual((told.level, told.fields["log_format"], told.traceback), ("warn", "something", ""))

    def test_a_failure_in_its_log_comes_with_its_traceback(self) -> None:
        with capturedLogs() as events:
            Logger().failure("{what} failed", Failure(ValueError("bad")), what="it")
        told = logged(events[0])
        self.assertEqual((told.level, told.fields["what"]), ("critical", "it"))
        self.assertIn("ValueError: bad", told.traceback)
        self.flushLoggedErrors(ValueError)

    def test_who_is_older_than_its_memory_is_given_what_the_relays_journal_has(self) -> None:
        self.kept = Kept(oldest=1, begin=1, limit=10**6, size=100, oldest_time=0.0)
        for _ in range(2):
            self.publishing.dataReceived(frame(b"old"))
            self.turns.run_all()
        self.start()
        peer = self.connect()
        self.relay.take()
        peer.sendall(hello("subscribe", after=f"{EPOCH}-0"))
        self.turn()
        self.assertIn(Borrow(1, EPOCH), self.relay.take())
        self.tell(Lent(1, EPOCH, Chunk(1, 2, frame(b"old"), None, [(1, 1)])))
        self.turn()
        self.assertTrue(peer.recv(1000).endswith(frame(b"old") + frame(b"old")))

    def test_it_drains_when_it_is_told_to_stop_and_ends(self) -> None:
        self.start()
        peer = self.connect()
        self.publishing.dataReceived(frame(b"last"))
        self.turns.run_all()
        self.relay.channel.tell(Stop(5.0))
        turn(self.reactor)
        for _ in range(10):
            self.upstream.drain()
            self.turn()
        self.assertEqual(peer.recv(100), frame(b"last"))
        self.assertEqual(peer.recv(100), b"")

    def test_when_the_relay_is_gone_it_ends_at_once(self) -> None:
        assert self.relay.channel.transport is not None
        self.relay.channel.transport.loseConnection()
        self.assertRaises(Ended, turn, self.reactor)
        self.assertEqual(self.statuses, [1])

    def test_another_version_than_the_relays_ends_it_with_a_line(self) -> None:
        self.relay.channel.tell(Begin("0.0.1", Settings(self.config(), {}), 1, (), None))
        with redirect_stderr(StringIO()) as errors:
            self.assertRaises(Ended, turn, self.reactor)
        self.assertIn("and the relay 0.0.1: restart it", errors.getvalue())
        self.assertEqual(self.statuses, [1])

    def test_told_to_stop_before_it_has_begun_it_just_ends(self) -> None:
        self.relay.channel.tell(Stop(1.0))
        self.assertRaises(Ended, turn, self.reactor)
        self.assertEqual(self.statuses, [0])

    def test_its_memory_is_that_of_this_process(self) -> None:
        self.assertGreater(resident(), 2**20)
