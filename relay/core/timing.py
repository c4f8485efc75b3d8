"""Time as the parts of the relay are given it, so that none needs a reactor and tests decide when something happens."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]
"""The time in seconds, which never goes back; where it begins means nothing."""
CallSoon = Callable[[Callable[[], None]], object]
"""Runs a function in the next turn of the reactor."""
Every = Callable[[float, Callable[[float], None]], object]
"""Calls a function every so many seconds, from now on until the relay stops.

The function is told how many seconds have passed since it was last called, at most the interval: for what is more, the
relay slept itself, stopped or suspended, and nobody else is to blame.
"""
SWEEP = 1.0
"""Seconds between two sweeps: looks for peers whose time is over, and for whatever else is only seen by looking."""
