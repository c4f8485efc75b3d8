"""All publishers together: they may have to wait for others, and no message may take for ever."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from twisted.logger import Logger

from relay.core.cursor import Lag
from relay.core.timing import SWEEP, Clock, Every
from relay.peers.publisher import Publisher

SUBSCRIBERS = "subscribers"
JOURNAL = "journal"
BACKBONE = "backbone"
WORKERS = "workers"
STOP = "stop"
"""What publishers can wait for. They go on when they wait for none."""
AGAIN = 10.0
"""Seconds in which one line is enough if publishers wait for the same again and again, each time for a moment: in a
flood that is many times a second. If they wait for longer than `SWEEP`, there is a line all the same."""


class Stream(Protocol):
    """What brings messages that no publisher of this relay sends: a backbone."""

    def wait(self) -> None:
        """Bring nothing until `go_on`."""
        ...

    def go_on(self) -> None:
        """Bring what there is, and what comes."""
        ...


class _Line(NamedTuple):
    """What the log is to say of publishers that wait."""

    since: float
    """When they began to."""
    reason: str
    """What is the same when they wait for the same again."""
    write: Callable[[], None]
    """Writes it."""


class Intake:
    """Pauses and resumes reading from all publishers at once."""

    logger = Logger()

    def __init__(self, clock: Clock, frame_timeout: float = 30.0) -> None:
        """`frame_timeout`: seconds within which a message that began must be complete; 0 for no limit."""
        self.frame_timeout = frame_timeout
        self.discards = False
        """Whether messages that are too long are dropped, where the framing tells where the next one begins."""
        self.discarded = 0
        """Messages that were dropped because they were too long."""
        self.incomplete = 0
        """Messages that were begun and dropped, because their publishers' connections ended."""
        self.stream: Stream | None = None
        """Waits for subscribers and workers, as publishers do; None without a backbone."""
        self._stream_waits = False
        self._clock = clock
        self._publishers: dict[Publisher, None] = {}
        self._waits_for: set[tuple[str, object]] = set()
        self._told = False  # whether the log says that publishers wait
        self._told_at: dict[str, float] = {}  # when the log said so last, by reason
        self._untold: dict[tuple[str, object], _Line] = {}  # what it will say, if it lasts, by what they wait for
        self._paused_since: float | None = None
        self._paused_before = 0.0  # seconds in all pauses that are over

    @property
    def paused(self) -> bool:
        """Whether publishers are made to wait."""
        return self._paused_since is not None

    @property
    def waits_for(self) -> tuple[str, ...]:
        """What publishers are made to wait for: some of `SUBSCRIBERS`, `JOURNAL`, `BACKBONE` and `WORKERS`."""
        return tuple(sorted({what for what, _ in self._waits_for}))

    @property
    def alone(self) -> bool:
        """Whether there is only one publisher, so that no other can be read in the same turn."""
        return len(self._publishers) == 1

    @property
    def seconds_paused(self) -> float:
        """Seconds in which publishers were not read, in all."""
        return self._paused_before + (0.0 if self._paused_since is None else self._clock() - self._paused_since)

    def add(self, publisher: Publisher) -> None:
        """Add a publisher. If the others wait, it waits too."""
        self._publishers[publisher] = None
        if self.paused:
            publisher.pause()

    def remove(self, publisher: Publisher) -> None:
        """Forget a publisher that has ended. It need not have been added."""
        self._publishers.pop(publisher, None)
        self.incomplete += bool(publisher.partial)

    def discard(self) -> bool:
        """Whether a message that is too long shall be dropped, without its connection. Then it counts as dropped."""
        self.discarded += self.discards
        return self.discards

    def pause(self, lag: Lag) -> None:
        """Stop reading from all publishers, present and future: the slowest subscriber is `lag` behind."""
        self.hold(SUBSCRIBERS)
        self._note((SUBSCRIBERS, None), "", partial(self._write, lag))

    def _write(self, lag: Lag) -> None:
        self.logger.warn(
            "publishers wait: the slowest subscriber is {messages:,} messages, {bytes:,} bytes, {seconds:.1f} s behind",
            messages=lag.messages,
            bytes=lag.bytes,
            seconds=lag.seconds,
        )

    def resume(self) -> None:
        """Read from all publishers again, if they wait for nothing else."""
        self.release(SUBSCRIBERS)

    def hold(self, whom: str, reason: str = "", where: object = None) -> None:
        """Stop reading from all publishers: `whom`, for example the journal, takes nothing for now.

        `reason`: why, for people; empty if that happens too often to be worth a line. `where`: tells those apart that
        have the same name, such as the subscribers of two workers. May be called again.
        """
        if not self._waits_for:
            self._paused_since = self._clock()
            for publisher in self._publishers:
                publisher.pause()
        self._waits_for.add((whom, where))
        if reason:
            self._note((whom, where), reason, lambda: self.logger.warn("publishers wait: {reason}", reason=reason))
        self._steer_stream()

    def release(self, whom: str, where: object = None) -> None:
        """What publishers waited for takes messages again: read from all, if they wait for nothing else."""
        self._waits_for.discard((whom, where))
        self._untold.pop((whom, where), None)
        if not self._waits_for and self._paused_since is not None:
            self._go_on(self._clock() - self._paused_since)
        self._steer_stream()

    def _go_on(self, waited: float) -> None:
        """Read from all publishers, who have waited for `waited` seconds."""
        self._paused_before += waited
        self._paused_since = None
        for publisher in self._publishers:
            publisher.resume()
        if self._told:
            self._told = False
            self.logger.info("publishers go on, after {seconds:.1f} s", seconds=waited)

    def _steer_stream(self) -> None:
        """Have the stream wait or go on. When the relay stops, it waits for no subscriber any more."""
        waits = WORKERS in self.waits_for or (SUBSCRIBERS in self.waits_for and STOP not in self.waits_for)
        if self.stream is not None and waits != self._stream_waits:
            self._stream_waits = waits
            (self.stream.wait if waits else self.stream.go_on)()

    def _note(self, what: tuple[str, object], reason: str, write: Callable[[], None]) -> None:
        """Publishers wait for `what`: have the log say so now, or if that lasts."""
        line = _Line(self._clock(), reason, write)
        if line.since - self._told_at.get(reason, -math.inf) < AGAIN:
            self._untold[what] = line
        else:
            self._say(line)

    def _say(self, line: _Line) -> None:
        self._told = True
        self._told_at[line.reason] = self._clock()
        line.write()

    def _say_what_lasts(self) -> None:
        now = self._clock()
        for what, line in tuple(self._untold.items()):
            if now - line.since >= SWEEP:
                del self._untold[what]
                self._say(line)
        self._told_at = {reason: then for reason, then in self._told_at.items() if now - then < AGAIN}

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Cut publishers that leave a message incomplete for too long, and tell the operator what they wait for.

        `passed`: seconds since the last sweep. While publishers are paused none can complete a message, so none is cut.
        """
        self._say_what_lasts()
        timeout = 0.0 if self.paused else self.frame_timeout
        for publisher in tuple(self._publishers):
            publisher.sweep(passed, timeout)
