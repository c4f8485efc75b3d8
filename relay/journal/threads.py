"""What the journal asks of threads: they come from outside, and report where the journal lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class InThread(Protocol):
    """Runs a function in some thread, beside others."""

    def __call__(self, function: Callable[[], T], done: Callable[[T | Exception], None], /) -> None:
        """Run `function` in a thread, then `done` in the caller's own, with what it returned or raised."""
        ...


class CallLater(Protocol):
    """Runs a function after some time, in the caller's thread."""

    def __call__(self, seconds: float, function: Callable[[], None], /) -> object:
        """Run `function` in `seconds`."""
        ...
