"""Time, passed in as functions, so that no part needs a reactor and tests decide when something happens."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], float]
"""The time in seconds since some arbitrary moment. It never goes back."""
CallSoon = Callable[[Callable[[], None]], object]
"""Runs a function in the next turn of the reactor."""
CallLater = Callable[[float, Callable[[], None]], object]
"""Runs a function after a number of seconds."""
Every = Callable[[float, Callable[[float], None]], object]
"""Calls a function at an interval in seconds, from now on until the relay stops.

The function is given the seconds since it was last called, but at most the interval: any time beyond it the relay
itself was stopped or suspended, and no peer is to blame.
"""
SWEEP = 1.0
"""Seconds between two sweeps, which look for peers that are out of time and whatever else only a look can find."""
