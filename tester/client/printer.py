"""Writes messages to the output: unchanged, or as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from relay.wire.framing import Buffer, Frames, Framing
from tester.message import describe
from tester.tally import Tally


class Printer:
    """Writes messages to `output`, up to `count` of them, and counts them in `tally`.

    `raw`: whether they are written as they are. Then there is no work per message if the output has the framing's own
    newlines, or the framing has none.

    A write blocks the whole program until `output` takes it. That is on purpose: what the reader of the output does not
    take stays with the relay, which has rules for slow subscribers, instead of piling up here.
    """

    def __init__(
        self, output: BinaryIO, framing: type[Framing], raw: bool, tally: Tally, count: int | None = None
    ) -> None:
        self._output = output
        self._framing = framing
        self._raw = raw
        self._tally = tally
        self._count = count

    @property
    def done(self) -> bool:
        """Whether `count` messages have been written."""
        return self._tally.messages == self._count

    def run(self, frames: Frames) -> None:
        """Write messages, and pass them on to the reader. Raises OSError if `output` does."""
        data, messages = self._wanted(frames)
        if not messages:
            return
        before = self._tally.messages
        self._tally.add(len(data) - messages * (self._framing.header_size + self._framing.trailer_size), messages)
        if not self._raw:
            now = datetime.now()
            lines = [describe(number, message, now) for number, message in enumerate(self._messages(data), before + 1)]
            self._output.write("\n".join([*lines, ""]).encode())
        elif self._framing.header_size:
            self._output.write(b"".join(self._messages(data)))
        else:
            self._output.write(data)
        self._output.flush()

    def _wanted(self, frames: Frames) -> tuple[Buffer, int]:
        """Those of `frames` that are to be written, and how many they are."""
        if self._count is None or frames.messages <= self._count - self._tally.messages:
            return frames.data, frames.messages
        wanted = self._count - self._tally.messages
        return frames.data[: self._framing.ends(frames.data)[wanted - 1] if wanted else 0], wanted

    def _messages(self, data: Buffer) -> Iterator[bytes]:
        """The messages of whole frames, one by one."""
        whole = bytes(data)
        header, trailer = self._framing.header_size, self._framing.trailer_size
        start = 0
        for end in self._framing.ends(whole):
            yield whole[start + header : end - trailer]
            start = end
