"""Counts of messages and bytes, and their rate."""

from __future__ import annotations

from collections.abc import Callable


class Tally:
    """Counts messages and bytes; times them from the first message to the last by `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.messages = 0
        self.octets = 0
        self._clock = clock
        self._first = 0.0
        self._last = 0.0

    def add(self, octets: int, messages: int = 1) -> None:
        """Count messages that come together; `octets`: their length in bytes."""
        self._last = self._clock()
        if not self.messages:
            self._first = self._last
        self.messages += messages
        self.octets += octets

    def summary(self) -> str:
        """The counts, and the rate if there is one, as a line for people."""
        total = f"{plural(self.messages, 'message')}, {plural(self.octets, 'byte')}"
        seconds = self._last - self._first
        if not seconds:
            return total
        # From the first message to the last there are `messages - 1` intervals.
        return f"{total} in {seconds:,.3f} s: {(self.messages - 1) / seconds:,.1f} messages/s"


def plural(number: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number:,} {noun}" + ("s" if number != 1 else "")
