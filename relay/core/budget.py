"""The memory for messages, `--buffer`: one number, out of which whoever keeps messages is lent some.

The hub's log may hold what is not lent to others. It always may use all of that while a subscriber lags. While nobody
does, it keeps *history* only: as much as was asked for on behalf of those who may come back or begin with older
messages.
"""

from __future__ import annotations


class Budget:
    """Memory for the messages of one hub. All sizes are in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        """What there is, in all."""
        self.limit = size
        """What the hub's log may hold: all that is not lent."""
        self.history = 0
        """What the hub's log keeps though nobody lags, never more than `limit`."""
        self._loans: list[Loan] = []

    def loan(self) -> Loan:
        """Open an account, on which nothing is lent yet."""
        loan = Loan(self)
        self._loans.append(loan)
        return loan

    @property
    def lent(self) -> int:
        """What others than the hub's log hold."""
        return sum(loan.held for loan in self._loans)

    def _settle(self) -> None:
        self.limit = self.size - self.lent
        wanted = max((loan.history for loan in self._loans), default=0)
        self.history = min(wanted, self.size - sum(loan.reserved for loan in self._loans), self.limit)


class Loan:
    """What one borrower has of a budget."""

    def __init__(self, budget: Budget) -> None:
        self.held = 0
        """Bytes that it holds itself; the hub's log has to do without them."""
        self.history = 0
        """Bytes that it wants the hub's log to keep for those who come back, though nobody lags."""
        self.reserved = 0
        """Bytes that history leaves free for it, because it may come to hold them."""
        self._budget = budget

    def hold(self, size: int) -> None:
        """Say how many bytes it holds from now on."""
        self.held = size
        self._budget._settle()

    def reserve(self, size: int) -> None:
        """Say how many bytes history has to leave free for it from now on."""
        self.reserved = size
        self._budget._settle()

    def keep(self, history: int) -> None:
        """Say how many bytes of history it wants from now on."""
        self.history = history
        self._budget._settle()
