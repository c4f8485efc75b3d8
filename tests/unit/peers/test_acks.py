"""Acks: after the flush, at most one a turn, at once for one that waits and not too late for one that floods."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.peers.acks import WAIT, Acks
from tests.kit.fakes import FakeJournal, Turns, frames


class Publisher:
    """One that is told how much of what it sent was accepted."""

    def __init__(self, acks: Acks) -> None:
        self.accepted = 0
        self.key = "", "p"
        self.told: list[int] = []
        self._acks = acks

    def send(self, messages: int = 1) -> None:
        self.accepted += messages
        self._acks.note(self)

    def acknowledge(self, accepted: int) -> None:
        self.told.append(accepted)


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

    def test_one_that_begins_is_told_at_once_what_was_accepted(self) -> None:
        self.publisher.accepted = 7
        self.acks.begin(self.publisher)
        self.assertEqual(self.publisher.told, [7])


class JournalTests(SynchronousTestCase):
    """A message is accepted when the journal has it safe."""

    def setUp(self) -> None:
        self.journal = FakeJournal()
        self.turns = Turns()
        self.pending = 0
        self.acks = Acks(self.flush, self.turns.call_soon, lambda: 0.0, self.journal)
        self.publisher = Publisher(self.acks)

    def flush(self) -> bool:
        if self.pending and self.journal.append([b""], self.pending):
            self.pending = 0
        return not self.pending

    def send(self, publisher: Publisher, messages: int = 1) -> None:
        self.pending += messages
        self.acks.publishing(publisher, frames(b"x"))
        publisher.send(messages)
        self.turns.run_all()

    def sync(self, safe: int) -> None:
        self.journal.safe = safe
        self.acks.safe()
        self.turns.run_all()

    def test_an_ack_waits_until_the_journal_says_that_it_is_safe(self) -> None:
        self.send(self.publisher, 3)
        self.assertEqual(self.publisher.told, [])
        self.send(self.publisher, 2)
        self.sync(4)
        self.assertEqual(self.publisher.told, [3])
        self.sync(6)
        self.assertEqual(self.publisher.told, [3, 5])

    def test_one_ack_tells_all_that_became_safe_together(self) -> None:
        for _ in range(5):
            self.send(self.publisher)
        self.sync(6)
        self.assertEqual(self.publisher.told, [5])

    def test_where_all_is_safe_nothing_waits(self) -> None:
        self.journal.safe = 100
        self.send(self.publisher)
        self.assertEqual(self.publisher.told, [1])

    def test_what_cannot_be_written_is_not_acknowledged_and_costs_no_turns(self) -> None:
        self.journal.full = True
        self.send(self.publisher)
        self.assertFalse(self.turns.run())
        self.journal.full = False
        self.sync(1)
        self.sync(2)
        self.assertEqual(self.publisher.told, [1])

    def test_one_that_begins_waits_for_what_was_accepted_under_its_name(self) -> None:
        self.send(self.publisher, 4)
        newer = Publisher(self.acks)
        newer.accepted = 4
        self.acks.begin(newer)
        self.turns.run_all()
        self.assertEqual(newer.told, [])
        self.sync(5)
        self.assertEqual(newer.told, [4])

    def test_who_is_gone_is_told_nothing(self) -> None:
        self.send(self.publisher)
        self.acks.forget(self.publisher)
        self.sync(2)
        self.assertEqual(self.publisher.told, [])

    def test_what_is_said_meanwhile_tells_no_more_than_is_safe(self) -> None:
        self.send(self.publisher, 4)
        self.assertEqual(self.acks.accepted(self.publisher, 1), 1)

    def test_the_journal_is_told_who_contributes(self) -> None:
        self.send(self.publisher, 4)
        self.assertEqual(self.journal.noted, {("", "p"): 4})
