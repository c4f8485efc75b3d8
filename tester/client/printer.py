"""Writes messages to the output: unchanged, or as lines for people."""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO

from relay.wire.delimited import Delimited
from relay.wire.framing import Buffer, Frames, Framing
from relay.wire.raw import Raw
from tester.message import describe
from tester.tally import Tally


class Printer:
    """Writes messages to `output`, up to `count` of them, and counts them in `tally`.

    `raw`: whether they are written as they are. Then there is no work per message unless each has a header, which is
    left out.

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
    def began(self) -> bool:
        """Whether any message has been written."""
        return bool(self._tally.messages)

    @property
    def done(self) -> bool:
        """Whether `count` messages have been written."""
        return self._tally.messages == self._count

    def run(self, frames: Frames) -> None:
        """Write messages, and pass them on to the reader. Raises OSError if `output` does."""
        data, messages = self._wanted(frames)
        if not messages:
            return
        if self._raw and issubclass(self._framing, (Delimited, Raw)):
            self._tally.add(len(data) - (messages if self._framing is not Raw else 0), messages)
            self._output.write(data)
        else:
            self._write_each(self._messages(data))
        self._output.flush()

    def _write_each(self, messages: list[bytes]) -> None:
        first = self._tally.messages + 1
        self._tally.add(sum(map(len, messages)), len(messages))
        if self._raw:
            self._output.write(b"".join(messages))
        else:
            now = datetime.now()
            lines = [describe(number, message, now) for number, message in enumerate(messages, first)]
            self._output.write("\n".join([*lines, ""]).encode())

    def _wanted(self, frames: Frames) -> tuple[Buffer, int]:
        """Those of `frames` that are to be written, and how many they are."""
        if self._count is None or frames.messages <= self._count - self._tally.messages:
            return frames.data, frames.messages
        wanted = self._count - self._tally.messages
        return frames.data[: self._framing.ends(frames.data)[wanted - 1] if wanted else 0], wanted

    def _messages(self, data: Buffer) -> list[bytes]:
        """The messages of whole frames."""
        whole, message = bytes(data), self._framing.message
        ends = self._framing.ends(whole)
        return [message(whole[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
