"""Writes messages where they are wanted: as they are, or as lines for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

from tester.message import describe
from tester.tally import Tally

Rendering = Callable[[int, bytes], bytes]  # what is written of a message, given its number, from 1, and its bytes


def as_line(number: int, payload: bytes) -> bytes:
    """A line for people."""
    return describe(number, payload, datetime.now()).encode() + b"\n"


def as_it_is(ending: bytes) -> Rendering:
    """The message itself and `ending`."""
    return lambda number, payload: payload + ending


class Printer:
    """Writes each message to `output`, up to `count` of them, and counts them in `tally`.

    A write waits until `output` takes it. So does the whole program meanwhile, on purpose: what its reader does
    not take stays with the relay, which has rules for a slow subscriber, instead of piling up here.
    """

    def __init__(self, output: BinaryIO, render: Rendering, tally: Tally, count: int | None = None) -> None:
        self._output = output
        self._render = render
        self._tally = tally
        self._count = count

    @property
    def done(self) -> bool:
        """Whether there were `count` messages."""
        return self._tally.messages == self._count

    def message(self, payload: bytes) -> None:
        """Write one more message, unless done. `OSError` is that of `output`, here and in `flush`."""
        if not self.done:
            self._tally.add(len(payload))
            self._output.write(self._render(self._tally.messages, payload))

    def flush(self) -> None:
        """Let the reader have what was written so far."""
        self._output.flush()
