"""The past: messages that the hub's log no longer has, and its journal does.

A subscriber that falls behind the log, or begins before it, goes on in the journal. It is lagging as ever, and the hub
treats it like any other: only its cursor stands in another log, a *window* of one chunk that a thread has read. When it
has taken that, it is given the next, until it arrives where the hub's log begins.

Memory is borrowed chunk by chunk, and those who are near each other share chunks. A subscriber whose transport takes
nothing gives its chunk back, and keeps no more than the rest of the message that it is in the middle of. So those that
never read cost next to nothing, however many they are and however far behind.

Only who is older than the journal has overrun.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Protocol

from relay.core.cursor import Lag
from relay.core.journal import Chunk, Gone, JournalReader
from relay.core.log import Log
from relay.core.slow import Overrunning, SlowPolicy
from relay.core.state import State
from relay.core.subscription import Subscription
from relay.core.timing import Clock
from relay.wire.close_reason import CloseReason
from relay.wire.framing import Buffer

READ_PART = 4
"""What is read from the journal may take the size of the buffer divided by this."""


class Present(Overrunning, Protocol):
    """What the past asks of the hub whose past it is."""

    log: Log
    slow: SlowPolicy

    def go_to(self, subscription: Subscription, position: int) -> None:
        """Have a lagging subscriber stand at the message at `position`."""
        ...

    def schedule(self, subscription: Subscription) -> None:
        """Deliver to a lagging subscriber in the next turn."""
        ...


class Past:
    """All subscribers that are older than the hub's log."""

    def __init__(
        self,
        hub: Present,
        reader: JournalReader,
        ends: Callable[[Buffer], array[int]],
        clock: Clock,
        damaged: Callable[[Exception], None],
    ) -> None:
        """`ends`, `clock`: as those of the hub and its log. `damaged`: told what cannot be read, and why."""
        self.hub = hub
        self.reader = reader
        self.ends = ends
        self.clock = clock
        self.damaged = damaged
        self.readings: dict[Reading, None] = {}
        """Where they are, in the order in which they came."""

    def take(self, subscription: Subscription, position: int) -> bool:
        """Have a lagging subscriber go on with the message at `position`, after the one that it is in the middle of.

        Returns False, and does nothing, if the journal does not have it.
        """
        if position < self.reader.oldest:
            return False
        subscription.leave_past()
        subscription.reading = reading = Reading(self, subscription)
        self.readings[reading] = None
        reading.stand(position)
        return True

    def backlog(self) -> int:
        """About how many bytes of the journal are kept for the slowest subscriber."""
        slowest = min((reading.position for reading in self.readings), default=None)
        return 0 if slowest is None else self.reader.behind(slowest)

    def dropped(self) -> None:
        """Look for subscribers that need what the journal no longer has: its oldest messages are gone."""
        oldest = self.reader.oldest
        for reading in [reading for reading in self.readings if reading.position < oldest]:
            self.hub.slow.overrun(self.hub, reading.subscription)


class Reading:
    """One subscriber's way through the past."""

    def __init__(self, past: Past, subscription: Subscription) -> None:
        """Let `subscription` go on in `past`. Call `stand` next."""
        self.subscription = subscription
        self._past = past
        self._chunk: Chunk | None = None  # that the cursor stands in
        self._asked = False  # whether a chunk is on its way

    @property
    def position(self) -> int:
        """Position of the oldest message that is still needed from the disk."""
        return self._position

    def behind(self) -> Lag:
        """How far that is behind the newest message; what the subscriber has in memory comes on top."""
        past, position = self._past, self._position
        messages = past.hub.log.next - position
        if messages <= 0 or position < past.reader.oldest:
            return Lag(max(0, messages), 0, 0.0)
        return Lag(messages, past.reader.behind(position), past.reader.age(position))

    def stand(self, position: int) -> None:
        """Stand before the message at `position`, with nothing of it in memory."""
        self._position = position
        self.subscription.cursor.move(position, Log(self._past.ends, position))
        self._give_back()

    def rest(self) -> None:
        """Give the chunk back: the subscriber takes nothing for now."""
        if self._chunk is not None:
            self.stand(self.subscription.cursor.next())

    def go_on(self) -> None:
        """The subscriber has taken all that it was given: go back to the hub's log if that is reached, or read on."""
        if self._asked:
            return
        subscription, past = self.subscription, self._past
        self.stand(self._position)
        if self._position >= past.hub.log.first:
            past.hub.go_to(subscription, self._position)
            past.hub.schedule(subscription)
        else:
            self._asked = True
            past.reader.borrow(self._position, self._arrived)

    def _arrived(self, result: Chunk | Exception) -> None:
        """A chunk with the message that is needed next was read, or could not be."""
        self._asked = False
        subscription, past = self.subscription, self._past
        current = subscription.attached and subscription.reading is self
        if not isinstance(result, Chunk):
            if current:
                self._fail(result)
        elif not current or (subscription.lifecycle.state is State.WAITING and not subscription.consumer.reads):
            past.reader.give_back(result)
        elif not result.first <= self._position < result.next:  # it was moved meanwhile
            past.reader.give_back(result)
            self.go_on()
        else:
            self._chunk = result
            window = Log(past.ends, result.first)
            window.append(result.data, result.next - result.first, len(result.data), past.clock(), result.ends)
            subscription.cursor.move(self._position, window)
            self._position = result.next
            past.hub.schedule(subscription)

    def _fail(self, error: Exception) -> None:
        hub = self._past.hub
        if isinstance(error, Gone):
            hub.slow.overrun(hub, self.subscription)
        else:
            self._past.damaged(error)
            hub.end(self.subscription, CloseReason.JOURNAL_DAMAGED)

    def leave(self) -> None:
        """Leave the past: the cursor stands elsewhere, or the subscriber is gone. May be called again."""
        if self.subscription.reading is self:
            self.subscription.reading = None
        self._past.readings.pop(self, None)
        self._give_back()

    def _give_back(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is not None:
            self._past.reader.give_back(chunk)
