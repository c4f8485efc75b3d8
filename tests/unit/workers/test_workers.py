"""All workers: they are started, counted, asked, replaced and stopped."""

from __future__ import annotations

import signal

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from relay.config.config import configure
from relay.core.cursor import Lag, Tally
from relay.core.timing import SWEEP
from relay.observe.stats import Snapshot, WorkerFigures
from relay.peers.intake import SUBSCRIBERS, WORKERS
from relay.wire.close_reason import CloseReason
from relay.workers.messages import (
    Ask,
    Change,
    Connect,
    Counted,
    Held,
    Logged,
    Message,
    Ready,
    Refuse,
    Report,
    Settings,
    Stop,
)
from relay.workers.workers import AGAIN, FAR, LOCKSTEP, NEAR, PATIENCE, Workers
from tests.kit.fakes import frame, said
from tests.kit.relays import RelayCase
from tests.kit.snapshots import NOW
from tests.kit.workers import SocketReactor, Spawned, Told, turn

BEGIN = Ready()  # what a worker is told first: any message will do


class WorkersTests(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = SocketReactor()
        self.addCleanup(self.reactor.close)
        self.events: list[tuple[Logged, int]] = []
        self.workers = Workers(
            2,
            begin=lambda: BEGIN,
            factory=self.subscribers["tcp"],
            admission=self.limits,
            intake=self.intake,
            publish_event=lambda event, place: self.events.append((event, place)),
            lending=None,
            reactor=self.reactor,
            clock=lambda: self.now,
        )
        self.addCleanup(self.disconnect)
        self.far: dict[Spawned, Told] = {}

    def disconnect(self) -> None:
        for connection in tuple(self.workers.registry.open):
            connection.cut()

    def turn(self) -> None:
        turn(self.reactor)
        for spawned in self.reactor.spawned:
            if spawned not in self.far and not spawned.ended:
                self.far[spawned] = Told(spawned.control.dup(), self.reactor)
        turn(self.reactor)

    def start(self) -> tuple[Spawned, Spawned]:
        """Both accept connections."""
        self.workers.start(lambda: None)
        self.turn()
        one, other = self.reactor.spawned
        self.tell(one, Ready())
        self.tell(other, Ready())
        self.take(one)
        self.take(other)
        return one, other

    def tell(self, process: Spawned, message: Message) -> None:
        self.far[process].channel.tell(message)
        self.turn()

    def take(self, process: Spawned) -> list[Message]:
        self.turn()
        return self.far[process].take()

    def end(self, process: Spawned) -> None:
        """It is killed, and what is due is done."""
        process.end(signal=signal.SIGKILL)
        self.turn()

    # Their lives

    def test_each_is_told_to_begin_and_given_a_connection_for_messages(self) -> None:
        self.workers.start(lambda: None)
        self.turn()
        for process in self.reactor.spawned:
            self.assertEqual(self.take(process), [BEGIN, Connect()])

    def test_they_are_ready_when_all_accept_connections(self) -> None:
        ready: list[int] = []
        self.workers.start(lambda: ready.append(self.workers.ready))
        self.turn()
        one, other = self.reactor.spawned
        self.tell(one, Ready())
        self.assertEqual(ready, [])
        self.tell(other, Ready())
        self.assertEqual(ready, [2])

    def test_one_that_ends_is_replaced_and_the_log_says_how_it_ended(self) -> None:
        one, _ = self.start()
        self.now = 2 * AGAIN
        with capturedLogs() as events:
            self.end(one)
        self.assertEqual(len(self.reactor.spawned), 3)
        self.assertEqual(self.workers.replaced, 1)
        self.assertEqual(self.take(self.reactor.spawned[2]), [BEGIN, Connect()])
        [line] = [text for level, text in said(events) if level in (LogLevel.warn, LogLevel.error)]
        self.assertIn("worker 1 has ended by SIGKILL", str(line))
        self.assertEqual(self.workers.registry.ended, {CloseReason.CONNECTION_LOST: 1})

    def test_nobody_should_subscribe_while_none_accepts_connections(self) -> None:
        processes = self.start()
        self.assertEqual(self.workers.trouble, "")
        for process, trouble in zip(processes, ("", "no worker accepts connections"), strict=True):
            with capturedLogs():
                self.end(process)
            self.assertEqual(self.workers.trouble, trouble)

    def test_one_that_ends_at_once_is_tried_again_after_a_while(self) -> None:
        one, _ = self.start()
        self.end(one)
        self.assertEqual(len(self.reactor.spawned), 2)
        self.reactor.advance(AGAIN)
        self.assertEqual(len(self.reactor.spawned), 3)

    def test_one_that_does_not_answer_is_killed(self) -> None:
        one, other = self.start()
        self.workers.sweep(1.0)
        self.tell(other, Report(NOW, 1.0, 1))
        self.now = PATIENCE + 0.1
        with capturedLogs():
            self.workers.sweep(1.0)
        self.assertEqual((one.signals, other.signals), (["KILL"], []))

    def test_one_that_has_not_begun_yet_may_take_its_time(self) -> None:
        self.workers.start(lambda: None)
        self.turn()
        self.workers.sweep(1.0)
        self.now = PATIENCE + 0.1
        self.workers.sweep(1.0)
        self.assertEqual([process.signals for process in self.reactor.spawned], [[], []])

    def test_one_whose_connection_for_messages_ends_is_given_another(self) -> None:
        one, _ = self.start()
        for connection in tuple(self.workers.registry.open):
            connection.cut()
        self.turn()
        self.workers.sweep(1.0)
        self.assertEqual([type(message) for message in self.take(one)], [Ask, Connect])

    def test_all_apply_another_configuration(self) -> None:
        processes = self.start()
        change = Settings(configure({}), {})
        self.workers.change(change)
        for process in processes:
            self.assertEqual(self.take(process), [Change(change)])

    def test_a_stop_is_over_when_all_have_ended_and_none_is_replaced(self) -> None:
        one, other = self.start()
        ended: list[object] = []
        stopped: Deferred[None] = self.workers.stop(2.0)
        stopped.addCallback(ended.append)
        self.assertEqual(self.take(one), [Stop(2.0)])
        self.end(one)
        self.assertEqual(ended, [])
        self.workers.kill()
        self.assertEqual(other.signals, ["KILL"])
        self.end(other)
        self.reactor.advance(AGAIN)
        self.assertEqual((ended, len(self.reactor.spawned), self.workers.replaced), ([None], 2, 0))

    def test_an_event_of_a_workers_log_goes_into_ours(self) -> None:
        _, other = self.start()
        event = Logged("info", {"log_format": "something"}, "")
        self.tell(other, event)
        self.assertEqual(self.events, [(event, 2)])

    # Limits

    def test_connections_of_all_are_counted_and_one_too_many_is_refused(self) -> None:
        one, other = self.start()
        base = self.limits.connections
        self.limits.max_connections = base + 2
        self.tell(one, Counted(("192.0.2.1", "192.0.2.1"), ()))
        self.assertEqual(self.limits.connections, base + 2)
        self.tell(other, Counted(("192.0.2.2",), ()))
        self.assertEqual(self.take(other), [Refuse("192.0.2.2", CloseReason.CONNECTION_LIMIT)])
        self.tell(other, Counted((), ("192.0.2.2",)))
        self.assertEqual(self.limits.connections, base + 2)

    def test_connections_of_one_that_ended_count_no_more(self) -> None:
        one, _ = self.start()
        base = self.limits.connections
        self.tell(one, Counted(("192.0.2.1",), ()))
        with capturedLogs():
            self.end(one)
        self.assertLessEqual(self.limits.connections, base)

    def test_what_one_said_last_comes_too_late_when_it_has_ended(self) -> None:
        one, _ = self.start()
        [worker] = [one for one in self.workers._workers.values() if one.place == 1]
        with capturedLogs():
            self.end(one)
        base = self.limits.connections
        for message in (Counted(("192.0.2.1",), ()), Held(True)):
            self.workers.heard(worker, message)
        self.assertEqual((self.limits.connections, self.intake.waits_for), (base, ()))

    # What they do

    def test_what_was_counted_stays_when_one_is_replaced(self) -> None:
        one, other = self.start()
        self.tell(one, Report(NOW, 1.0, 1))
        self.tell(other, Report(NOW, 1.0, 1))
        before = self.workers.add_to(NOW)
        with capturedLogs():
            self.end(one)
        after: Snapshot = self.workers.add_to(NOW)
        self.assertEqual(after.delivered, before.delivered)
        self.assertEqual(after.roles[1].opened, before.roles[1].opened)
        self.assertEqual(after.roles[1].closed[CloseReason.WORKER_LOST], NOW.roles[1].open)

    def test_each_one_has_figures_of_its_own(self) -> None:
        one, other = self.start()
        self.tell(one, Counted(("192.0.2.1",), ()))
        self.tell(one, Report(NOW, 1.5, 4096))
        with capturedLogs():
            self.end(other)
        total = self.workers.add_to(NOW)
        self.assertEqual(
            total.workers,
            (
                WorkerFigures(1, True, 1, 1.5, 4096, NOW.delivered),
                WorkerFigures(2, False, 0, 0.0, 0, Tally(0, 0, 0)),
            ),
        )
        self.assertEqual(total.replaced, 1)

    def test_who_asks_waits_until_all_have_reported_what_it_asked_for(self) -> None:
        one, other = self.start()
        served: list[str] = []
        self.workers.refresh(7, lambda listed: served.append("all"))
        self.assertEqual(self.take(one), [Ask(2, 7)])
        self.workers.sweep(SWEEP)
        self.assertEqual(self.take(one), [Ask(3)])
        self.tell(one, Report(NOW, 1.0, 1, number=1))
        for process in (one, other):
            self.assertEqual(served, [])
            self.tell(process, Report(NOW, 1.0, 1, number=2))
        self.assertEqual(served, ["all"])
        self.workers.refresh(None, lambda listed: served.append("fresh"))
        self.assertEqual(served, ["all", "fresh"])

    def test_nobody_waits_for_one_that_has_ended(self) -> None:
        one, other = self.start()
        served: list[str] = []
        self.workers.refresh(0, lambda listed: served.append("all"))
        self.tell(one, Report(NOW, 1.0, 1, number=2))
        with capturedLogs():
            self.end(other)
        self.assertEqual(served, ["all"])

    # Pace

    def test_publishers_wait_while_a_worker_is_far_behind_and_go_on_when_it_is_near(self) -> None:
        limit = 100 * FAR
        self.assertFalse(LOCKSTEP.hold(FAR, limit, held=False))
        self.assertTrue(LOCKSTEP.hold(FAR + 1, limit, held=False))
        self.assertTrue(LOCKSTEP.hold(NEAR + 1, limit, held=True))
        self.assertFalse(LOCKSTEP.hold(NEAR, limit, held=True))
        self.assertTrue(LOCKSTEP.hold(26, 100, held=False))
        self.assertFalse(LOCKSTEP.hold(0, -100, held=True), "all has been given")
        self.workers.pause(Lag(0, 0, 0.0))
        self.assertEqual(self.intake.waits_for, (WORKERS,))
        self.workers.resume()
        self.assertEqual(self.intake.waits_for, ())

    def test_publishers_wait_for_subscribers_of_each_worker_that_says_so_and_not_of_one_that_ended(self) -> None:
        one, other = self.start()
        self.tell(one, Held(True))
        self.tell(other, Held(True))
        self.assertEqual(self.intake.waits_for, (SUBSCRIBERS,))
        self.tell(one, Held(False))
        self.assertEqual(self.intake.waits_for, (SUBSCRIBERS,))
        with capturedLogs():
            self.end(other)
        self.assertEqual(self.intake.waits_for, ())

    def test_who_waits_for_its_own_subscribers_is_no_slow_worker(self) -> None:
        processes = self.start()
        self.hub.throttles.append(self.workers.throttle)
        self.publishing = self.publisher()
        while not self.workers.throttle.holds:
            self.publishing.dataReceived(frame(bytes(90_000)))
            self.turns.run_all()
        self.now += 1.5
        total = self.workers.add_to(NOW)
        self.assertEqual((total.workers_held, total.workers_held_seconds), (True, 1.5))
        for process in processes:
            self.tell(process, Held(True))
        self.assertEqual(self.intake.waits_for, (SUBSCRIBERS,))
        self.now += 1.0
        total = self.workers.add_to(NOW)
        self.assertEqual((total.workers_held, total.workers_held_seconds), (False, 1.5))
