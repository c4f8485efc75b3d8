"""The budget: what is lent is missing elsewhere, and what history there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.core.budget import Budget


class BudgetTests(SynchronousTestCase):
    def test_what_is_lent_is_taken_off_the_limit_and_comes_back(self) -> None:
        budget = Budget(1000)
        one, two = budget.loan(), budget.loan()
        one.hold(300)
        two.hold(50)
        self.assertEqual((budget.limit, budget.lent), (650, 350))
        one.hold(0)
        self.assertEqual((budget.limit, budget.lent), (950, 50))

    def test_it_can_grow(self) -> None:
        budget = Budget(1000)
        loan = budget.loan()
        loan.hold(300)
        loan.keep(900)
        budget.grow(500)
        self.assertEqual((budget.size, budget.limit, budget.history), (1500, 1200, 900))

    def test_as_much_history_is_kept_as_the_one_wants_who_wants_most(self) -> None:
        budget = Budget(1000)
        self.assertEqual(budget.history, 0)
        one, two = budget.loan(), budget.loan()
        one.keep(100)
        two.keep(400)
        self.assertEqual(budget.history, 400)
        two.keep(0)
        self.assertEqual(budget.history, 100)

    def test_history_leaves_free_what_is_reserved(self) -> None:
        budget = Budget(1000)
        budget.loan().keep(1000)
        self.assertEqual(budget.history, 1000)
        budget.loan().reserve(375)
        self.assertEqual(budget.history, 625)

    @given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 2000), st.integers(0, 100)), max_size=5))
    def test_history_is_never_more_than_the_log_may_hold(self, loans: list[tuple[int, int, int]]) -> None:
        budget = Budget(1000)
        for held, history, reserved in loans:
            loan = budget.loan()
            loan.hold(held)
            loan.keep(history)
            loan.reserve(reserved)
            self.assertLessEqual(0, budget.history)
            self.assertLessEqual(budget.history, budget.limit)
        self.assertEqual(budget.limit + budget.lent, budget.size)
