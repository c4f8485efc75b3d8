"""A subscriber's place in the log: what it has been given, and what it still lacks.

A cursor stands at the first byte that its subscriber has not taken. A *live* subscriber has everything: its place is
the end of the log, wherever that is, and nobody has to move it. A *lagging* subscriber has a place of its own.

The cursor's *tail* is sent before anything else from the log. A subscriber that skips is usually in the middle of a
message: the rest of that message is copied out of the log into the tail before its batch is dropped. Bytes that are
sent between two messages without being one (the answer to a request or a ping) follow it in the tail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relay.core.log import Log
from relay.core.place import Messages, Place
from relay.core.timing import Clock
from relay.wire.framing import Buffer


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a subscriber is behind the newest message."""

    messages: int
    bytes: int
    seconds: float
    """Age of the first message that the subscriber lacks."""

    def __add__(self, other: Lag) -> Lag:
        return Lag(self.messages + other.messages, self.bytes + other.bytes, self.seconds + other.seconds)

    def __str__(self) -> str:
        return f"{self.messages:,} messages, {self.bytes:,} bytes, {self.seconds:.1f} s behind"


@dataclass(frozen=True, slots=True)
class Tally:
    """What one peer exchanged: whole messages and bytes on the wire, and the messages that a subscriber had to skip."""

    messages: int
    bytes: int
    skipped: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.messages + other.messages, self.bytes + other.bytes, self.skipped + other.skipped)


NOTHING = Tally(0, 0, 0)
NO_LAG = Lag(0, 0, 0.0)


class Cursor:
    """A subscriber's place in a log, and the count of what it took on the way there."""

    __slots__ = (
        "_base",
        "_first",
        "_first_byte",
        "_inside",
        "_log",
        "_notice",
        "_place",
        "tail",
    )

    def __init__(self, log: Log, position: int) -> None:
        """Stand, lagging, at the message with number `position`, or at the end of the log for its `next`."""
        self._log = log
        self._place: Place | None = log.find(position)  # None while live
        self.tail: Buffer = b""
        self._inside = False  # whether the tail begins with the rest of a message
        self._first = position
        self._first_byte = self._byte()
        self._base = NOTHING  # what was given, and skipped, before the last `move`
        self._notice = 0  # bytes of the notice of a gap that ends the tail

    @property
    def place(self) -> Place:
        """The first byte of the log that the subscriber has not taken; the tail is sent before it."""
        return self._log.end_place if self._place is None else self._place

    @property
    def live(self) -> bool:
        """Whether the cursor follows the end of the log."""
        return self._place is None

    @property
    def at_end(self) -> bool:
        """Whether the subscriber has everything: the whole log, and the tail."""
        return self._place is None or (self._place.batch >= self._log.end and not self.tail)

    def needs(self, log: Log) -> int:
        """Number of the first batch of `log` that the subscriber still needs, as far as its place tells."""
        return self.place.batch if self._log is log else log.end

    def follow_end(self) -> None:
        """Become live: follow the end of the log. The subscriber must have everything."""
        self._place = None

    def stand(self, batch: int) -> None:
        """Stand, lagging, at the front of the batch with number `batch`."""
        self._place = Place(batch, 0)

    def advance(self, taken: int) -> None:
        """Move forward by the `taken` bytes that the subscriber took. The cursor must be lagging."""
        if self.tail:
            finished = min(taken, len(self.tail))
            self.tail = self.tail[finished:]
            if not self.tail:
                self._inside = False
                self._notice = 0
            taken -= finished
        self._place = self._log.advance(self.place, taken)

    def read(self, size: int, pieces: int) -> tuple[list[Buffer], int]:
        """The tail, then at most `pieces` buffers and `size` bytes of the log; and the total in bytes."""
        found, total = self._log.read(self.place, size, pieces)
        if self.tail:
            found.insert(0, self.tail)
            total += len(self.tail)
        return found, total

    def messages(self, count: int, size: int) -> Iterator[Messages]:
        """All messages from the place on, as `Log.messages`; the place must be between two."""
        return self._log.messages(self.place, count, size)

    def skip(self, log: Log, lag: Lag) -> Lag:
        """Leave only the rest of the current message to send, and move to the newest batch of `log`. Returns the gap.

        `lag`: how far the subscriber is behind.
        """
        self._leave_message()
        newest = log.batch(log.end - 1)
        size = lag.bytes - len(self.tail) - len(newest.data)
        gap = Lag(newest.first - self._position(), size, lag.seconds)
        self.move(newest.first, log)
        self._base += Tally(0, 0, gap.messages)
        return gap

    def next(self, *, exact: bool = True) -> int:
        """Position of the first message of which the subscriber has been given nothing; `exact` as in `lag`."""
        return self._log.following(self.place) if exact else self._position(exact=False)

    def notice(self, data: bytes) -> None:
        """Send `data` before the next message, which follows a gap: it tells of that gap."""
        self.insert(data)
        self._notice = len(data)

    def take_back(self) -> bool:
        """Take back the notice of a gap of which nothing was sent. Returns whether there was one.

        The subscriber has then been given nothing since that gap.
        """
        size, self._notice = self._notice, 0
        if not size or size > len(self.tail):
            return False
        self.tail = self.tail[: len(self.tail) - size]
        self._first_byte += size
        return True

    def move(self, position: int, log: Log) -> None:
        """Leave only the rest of the current message to send, and go on with the message at `position` of `log`.

        The cursor must be lagging: call `stand` on a live one first. What is passed over was not given, and is no gap.
        """
        self._leave_message()
        self._base = self.tally()
        self._log = log
        self._place = log.find(position)
        self._first = position - self._inside
        self._first_byte = self._byte() - len(self.tail)

    def insert(self, data: bytes) -> None:
        """Send `data` before the next message. The cursor must be lagging: call `stand` on a live one first."""
        self._leave_message()
        self.tail = b"".join([self.tail, data])
        self._first_byte -= len(data)
        self._notice = 0

    def rest(self) -> bytes:
        """The unsent rest of the current message, and of what was inserted."""
        if not self.live:
            self._leave_message()
        return bytes(self.tail)

    def _leave_message(self) -> None:
        """Stand between two messages: if inside one, its rest becomes the tail."""
        rest, place = self._log.rest(self.place)
        if rest:
            self.tail = rest
            self._inside = True
            self._place = place

    def lag(self, clock: Clock, *, exact: bool = True) -> Lag:
        """How far the subscriber is behind, as of `clock`.

        `exact`: if False, no message is looked at, and every message of the current batch counts as not taken.
        """
        log, place = self._log, self.place
        if place.batch >= log.end:
            return Lag(0, len(self.tail), 0.0)
        seconds = clock() - log.time(place)
        return Lag(log.next - self._position(exact), log.size - self._byte() + len(self.tail), seconds)

    def tally(self, *, exact: bool = True) -> Tally:
        """What the subscriber has been given so far; `exact` as in `lag`. None of its numbers ever decreases."""
        given = Tally(
            messages=max(0, self._position(exact) - self._first - self._inside),
            bytes=self._byte() - self._first_byte - len(self.tail),
            skipped=0,
        )
        return given if self._base is NOTHING else self._base + given

    def _position(self, exact: bool = True) -> int:
        """Position of the first message, from the place on, that is not wholly taken. The tail is before it."""
        place = self.place
        return self._log.position(place if exact else Place(place.batch, 0))

    def _byte(self) -> int:
        """Bytes that the log ever took before the place."""
        return self._log.byte(self.place)
