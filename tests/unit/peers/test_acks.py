"""Acks: after the flush, at most one a turn, at once for one that waits and not too late for one that floods."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.peers.acks import WAIT, Acks
from tests.kit.fakes import Turns


class Publisher:
    """One that is told how much of what it sent was accepted."""

    def __init__(self, acks: Acks) -> None:
        self.accepted = 0
        self.told: list[int] = []
        self._acks = acks

    def send(self, messages: int = 1) -> None:
        self.accepted += messages
        self._acks.note(self)

    def acknowledge(self) -> None:
        self.told.append(self.accepted)


class AcksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.flushed = 0
        self.turns = Turns()
        self.acks = Acks(self.flush, self.turns.call_soon, lambda: self.now)
        self.publisher = Publisher(self.acks)

    def flush(self) -> bool:
        self.flushed += 1
        return True

    def test_one_that_waits_is_told_in_the_turn_after_its_message(self) -> None:
        self.publisher.send()
        self.assertEqual(self.publisher.told, [])
        self.turns.run()
        self.turns.run()
        self.assertEqual(self.publisher.told, [1])
        self.assertFalse(self.turns.run(), "a turn costs nothing while nobody sends")

    def test_nothing_is_acknowledged_that_was_not_flushed(self) -> None:
        self.publisher.send()
        before = self.flushed
        self.turns.run_all()
        self.assertGreater(self.flushed, before)

    def test_one_that_floods_is_told_now_and_then(self) -> None:
        turn = WAIT / 10
        for _ in range(100):
            self.publisher.send(5)
            self.now += turn
            self.turns.run()
        self.assertGreater(len(self.publisher.told), 5)
        self.assertLess(len(self.publisher.told), 15)
        self.turns.run_all()
        self.assertEqual(self.publisher.told[-1], 500)
        self.assertEqual(self.publisher.told, sorted(set(self.publisher.told)))

    def test_one_does_not_wait_for_another(self) -> None:
        other = Publisher(self.acks)
        other.send()
        for _ in range(3):
            self.publisher.send()
            self.turns.run()
        self.assertEqual(other.told, [1])

    def test_who_is_gone_is_told_nothing(self) -> None:
        self.publisher.send()
        self.acks.forget(self.publisher)
        self.acks.forget(self.publisher)
        self.turns.run_all()
        self.assertEqual(self.publisher.told, [])
