"""Chores: done at once while there is time, in later turns otherwise; a crowd in one lane delays no other lane."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from relay.core.chores import TIME, Chores, Lane, at_once
from tests.kit.fakes import Turns


class ChoreTests(SynchronousTestCase):
    """Chores that take time of a clock of the test's own, and note when they were done."""

    def setUp(self) -> None:
        self.now = 0.0
        self.turns = Turns()
        self.done: list[str] = []
        self.chores = Chores(lambda: self.done.append("flush"), self.turns.call_soon, lambda: self.now)

    def chore(self, name: str, seconds: float) -> Callable[[], None]:
        def do() -> None:
            self.now += seconds
            self.done.append(name)

        return do

    def give(self, lane: Lane, name: str, count: int, seconds: float) -> None:
        for number in range(count):
            lane(self.chore(f"{name}{number}", seconds))

    def test_one_chore_is_done_at_once(self) -> None:
        lane = self.chores.lane()
        self.assertTrue(lane(self.chore("page", 1.0)))
        self.assertEqual(self.done, ["page"])

    def test_when_the_turns_time_is_over_they_wait_for_the_next_in_order_and_messages_go_first(self) -> None:
        lane = self.chores.lane()
        self.give(lane, "", 4, TIME)
        self.assertEqual(self.done, ["0"])
        self.turns.run()
        self.assertEqual(self.done, ["0", "flush", "1"])
        self.turns.run_all()
        self.assertEqual([one for one in self.done if one != "flush"], ["0", "1", "2", "3"])

    def test_one_that_comes_while_others_wait_is_not_done_before_them(self) -> None:
        lane = self.chores.lane()
        self.give(lane, "", 3, TIME)
        self.turns.run()
        self.now += 1.0
        self.assertFalse(lane(self.chore("late", 0.0)))
        self.turns.run_all()
        self.assertEqual([one for one in self.done if one != "flush"], ["0", "1", "2", "late"])

    def test_a_turn_does_as_many_as_its_time_allows(self) -> None:
        self.give(self.chores.lane(), "", 100, TIME / 8)
        self.assertEqual(len(self.done), 8)
        self.turns.run()
        self.assertEqual(len(self.done), 8 + 1 + 8)

    def test_lanes_share_the_time_so_that_a_crowd_in_one_delays_no_other(self) -> None:
        slow, quick = self.chores.lane(), self.chores.lane()
        self.give(slow, "slow", 100, TIME * 5)
        self.give(quick, "quick", 8, TIME / 8)
        for _ in range(2):
            self.turns.run()
        self.assertEqual([one for one in self.done if one.startswith("quick")], [f"quick{n}" for n in range(8)])
        self.assertEqual(self.done.count("slow2"), 1)

    def test_a_chore_inside_another_is_counted_once(self) -> None:
        lane, inner = self.chores.lane(), self.chores.lane()

        def nested() -> None:
            inner(self.chore("inner", TIME * 0.6))

        lane(nested)
        lane(self.chore("next", TIME))
        self.assertEqual(self.done, ["inner", "next"])

    def test_a_chore_that_asks_for_another_of_its_kind_all_the_time_does_not_keep_the_turn(self) -> None:
        lane = self.chores.lane()
        ends: list[float] = []

        def again() -> None:
            self.now += TIME / 4
            if len(ends) < 8:
                ends.append(self.now)
                lane(again)

        lane(again)
        self.assertEqual(len(ends), 4)
        self.turns.run_all()
        self.assertEqual(len(ends), 8)

    def test_an_exception_climbs_and_the_rest_goes_on(self) -> None:
        lane = self.chores.lane()

        def fail() -> None:
            raise ZeroDivisionError

        self.give(lane, "first", 1, TIME)
        lane(fail)
        lane(self.chore("after", 0.0))
        self.assertRaises(ZeroDivisionError, self.turns.run)
        self.turns.run_all()
        self.assertIn("after", self.done)

    def test_without_chores_no_turn_is_asked_for(self) -> None:
        lane = self.chores.lane()
        self.assertFalse(self.turns.run())
        lane(self.chore("one", 0.0))
        self.assertTrue(self.turns.run())
        self.assertFalse(self.turns.run())

    def test_in_a_patient_lane_nothing_is_done_before_the_next_turn(self) -> None:
        lane = self.chores.lane(patient=True)
        self.assertFalse(lane(self.chore("end", 0.0)))
        self.assertEqual(self.done, [])
        self.turns.run()
        self.assertEqual(self.done, ["flush", "end"])

    def test_a_lane_in_which_nothing_waits_does_everything_at_once(self) -> None:
        self.assertTrue(at_once(self.chore("one", 1.0)))
        self.assertEqual(self.done, ["one"])
