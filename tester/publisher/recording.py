"""A recording: the messages of a journal, to be published again in the order and at the pace in which they were.

It ends with what the journal has when it is opened, so that it can be played to the relay that writes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from relay.journal.disk import Disk
from relay.journal.inspection import Message, Unreadable, look, messages
from relay.journal.segment import Damaged, Segment
from relay.wire.framings import FRAMINGS, find_framing
from tester.connection import Say

SECOND = 1_000_000  # of a journal's times
LATE = 1.0
"""Seconds that may be caught up with. After a longer delay, as while there is no relay, the rest is late as well."""
SILENCE = 10.0
"""Seconds without a message after which a person would think that something is wrong."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a journal has at one moment."""

    folder: str
    framing: str
    """The name of the journal's framing."""
    first: int
    """Position of its oldest message."""
    next: int
    """The position behind its newest message."""
    lasts: float
    """Seconds from the oldest message to the newest."""

    @property
    def summary(self) -> str:
        """All of it, as part of a line for people."""
        if self.first == self.next:
            return f"{self.folder}, which has no messages"
        lasts = timedelta(seconds=round(self.lasts))
        return f"{self.folder}, messages {self.first:,} to {self.next - 1:,}, which were published within {lasts}"

    def messages(self, skip: int = 0, count: int | None = None) -> Iterator[Message]:
        """The first `count` messages, by default all, without the first `skip`. Ends the program if that cannot be."""
        stop = self.next if count is None else min(self.next, self.first + count)
        begin = expected = self.first + skip
        if begin > stop:
            raise SystemExit(
                f"{skip:,} messages have this --name, and {stop - self.first:,} are here: is it the same journal?"
            )
        framings = FRAMINGS | {self.framing: find_framing(self.framing)}
        try:
            for one in messages(Disk(), self.folder, lambda segment: segment.next > begin, framings):
                if one.position >= stop:
                    return
                if one.position > expected:
                    raise SystemExit(f"{self.folder}: message {expected:,} was deleted before it was played")
                if one.position == expected:
                    yield one
                    expected += 1
        except (Damaged, Unreadable) as error:
            raise SystemExit(str(error)) from None


def open_recording(folder: str) -> Recording:
    """The recording in a journal's folder. Raises Damaged, Unreadable and OSError."""
    segments: list[Segment] = []
    for listed in look(Disk(), folder):
        if fault := listed.gap or listed.fault:
            raise fault
        if listed.segment:
            segments.append(listed.segment)
    if not segments:
        raise Unreadable(f"{folder} has no messages")
    oldest, newest = segments[0], segments[-1]
    begun = oldest.index[0].time if len(oldest.index) else oldest.latest
    lasts = max(0, newest.latest - begun) / SECOND
    return Recording(folder, oldest.header.framing, oldest.first, newest.next, lasts)


async def played(recorded: Iterator[Message], speed: float, clock: IReactorTime, say: Say) -> AsyncIterator[bytes]:
    """What was published, at the pace in which it was, `speed` times as fast; if that is infinite, when asked for.

    Where the clock was set back, no time passes. `clock`: the reactor. `say`: is told when there is long silence.
    """
    due = clock.seconds()
    before: int | None = None
    for one in recorded:
        if before is not None:
            due += max(0, one.time - before) / SECOND / speed
        before = one.time
        early = due - clock.seconds()
        if early > SILENCE:
            say(f"the next message comes in {timedelta(seconds=round(early))}, as it was published")
        if early > 0:
            await deferLater(clock, early)
        elif -early > LATE:
            due = clock.seconds()
        yield one.data
