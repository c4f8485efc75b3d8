"""All publishers together: the slow policy may have them wait, and none may leave a message incomplete for long."""

from __future__ import annotations

from twisted.logger import Logger

from relay.core.cursor import Lag
from relay.core.timing import SWEEP, Clock, Every
from relay.peers.publisher import Publisher


class Intake:
    """Stops and starts reading from all publishers at once."""

    logger = Logger()

    def __init__(self, clock: Clock, frame_timeout: float = 30.0) -> None:
        """`frame_timeout`: seconds in which a message must be complete, 0 for any."""
        self.frame_timeout = frame_timeout
        self._clock = clock
        self._publishers: dict[Publisher, None] = {}
        self._paused_since: float | None = None
        self._paused_before = 0.0  # seconds

    @property
    def paused(self) -> bool:
        """Whether publishers are not read."""
        return self._paused_since is not None

    @property
    def alone(self) -> bool:
        """Whether there is but one publisher, so that no other can be read in the same turn."""
        return len(self._publishers) == 1

    @property
    def seconds_paused(self) -> float:
        """For how long publishers were not read, in all."""
        return self._paused_before + (0.0 if self._paused_since is None else self._clock() - self._paused_since)

    def add(self, publisher: Publisher) -> None:
        """A publisher that connects while the others wait has to wait too."""
        self._publishers[publisher] = None
        if self.paused:
            publisher.pause()

    def remove(self, publisher: Publisher) -> None:
        """A publisher is gone, which need not have been added."""
        self._publishers.pop(publisher, None)

    def pause(self, lag: Lag) -> None:
        """Read from no publisher, present or to come; the slowest subscriber is `lag` behind."""
        self._paused_since = self._clock()
        for publisher in self._publishers:
            publisher.pause()
        self.logger.warn(
            "publishers wait: the slowest subscriber is {messages:,} messages, {bytes:,} bytes, {seconds:.1f} s behind",
            messages=lag.messages,
            bytes=lag.bytes,
            seconds=lag.seconds,
        )

    def resume(self) -> None:
        """Read from them again."""
        assert self._paused_since is not None
        waited = self._clock() - self._paused_since
        self._paused_before += waited
        self._paused_since = None
        for publisher in self._publishers:
            publisher.resume()
        self.logger.info("publishers go on, after {seconds:.1f} s", seconds=waited)

    def register(self, every: Every) -> None:
        """Have `sweep` called."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Cut publishers that leave a message incomplete; `passed`: seconds since the last sweep.

        Nobody can complete anything while we do not read.
        """
        if self.frame_timeout and not self.paused:
            for publisher in tuple(self._publishers):
                publisher.sweep(passed, self.frame_timeout)
