"""One worker: how its process is started, what it is told, and what becomes of it."""

from __future__ import annotations

import signal
import sys

from twisted.internet.address import IPv4Address

from relay.workers.messages import Ask, Connect, Connected, Message, Ready, Report
from relay.workers.worker import MODULE, Worker
from tests.kit.relays import RelayCase
from tests.kit.snapshots import NOW
from tests.kit.workers import SocketReactor, Told, turn


class Notes:
    """What a worker tells the object that has all of them."""

    def __init__(self) -> None:
        self.heard_of: list[Message] = []
        self.ends: list[str] = []

    def heard(self, worker: Worker, message: Message) -> None:
        self.heard_of.append(message)

    def gone(self, worker: Worker, how: str) -> None:
        self.ends.append(how)


class WorkerTests(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor, self.notes = SocketReactor(), Notes()
        self.addCleanup(self.reactor.close)
        self.worker = Worker(2, self.notes, lambda: self.now)
        self.worker.start(self.reactor, [0, 1])
        [self.process] = self.reactor.spawned
        self.far = Told(self.process.control.dup(), self.reactor)

    def test_its_process_runs_the_workers_module_and_inherits_its_ports(self) -> None:
        self.assertEqual(self.process.arguments, [sys.executable, "-P", "-m", MODULE, "2"])
        self.assertEqual(self.process.ports, [0, 1])

    def test_it_is_told_and_tells(self) -> None:
        self.worker.tell(Ask(1))
        self.far.channel.tell(Ready())
        turn(self.reactor)
        self.assertEqual((self.far.take(), self.notes.heard_of), ([Ask(1)], [Ready()]))

    def test_it_owes_a_report_from_the_first_time_that_it_was_asked(self) -> None:
        self.worker.ask()
        self.now = 3.0
        self.worker.ask(5)
        self.assertEqual(self.worker.asked, 0.0)
        report = Report(NOW, 1.0, 4096)
        self.far.channel.tell(report)
        turn(self.reactor)
        self.assertEqual((self.worker.report, self.worker.asked, self.worker.reported), (report, None, 3.0))

    def test_its_connection_for_messages_comes_as_a_socket(self) -> None:
        subscriber = self.subscribers["tcp"].buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        self.worker.connect(self.reactor, subscriber)
        self.addCleanup(subscriber.cut)
        turn(self.reactor)
        self.assertEqual(self.far.take(), [Connect()])
        [came] = self.far.channel.sockets
        self.addCleanup(came.close)
        self.publish(self.publisher(), 1)
        self.assertEqual(len(came.recv(1000)), 100)
        self.far.channel.tell(Connected())
        turn(self.reactor)
        self.assertEqual(self.notes.heard_of, [Connected()])

    def test_it_is_killed_once(self) -> None:
        self.worker.kill()
        self.process.end(signal=signal.SIGKILL)
        self.worker.kill()
        self.assertEqual(self.process.signals, ["KILL"])

    def test_how_it_ended_is_told_in_words(self) -> None:
        self.process.end(signal=signal.SIGKILL)
        self.process.end(status=3)
        self.assertEqual(self.notes.ends, ["by SIGKILL", "with status 3"])
