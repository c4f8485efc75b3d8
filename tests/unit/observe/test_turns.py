"""How long turns are: that one is measured from a timer to the next turn, and counted where it belongs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.observe.turns import BOUNDS, MEASURE
from relay.observe.turns import Turns as Measured
from tests.kit.fakes import Turns


class TurnsTests(SynchronousTestCase):
    def test_a_turn_is_counted_by_its_length_and_none_that_nobody_asked_for(self) -> None:
        now, turns = [10.0], Turns()
        measured = Measured(turns.call_soon, lambda: now[0])
        for length in (0.0005, BOUNDS[0], 0.002, 5.0):
            now[0] = 0.0
            measured.measure(0.25)
            now[0] = length
            turns.run()
            turns.run()
        self.assertEqual(measured.counts, [2, 1, *[0] * (len(BOUNDS) - 2), 1])
        self.assertEqual(measured.seconds, 0.0005 + BOUNDS[0] + 0.002 + 5.0)

    def test_one_in_a_quarter_of_a_second_is_measured(self) -> None:
        measured = Measured(Turns().call_soon, lambda: 0.0)
        asked: list[tuple[float, object]] = []
        measured.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(MEASURE, measured.measure)])
        self.assertEqual(MEASURE, 0.25)
