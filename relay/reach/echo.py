"""Echoes: whether what goes over a silent connection comes back to this relay, which is a loop.

Relays with a session tell each other whose messages they send (`relay.peers.origins`). A silent connection has nobody
to ask, and messages carry nothing that would tell. So it is found out by an experiment, which changes no byte:

- *Watch.* Once a second a few bytes of what goes over the connection are a sample. Most are not seen again within
  `QUICK`, nor in as many bytes as could be kept, and that is all. Between the samples nothing is searched.
- *Hold.* A sample that is seen again and again goes round, or somebody repeats it. So the connection is held for a
  moment: a pull publishes nothing of what comes, a push sends nothing, and all of it is kept. What goes round through
  this connection cannot come now, once that is in which was on its way. What somebody repeats still comes.
- *Release.* What was kept is passed on. What goes round comes again at once.

What stops with each hold, and comes with each release, four times in a row, after times that chance chose, has this
connection as its cause. Two sources that bring the same, and one that repeats a line, do not follow it. The first hold
comes early and is short, so that a loop is stopped before it is a storm, and for most of the others nothing goes round
either. What is repeated many times a second is late for it by a moment, once: the sample is remembered, and the next
try comes later each time. What is repeated less often than four times a second is not held at all.

What is not found: a loop that takes longer than `QUICK`; one in which so much goes round that it cannot be kept for the
moment of the first hold (a flood; it is found when a connection was cut, as `overrun`, and begins anew); and one where
others publish the very sample all the while, because it comes for that reason too. Two ways from one relay to the next
double what goes round each time: on an idle machine that is found, on one with a load of 20 it was a flood before.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from relay.client.errors import ClientError
from relay.core.timing import Clock
from relay.peers.heartbeat import CallLater, Delayed
from relay.wire.framing import Buffer

SAMPLE = 64
"""Bytes of a sample, at most."""
EVERY = 1.0
"""Seconds from one sample to the next."""
QUICK = 0.25
"""Seconds within which a sample has to be seen again. A loop over two continents takes less; a device that says the
same every second, or four times a second, is not suspected."""
SEEN = 4
"""Reads that have the sample until it is suspicious."""
HOLDS = (0.05, 0.5, 1.0, 1.0)
"""For each hold in a row, the seconds, at least, for what is on its way to come in; as long again nothing may come. The
first is short, because until then a loop grows; then sources that repeat themselves in bursts have time to do so."""
RETURN = 0.1
"""Seconds, at least, within which what goes round has to come again after a release."""
STEP = 0.01
"""Seconds between two looks at what was kept."""
AGAIN = 10.0
"""Seconds until a sample that others repeat may be tried again, the first time; then four times as long each time."""
LATEST = 3600.0
"""Seconds, at most, to the next try."""
KNOWN = 100
"""Samples that others repeat, and that are remembered."""


class GoesRound(ClientError):  # noqa: N818  # named for what was found
    """What goes over the connection comes back to this relay."""

    def __init__(self) -> None:
        super().__init__(
            "this is a loop: messages come back to the relay that they come from. Take one of its connections out; "
            "between relays, session: finds loops before a message goes round"
        )


class Holdable(Protocol):
    """A connection that can be held."""

    @property
    def room(self) -> int:
        """Bytes that it can keep while it is held."""
        ...

    def hold(self) -> None:
        """Pass nothing on from now on, and keep it."""
        ...

    def kept(self) -> Sequence[Buffer] | None:
        """What it has kept since `hold`, or since the last call; None if there is no room for more."""
        ...

    def release(self) -> None:
        """Pass on what was kept, and what comes from now on."""
        ...

    def goes_round(self) -> None:
        """End: it is part of a loop."""
        ...


class Turn:
    """Whose turn it is to hold its connection. Two at once would each take what the other does for its own doing."""

    def __init__(self) -> None:
        self.whose: Echo | None = None


class Stage(enum.Enum):
    """What an echo is waiting for."""

    RESTING = enum.auto()
    """The time of the next sample."""
    WATCHING = enum.auto()
    """The sample, again."""
    HELD = enum.auto()
    """The end of the hold."""
    RELEASED = enum.auto()
    """The sample, after a release."""


class Echo:
    """Looks for a loop through one connection after the other to the same place."""

    def __init__(
        self, turn: Turn, call_later: CallLater, clock: Clock, chance: Callable[[], float] = random.random
    ) -> None:
        """`turn`: shared by all of one relay. `chance`: returns a number from 0 to 1."""
        self._turn = turn
        self._call_later = call_later
        self._clock = clock
        self._chance = chance
        self._stage = Stage.RESTING
        self._link: Holdable | None = None
        self._timer: Delayed | None = None
        self._sample = b""
        self.known: dict[bytes, tuple[int, float]] = {}
        """Samples that others repeat: how often that was found, and until when they are not tried again."""
        self._doubts = 0  # how often in a row, roughly, it was others
        self._until = 0.0  # when the next sample is due
        self._chosen = self._last = 0.0  # when the sample was chosen, and seen last
        self._span = 0.0  # the longest time between two reads that had it
        self._seen = self._rounds = 0  # reads that had it; holds that it followed
        self._bytes = self._without = 0  # bytes looked at; of these, since a read had it
        self._room = 0  # bytes that can be kept: if more goes round, nothing can be found
        self._quiet_from = self._held_until = self._last_look = 0.0  # the hold's half, its end, and the last look

    @property
    def held(self) -> bool:
        """Whether the connection is held."""
        return self._stage is Stage.HELD

    def begin(self, link: Holdable) -> None:
        """There is a new connection."""
        self._link = link
        self._room = link.room
        if not self._doubts:
            self._until = self._clock()

    def end(self) -> None:
        """The connection ends. What it keeps, if it is held, is passed on."""
        self._rest()
        self._link = None

    def look(self, pieces: Sequence[Buffer]) -> None:
        """Look at what goes over the connection next. Afterwards, `held` says whether to keep it."""
        stage, now = self._stage, self._clock()
        if stage is Stage.RESTING:
            if now >= self._until:
                self._choose(pieces[0], now)
            return
        if stage is Stage.HELD:
            return
        size = sum(map(len, pieces))
        self._bytes += size
        if not self._found(pieces):
            self._without += size
            if stage is Stage.WATCHING and (now - self._last > QUICK or self._without > self._room):
                self._doubts = max(0, self._doubts - 1)
                self._rest()
        elif stage is Stage.WATCHING:
            self._see(now)
        else:
            self._rounds += 1
            self._hold_again(now)

    def give_up(self) -> None:
        """Hold no longer: what happens now has other causes."""
        if self._stage in (Stage.HELD, Stage.RELEASED):
            self._rest()

    # Its stages

    def _choose(self, piece: Buffer, now: float) -> None:
        self._until = now + EVERY
        self._sample = bytes(piece[:SAMPLE])
        if self._sample and self.known.get(self._sample, (0, now))[1] <= now:
            self._stage = Stage.WATCHING
            self._chosen = self._last = now
            self._seen, self._span, self._rounds, self._bytes, self._without = 1, 0.0, 0, len(piece), 0

    def _see(self, now: float) -> None:
        passed, self._last, self._without = now - self._last, now, 0
        self._seen += 1
        self._span = max(self._span, passed)
        if passed > QUICK:
            self._rest()
        elif self._seen >= SEEN:
            if self._turn.whose is None:
                self._turn.whose = self
                self._hold_again(now)
            else:
                self._rest()

    def _hold_again(self, now: float) -> None:
        """Hold the connection, unless enough is known."""
        link = self._link
        assert link is not None
        self._cancel()
        if self._rounds >= len(HOLDS):
            self._rest()
            link.goes_round()
            return
        if self._bytes / max(now - self._chosen, STEP) * 2 * STEP > self._room:
            self._doubt()  # it would have too much before the first look
            return
        half = max(HOLDS[self._rounds], 2 * self._span) * (1 + self._chance() / 2)
        self._quiet_from, self._held_until = now + half, now + 2 * half
        self._last = self._last_look = now
        self._stage = Stage.HELD
        link.hold()
        self._timer = self._call_later(STEP, self._check)

    def _check(self) -> None:
        """Look at what the connection keeps."""
        self._timer = None
        assert self._link is not None
        kept, now = self._link.kept(), self._clock()
        if kept is None:
            if now - self._last < HOLDS[0]:
                self._doubt()
            else:
                self._let_go()
            return
        if self._found(kept):
            late = self._last_look >= self._quiet_from
            self._last = now
            if late:
                self._doubt()
                return
        self._last_look = now
        if now < self._held_until:
            self._timer = self._call_later(STEP, self._check)
        else:
            self._let_go()

    def _let_go(self) -> None:
        assert self._link is not None
        self._stage = Stage.RELEASED
        self._timer = self._call_later(max(RETURN, 4 * self._span), self._expire)
        self._link.release()

    def _doubt(self) -> None:
        """It is somebody else who repeats the sample, as far as can be told."""
        now = self._clock()
        times, _ = self.known.pop(self._sample, (0, now))
        self.known[self._sample] = times + 1, now + min(LATEST, AGAIN * 4.0 ** min(times, 5))
        if len(self.known) > KNOWN:
            del self.known[next(iter(self.known))]
        self._doubts = min(self._doubts + 1, 12)  # 2 to the power of 12 is more than LATEST
        self._until = now + min(LATEST, EVERY * 2.0**self._doubts)
        self._rest()

    def _expire(self) -> None:
        self._timer = None
        self._doubt()

    def _rest(self) -> None:
        """Wait for the next sample."""
        held, self._stage = self.held, Stage.RESTING
        self._cancel()
        if self._turn.whose is self:
            self._turn.whose = None
        if held and self._link is not None:
            self._link.release()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _found(self, pieces: Sequence[Buffer]) -> bool:
        return any(self._sample in (one if isinstance(one, bytes) else bytes(one)) for one in pieces)
