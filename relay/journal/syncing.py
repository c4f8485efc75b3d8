"""Group commit: one sync for all that was written since the last, as fast as the disk allows.

While a sync runs in its thread, more is written; the next one covers all of it. So publishers that wait for their acks
share what the disk can do, however many they are. While nobody waits, a sync follows a little later, because handing
each message to a thread costs more than writing it.

What is written and not synced is bounded: beyond that publishers wait, and the disk sets the pace. They wait for the
end of one sync at most, so the bound is what the disk takes in a moment. It follows how fast syncs are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import partial

from relay.core.timing import Clock
from relay.journal.storage import Storage
from relay.journal.threads import CallLater, InThread

MOST_UNSYNCED = 64 * 1024 * 1024
"""Largest bound of what is not synced, in bytes. The kernel makes writers wait too, once it has too much: this is well
before that, so that no write of ours is ever the one that waits."""
LEAST_UNSYNCED = 1024 * 1024
"""Smallest bound, in bytes: with less, a slow disk would be slower still."""
FIRST_UNSYNCED = 8 * 1024 * 1024
"""The bound while nothing is known of the disk, in bytes."""
PATIENCE = 0.025
"""Seconds that one sync should take while more is published than the disk takes. Publishers are held for about that
long, and as often as need be. With a fixed bound of 64 MiB, a disk of 80 MB/s held them for 0.8 s at a time."""
LAZY = 0.25
"""Seconds from a write to the sync that covers it while nobody waits. A sync for each of 1,000 messages a second took
half as much processor time again as giving them to 100 subscribers did. And each delays what is published beside it by
a millisecond: with twenty a second, that was one message in fifty, and p99 1.7 times that of a relay without a journal;
with four a second it is 1.3 times."""
BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds that bound the buckets of `took`."""


class Syncing:
    """Syncs what was written, in a thread."""

    def __init__(
        self,
        storage: Storage,
        in_thread: InThread,
        call_later: CallLater,
        clock: Clock,
        *,
        synced: Callable[[], None],
        failed: Callable[[Exception], None],
        interval: float = 0.0,
    ) -> None:
        """`synced`: called after each sync. `failed`: called when one failed; what is on disk is not known then.

        `interval`: seconds from a write to the sync that covers it, at most; 0: as soon as the disk can if somebody
        waits for it (`hurry`), else `LAZY`.
        """
        self.interval = interval
        self.unsynced = 0
        """Bytes written and not known to be on disk."""
        self.most = FIRST_UNSYNCED
        """The bound of that, beyond which publishers are to wait until a sync has ended."""
        self.took = [0] * (len(BOUNDS) + 1)
        """How many syncs took up to each of `BOUNDS` seconds, and longer."""
        self.seconds = 0.0
        """Seconds that all syncs took together."""
        self._storage = storage
        self._in_thread = in_thread
        self._call_later = call_later
        self._clock = clock
        self._synced = synced
        self._failed = failed
        self.running = False
        """Whether a sync runs in its thread."""
        self._scheduled = False
        self._awaited = False  # whether somebody waits for what no sync covers that has begun

    def wrote(self, size: int) -> None:
        """Note that `size` bytes were written."""
        self.unsynced += size
        if self.running:
            return
        if self._awaited or self.unsynced > self.most // 4:
            self._start()
        elif not self._scheduled:
            self._scheduled = True
            self._call_later(self.interval or LAZY, self._sync_when_due)

    def hurry(self) -> None:
        """Note that somebody waits until what was written is synced, or what is about to be written."""
        self._awaited = True
        if self.unsynced and not self.running:
            self._start()

    def _sync_when_due(self) -> None:
        self._scheduled = False
        if self.unsynced and not self.running:
            self._start()

    def _start(self) -> None:
        self.running, self._awaited = True, False
        done = partial(self._done, self._storage.next, self.unsynced, self._clock())
        self._in_thread(self._storage.sync_later(), done)

    def _done(self, position: int, size: int, begun: float, result: object) -> None:
        """A sync is over that covers `size` bytes, up to `position`, and began at `begun`."""
        self.running = False
        if isinstance(result, Exception):
            self._failed(result)
            return
        seconds = self._clock() - begun
        self.took[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        self._adapt(size, seconds)
        self._storage.synced = position
        self.unsynced -= size
        if self.unsynced:
            self.wrote(0)
        self._synced()

    def _adapt(self, size: int, seconds: float) -> None:
        """A sync of `size` bytes took `seconds`: bound what is not synced so that the next takes about `PATIENCE`.

        The bound has room for two: one that runs, and what is written meanwhile.
        """
        if size >= self.most // 8 or seconds > PATIENCE:
            fitting = int(2 * size * PATIENCE / max(seconds, 0.001))
            self.most = max(LEAST_UNSYNCED, min(MOST_UNSYNCED, fitting, 2 * self.most))
