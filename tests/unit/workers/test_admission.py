"""Admission in a worker: it tells the relay who came and went, once a turn."""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from relay.workers.admission import ReportingAdmission
from relay.workers.messages import Counted
from tests.kit.fakes import Turns


class ReportingAdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns, self.told = Turns(), list[Counted]()
        self.admission = ReportingAdmission(count(7), self.turns.call_soon, self.told.append)

    def test_it_counts_as_every_admission_does(self) -> None:
        self.admission.admit("192.0.2.1")
        self.admission.admit(None)
        self.admission.release(None)
        self.assertEqual(self.admission.connections, 1)
        self.assertEqual(next(self.admission.numbers), 7)

    def test_all_of_a_turn_is_told_together(self) -> None:
        self.admission.admit("192.0.2.1")
        self.admission.admit(None)
        self.admission.release("192.0.2.1")
        self.assertEqual(self.told, [])
        self.turns.run_all()
        self.assertEqual(self.told, [Counted(("192.0.2.1", None), ("192.0.2.1",))])

    def test_nothing_is_told_twice_and_nothing_is_told_of_nothing(self) -> None:
        self.admission.admit(None)
        self.turns.run_all()
        self.turns.run_all()
        self.admission.release(None)
        self.turns.run_all()
        self.assertEqual(self.told, [Counted((None,), ()), Counted((), (None,))])
