"""Writes messages to the output: unchanged, or as lines for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

from tester.message import describe
from tester.tally import Tally

Rendering = Callable[[int, bytes], bytes]  # takes a message's number, from 1, and its bytes; returns what to write


def as_line(number: int, payload: bytes) -> bytes:
    """The message as a line for people."""
    return describe(number, payload, datetime.now()).encode() + b"\n"


def as_it_is(ending: bytes) -> Rendering:
    """A rendering that writes the message itself, followed by `ending`."""
    return lambda number, payload: payload + ending


class Printer:
    """Writes each message to `output`, up to `count` of them, and counts them in `tally`.

    A write blocks the whole program until `output` takes it. That is on purpose: what the reader of the output does not
    take stays with the relay, which has rules for slow subscribers, instead of piling up here.
    """

    def __init__(self, output: BinaryIO, render: Rendering, tally: Tally, count: int | None = None) -> None:
        self._output = output
        self._render = render
        self._tally = tally
        self._count = count

    @property
    def done(self) -> bool:
        """Whether `count` messages have been written."""
        return self._tally.messages == self._count

    def message(self, payload: bytes) -> None:
        """Write one more message, unless `done`. Raises OSError if `output` does."""
        if not self.done:
            self._tally.add(len(payload))
            self._output.write(self._render(self._tally.messages, payload))

    def flush(self) -> None:
        """Pass on to the reader what was written so far. Raises OSError if `output` does."""
        self._output.flush()
