"""The dialler: one connection after the other, later each time, until it is stopped."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relay.client.backoff import Backoff
from relay.client.errors import ConnectionFault, NotARelay
from relay.reach.dialler import FAR, HOPELESS, Dialler
from relay.reach.echo import GoesRound
from tests.kit.endpoints import Server
from tests.kit.fakes import said


@implementer(IStreamClientEndpoint)
class Silent:
    """Does not answer."""

    cancelled = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        def cancel(waiting: object) -> None:
            self.cancelled = True

        return Deferred(cancel)


class DiallerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self.dialler = Dialler(
            "pull tcp:far:1",
            lambda: self.server,
            Protocol,
            self.clock.callLater,
            Backoff(first=1, jitter=0),
        )

    def test_it_connects_again_after_a_wait_that_grows(self) -> None:
        self.dialler.start()
        for wait in (1, 2, 4):
            made = len(self.server.wires)
            self.dialler.ended(ConnectionDone())
            self.clock.advance(wait - 0.1)
            self.assertEqual(len(self.server.wires), made)
            self.clock.advance(0.1)
            self.assertEqual(len(self.server.wires), made + 1)

    def test_a_connection_that_worked_begins_the_waits_anew(self) -> None:
        self.dialler.start()
        for _ in range(5):
            self.dialler.worked()
            self.dialler.ended(None)
            self.clock.advance(1)
        self.assertEqual(len(self.server.wires), 6)

    def test_a_refusal_is_told_once_and_tried_again(self) -> None:
        self.server.refuses = 3
        with capturedLogs() as events:
            self.dialler.start()
            self.clock.pump([1, 2, 4])
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.warn,
                    "pull tcp:far:1 cannot connect: An error occurred while connecting; it goes on trying",
                )
            ],
        )
        self.assertEqual(len(self.server.wires), 1)

    def test_it_comes_back_when_the_relay_said_so_and_late_where_there_is_no_hope(self) -> None:
        self.dialler.start()
        for fault, wait in (
            (ConnectionFault("bye", 5.0), 6),
            (NotARelay("no"), HOPELESS + 2),
            (GoesRound(), FAR + 4),
        ):
            made = len(self.server.wires)
            self.dialler.ended(fault)
            self.clock.advance(wait - 0.5)
            self.assertEqual(len(self.server.wires), made)
            self.clock.advance(0.5)
            self.assertEqual(len(self.server.wires), made + 1)

    def test_once_stopped_it_connects_no_more(self) -> None:
        self.dialler.start()
        self.dialler.ended(None)
        self.dialler.stop()
        self.dialler.ended(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_cancels_the_connection_that_is_being_made(self) -> None:
        silent = Silent()
        dialler = Dialler("pull", lambda: silent, Protocol, self.clock.callLater)
        dialler.start()
        with capturedLogs() as events:
            dialler.stop()
        self.assertTrue(silent.cancelled)
        self.assertEqual((said(events), self.clock.getDelayedCalls()), ([], []))
