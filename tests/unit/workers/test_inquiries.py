"""Those who wait for reports are given those that they asked for, and do not wait for ever."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Tally
from relay.core.state import State
from relay.observe.roster import Row
from relay.observe.stats import Listed
from relay.peers.ended_connection import EndedConnection
from relay.wire.close_reason import CloseReason
from relay.workers.inquiries import WITHIN, Inquiries
from relay.workers.messages import Message, Report
from relay.workers.worker import Worker
from tests.kit.snapshots import NOW

NONE = Tally(0, 0, 0)


def row(number: int) -> Row:
    return Row(number, "subscriber", "tcp", "a", 0.0, State.LIVE, NONE, None, "", False, None, None, "")


def ended(number: int, until: float) -> EndedConnection:
    return EndedConnection(number, "subscriber", "tcp", "a", 0.0, until, CloseReason.PEER_CLOSED, NONE, "", False, "")


class Boss:
    def heard(self, worker: Worker, message: Message) -> None:
        raise AssertionError(message)

    def gone(self, worker: Worker, how: str) -> None:
        raise AssertionError(how)


class InquiriesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inquiries = Inquiries(self.clock.callLater)
        self.one, self.other = (Worker(place, Boss(), self.clock.seconds) for place in (1, 2))
        self.given: list[Listed] = []

    def report(self, worker: Worker, number: int, *rows: int, ended: tuple[EndedConnection, ...] = ()) -> None:
        self.inquiries.reported(worker, Report(NOW, 0.0, 0, tuple(map(row, rows)), (), ended, number))

    @property
    def numbers(self) -> list[list[int]]:
        return [[one.number for one in listed.rows] for listed in self.given]

    def test_what_all_have_listed_is_put_together(self) -> None:
        self.inquiries.begin({self.one: 1, self.other: 5}, self.given.append)
        self.report(self.one, 1, 3, 8, ended=(ended(1, 2.0), ended(2, 4.0)))
        self.assertEqual(self.given, [])
        self.report(self.other, 5, 4, 9, ended=(ended(7, 3.0),))
        self.assertEqual(self.numbers, [[3, 4, 8, 9]])
        self.assertEqual([one.number for one in self.given[0].ended], [1, 7, 2])
        self.clock.advance(WITHIN)
        self.assertEqual(len(self.given), 1)

    def test_what_was_asked_for_before_or_after_is_no_answer(self) -> None:
        self.inquiries.begin({self.one: 2, self.other: 2}, self.given.append)
        self.report(self.one, 1)
        self.report(self.one, 2, 3)
        self.report(self.one, 3)
        self.report(self.other, 0)
        self.assertEqual(self.given, [])
        self.report(self.other, 2, 4)
        self.assertEqual(self.numbers, [[3, 4]])

    def test_two_who_ask_at_once_are_each_given_what_they_asked_for(self) -> None:
        self.inquiries.begin({self.one: 1}, self.given.append)
        self.inquiries.begin({self.one: 2}, self.given.append)
        self.report(self.one, 1, 3, 4)
        self.report(self.one, 2, 4)
        self.assertEqual(self.numbers, [[3, 4], [4]])

    def test_one_that_has_ended_is_not_waited_for(self) -> None:
        self.inquiries.begin({self.one: 1, self.other: 1}, self.given.append)
        self.report(self.one, 1, 3)
        self.inquiries.gone(self.other)
        self.assertEqual(self.numbers, [[3]])

    def test_nobody_waits_long_for_one_that_hangs(self) -> None:
        self.inquiries.begin({self.one: 1, self.other: 1}, self.given.append)
        self.report(self.one, 1, 3)
        self.clock.advance(WITHIN)
        self.assertEqual(self.numbers, [[3]])
        self.report(self.other, 1, 4)
        self.assertEqual(len(self.given), 1)
