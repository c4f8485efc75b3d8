"""A subscriber's place in the log: what it has been given, and what it lacks.

A cursor stands at the first byte that its subscriber has not taken. While the subscriber is *live* it has everything,
so its place is the end of the log, wherever that is, and nobody has to move it. While it is *lagging* it has a place of
its own.

What has to be sent before anything else in the log is the cursor's *tail*. A subscriber that skips is in the middle of
a message more often than not: the rest of that message is copied out of the log when its batch is dropped. What is sent
between two messages without being one (the answer to a request, to a ping) comes behind that.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.log import Log
from relay.core.place import Place
from relay.core.timing import Clock
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


NOTHING = Tally(0, 0, 0)
NO_LAG = Lag(0, 0, 0.0)


class Cursor:
    """A place in `log`, and the count of what its subscriber took on the way to it."""

    __slots__ = ("_first", "_first_byte", "_inside", "_log", "_place", "_skipped", "_skipped_bytes", "tail")

    def __init__(self, log: Log, position: int) -> None:
        """Stand at the message of that position, lagging."""
        self._log = log
        self._place: Place | None = log.find(position)  # None while it is live
        self.tail: Buffer = b""
        self._inside = False  # the tail begins with the rest of a message
        self._first = position
        self._first_byte = self._byte()
        self._skipped = 0
        self._skipped_bytes = 0

    @property
    def place(self) -> Place:
        """Where the first byte is that the subscriber has not taken, but for the tail, which comes before it."""
        return self._log.end_place if self._place is None else self._place

    @property
    def live(self) -> bool:
        """Whether the place is the end of the log, wherever that is."""
        return self._place is None

    @property
    def at_end(self) -> bool:
        """Whether there is nothing in the log that the subscriber lacks."""
        return self._place is None or (self._place.batch >= self._log.end and not self.tail)

    def follow_end(self) -> None:
        """Be live: the subscriber has everything, and is given what comes."""
        self._place = None

    def stand(self, batch: int) -> None:
        """Stand at the front of a batch, lagging: what is before it was taken."""
        self._place = Place(batch, 0)

    def advance(self, taken: int) -> None:
        """Move over bytes that the subscriber took; it must be lagging."""
        if self.tail:
            finished = min(taken, len(self.tail))
            self.tail = self.tail[finished:]
            self._inside = self._inside and bool(self.tail)
            taken -= finished
        self._place = self._log.advance(self.place, taken)

    def read(self, size: int, pieces: int) -> tuple[list[Buffer], int]:
        """What comes next, and its size: the tail, and at most `pieces` buffers and `size` bytes of the log."""
        found, total = self._log.read(self.place, size, pieces)
        if self.tail:
            found.insert(0, self.tail)
            total += len(self.tail)
        return found, total

    def skip(self, clock: Clock) -> Lag:
        """Move to the newest batch, after the message that the subscriber is in the middle of; returns the gap."""
        log = self._log
        seconds = clock() - log.time(self.place)
        self._leave_message()
        newest = log.batch(log.end - 1)
        gap = Lag(newest.first - self._position(), newest.offset - self._byte(), seconds)
        self._skipped += gap.messages
        self._skipped_bytes += gap.bytes
        self.stand(log.end - 1)
        return gap

    def insert(self, data: bytes) -> None:
        """Have bytes sent before the next message. A cursor that is live has to stand first."""
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
        rest, place = self._log.rest(self.place)
        if rest:
            self.tail = rest
            self._inside = True
            self._place = place

    def lag(self, clock: Clock, *, exact: bool = True) -> Lag:
        """How far the subscriber is behind.

        `exact`: False if nothing may be read for it: then no message counts as taken of the batch in which it stands.
        """
        log, place = self._log, self.place
        if place.batch >= log.end:
            return Lag(0, len(self.tail), 0.0)
        seconds = clock() - log.time(place)
        return Lag(log.next - self._position(exact), log.size - self._byte() + len(self.tail), seconds)

    def tally(self, *, exact: bool = True) -> Tally:
        """What the subscriber has been given so far; `exact` as in `lag`. No number of it ever gets less."""
        return Tally(
            messages=max(0, self._position(exact) - self._first - self._skipped - self._inside),
            bytes=self._byte() - self._first_byte - self._skipped_bytes - len(self.tail),
            skipped=self._skipped,
        )

    def _position(self, exact: bool = True) -> int:
        """Position of the first message from the place on that is not wholly taken; a tail is before it."""
        place = self.place
        return self._log.position(place if exact else Place(place.batch, 0))

    def _byte(self) -> int:
        """How many bytes the log had taken before the place, in all."""
        return self._log.byte(self.place)
