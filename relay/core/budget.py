"""The memory for messages, `--buffer`: one amount, from which everything that keeps messages borrows.

The hub's log may hold whatever is not lent to others. While a subscriber lags, the log may use all of that. While none
does, it keeps only *history*: as much as borrowers asked for, on behalf of subscribers that may come back or start with
older messages.
"""

from __future__ import annotations


class Budget:
    """Memory for the messages of one hub. All sizes are in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        """All the memory there is."""
        self.limit = size
        """What the hub's log may hold: everything that is not lent."""
        self.history = 0
        """What the hub's log keeps while no subscriber lags; never more than `limit`."""
        self._loans: list[Loan] = []

    def loan(self) -> Loan:
        """A new loan, of 0 bytes so far."""
        loan = Loan(self)
        self._loans.append(loan)
        return loan

    def grow(self, size: int) -> None:
        """Have so many bytes more."""
        self.size += size
        self._settle()

    @property
    def least(self) -> int:
        """What the hub's log may hold at least, whatever borrowers come to hold of what is reserved for them."""
        return self.size - sum(max(loan.held, loan.reserved) for loan in self._loans)

    @property
    def lent(self) -> int:
        """What borrowers hold outside the hub's log."""
        return sum(loan.held for loan in self._loans)

    def _settle(self) -> None:
        self.limit = self.size - self.lent
        wanted = max((loan.history for loan in self._loans), default=0)
        self.history = min(wanted, self.size - sum(loan.reserved for loan in self._loans), self.limit)


class Loan:
    """One borrower's share of a budget. All sizes are in bytes."""

    def __init__(self, budget: Budget) -> None:
        self.held = 0
        """What the borrower holds itself; the hub's log does without it."""
        self.history = 0
        """What the borrower wants the hub's log to keep for returning subscribers, even while none lags."""
        self.reserved = 0
        """What is left free, because the borrower may come to hold it."""
        self._budget = budget

    def hold(self, size: int) -> None:
        """Set how much the borrower holds."""
        self.held = size
        self._budget._settle()

    def reserve(self, size: int) -> None:
        """Set how much must be left free for the borrower."""
        self.reserved = size
        self._budget._settle()

    def keep(self, history: int) -> None:
        """Set how much history the borrower wants."""
        self.history = history
        self._budget._settle()
