"""A subscriber's place in the log: what it has been given, and what it lacks.

A cursor stands at the first byte that its subscriber has not taken, as the number of a batch and an offset into it.
While the subscriber is *live* it has everything, so that its place is the end of the log and nobody has to move it;
while it is *lagging* the place is its own.

What has to be sent before anything else in the log is the cursor's *tail*. A subscriber that skips is in the middle of
a message more often than not: the rest of that message is copied out of the log when its batch is dropped. And what
is sent between two messages without being one (the answer to a request, to a ping) comes behind that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.core.log import Log
from relay.wire.framing import Buffer


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a subscriber is behind the newest message."""

    messages: int
    bytes: int
    seconds: float
    """How long ago the first message that it lacks was published."""

    def __add__(self, other: Lag) -> Lag:
        return Lag(self.messages + other.messages, self.bytes + other.bytes, self.seconds + other.seconds)

    def __str__(self) -> str:
        return f"{self.messages:,} messages, {self.bytes:,} bytes, {self.seconds:.1f} s behind"


@dataclass(frozen=True, slots=True)
class Tally:
    """What a subscriber was given: whole messages, and bytes on the wire; and the messages that it had to skip."""

    messages: int
    bytes: int
    skipped: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.messages + other.messages, self.bytes + other.bytes, self.skipped + other.skipped)


class Cursor:
    """A place in `log`, and the count of what its subscriber took on the way to it."""

    __slots__ = (
        *("_first", "_first_byte", "_inside", "_log", "_skipped", "_skipped_bytes"),
        *("batch", "live", "offset", "tail"),
    )

    def __init__(self, log: Log, position: int) -> None:
        """Stand at the message of that position, lagging."""
        self._log = log
        self.live = False
        self.batch, self.offset = log.find(position)
        self.tail: Buffer = b""
        self._inside = False  # the tail begins with the rest of a message
        self._first = position
        self._first_byte = self._byte()
        self._skipped = 0
        self._skipped_bytes = 0

    @property
    def at_end(self) -> bool:
        """Whether there is nothing in the log that the subscriber lacks."""
        return self.live or (self.batch >= self._log.end and not self.tail)

    def stand(self, batch: int) -> None:
        """Stand at the front of a batch, lagging: what is before it was taken."""
        self.live = False
        self.batch, self.offset = batch, 0

    def advance(self, taken: int) -> None:
        """Move over bytes that the subscriber took."""
        if self.tail:
            finished = min(taken, len(self.tail))
            self.tail = self.tail[finished:]
            self._inside = self._inside and bool(self.tail)
            taken -= finished
        offset = self.offset + taken
        while offset and offset >= (size := len(self._log.batch(self.batch).data)):
            offset -= size
            self.batch += 1
        self.offset = offset

    def read(self, most: int, pieces: int) -> tuple[list[Buffer], int]:
        """What comes next: the tail, and at most `pieces` buffers and `most` bytes of the log; and how many bytes."""
        found, size = self._log.read(self.batch, self.offset, most, pieces)
        if self.tail:
            found.insert(0, self.tail)
            size += len(self.tail)
        return found, size

    def skip(self, clock: Callable[[], float]) -> Lag:
        """Move to the newest batch, after the message that the subscriber is in the middle of; returns the gap."""
        log = self._log
        seconds = clock() - log.batch(self.batch).time
        self._leave_message()
        newest = log.batch(log.end - 1)
        gap = Lag(newest.first - self._position(), newest.offset - self._byte(), seconds)
        self._skipped += gap.messages
        self._skipped_bytes += gap.bytes
        self.stand(log.end - 1)
        return gap

    def insert(self, data: bytes) -> None:
        """Have bytes sent that are no part of the log, before the next message. A cursor that is live has to stand."""
        self._leave_message()
        self.tail = b"".join([self.tail, data])
        self._first_byte -= len(data)

    def rest(self) -> bytes:
        """What is left of the message that the subscriber is in the middle of, and of what was inserted."""
        if not self.live:
            self._leave_message()
        return bytes(self.tail)

    def _leave_message(self) -> None:
        """Stand between two messages: the rest of the one that the subscriber is in the middle of becomes the tail."""
        stop = self._log.message_end(self.batch, self.offset) if self.offset else 0
        if stop > self.offset:
            data = self._log.batch(self.batch).data
            self.tail = bytes(data[self.offset : stop])
            self._inside = True
            self.batch, self.offset = (self.batch, stop) if stop < len(data) else (self.batch + 1, 0)

    def lag(self, clock: Callable[[], float], *, exact: bool = True) -> Lag:
        """How far the subscriber is behind.

        If that need not be `exact`, nothing has to be read: no message of the batch in which it stands counts as taken.
        """
        log = self._log
        if self.live or self.batch >= log.end:
            return Lag(0, len(self.tail), 0.0)
        seconds = clock() - log.batch(self.batch).time
        return Lag(log.next - self._position(exact), log.size - self._byte() + len(self.tail), seconds)

    def tally(self, *, exact: bool = True) -> Tally:
        """What the subscriber has been given so far; `exact` as in `lag`. Neither ever gets less."""
        return Tally(
            messages=max(0, self._position(exact) - self._first - self._skipped - self._inside),
            bytes=self._byte() - self._first_byte - self._skipped_bytes - len(self.tail),
            skipped=self._skipped,
        )

    def _position(self, exact: bool = True) -> int:
        """Position of the first message from the place on that is not wholly taken; a tail is before it."""
        return self._log.next if self.live else self._log.position(self.batch, self.offset if exact else 0)

    def _byte(self) -> int:
        """How many bytes the log had taken before the place, in all."""
        log = self._log
        if self.live or self.batch >= log.end:
            return log.size
        return log.batch(self.batch).offset + self.offset
