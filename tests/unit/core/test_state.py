"""The life of a connection: which state may follow which, and how each is called."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from relay.core.state import ATTACHED, ENDING, TRANSITIONS, WORDS, ImpossibleTransition, Lifecycle, State


def lived(*states: State) -> Lifecycle:
    """A lifecycle that went through these states."""
    lifecycle = Lifecycle()
    for state in states:
        lifecycle.become(state)
    return lifecycle


class LifecycleTests(SynchronousTestCase):
    def test_a_publisher_may_be_held_and_let_go_again_and_again(self) -> None:
        lifecycle = lived(State.HANDSHAKE, State.OPEN, *[State.HELD, State.OPEN] * 3)
        self.assertEqual((lifecycle.state, lifecycle.attached, lifecycle.ending), (State.OPEN, False, False))

    def test_a_subscriber_lags_before_it_is_live(self) -> None:
        self.assertRaises(ImpossibleTransition, Lifecycle().become, State.LIVE)
        lifecycle = lived(State.LAGGING, State.LIVE, State.LAGGING, State.WAITING, State.LAGGING)
        self.assertTrue(lifecycle.attached)

    def test_every_state_but_the_ending_ones_can_end_in_each_way(self) -> None:
        for state, ending in product(set(State) - ENDING, ENDING):
            self.assertIn(ending, TRANSITIONS[state], f"{state} {ending}")

    def test_nothing_comes_back_from_the_end(self) -> None:
        for before, after in product(ENDING, set(State) - ENDING):
            self.assertNotIn(after, TRANSITIONS[before], f"{before} {after}")
        self.assertEqual(TRANSITIONS[State.ENDED], set())
        self.assertTrue(lived(State.FINISHING, State.CUT, State.ENDED).ending)

    def test_what_the_table_has_not_changes_nothing_and_names_both(self) -> None:
        lifecycle = lived(State.OPEN)
        error = self.assertRaises(ImpossibleTransition, lifecycle.become, State.WAITING)
        self.assertEqual(str(error), "a connection that is OPEN cannot become WAITING")
        self.assertIs(lifecycle.state, State.OPEN)

    def test_every_state_can_be_reached_and_has_a_word(self) -> None:
        reached = {State.ACCEPTED}
        while more := set().union(*(TRANSITIONS[state] for state in reached)) - reached:
            reached |= more
        self.assertEqual(reached, set(State))
        self.assertEqual(set(WORDS), set(State))

    def test_who_lacks_something_is_called_the_same_whether_or_not_its_transport_takes_it(self) -> None:
        self.assertEqual({WORDS[state] for state in ATTACHED}, {"live", "lagging"})
        self.assertEqual({WORDS[state] for state in ENDING}, {"closing"})
