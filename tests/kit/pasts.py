"""A hub with a past for tests: its journal is on a disk in memory, and its threads run when the test says so."""

from __future__ import annotations

from relay.core.past import Past
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.journal.journal import DiskJournal
from relay.wire.counted import Int32
from tests.kit.fakes import frame
from tests.kit.hubs import HubTests
from tests.kit.journals import MemoryDisk, RecordingKeeper, Threads, Ticking, open_storage

LIMIT = 16 * 1024
"""Bytes of the log."""
SEGMENT = 8 * 1024
SIZE = 100
"""Bytes of a message in most tests: with what a batch costs besides, the log has some 26 of them."""


class PastTests(HubTests):
    """A log of little, and a journal of `size` bytes behind it."""

    def set_up_past(self, slow: SlowPolicy = SLOW_POLICIES["disconnect"], size: int = 1 << 20, replay: int = 0) -> None:
        self.disk, self.threads, self.keeper, self.time = MemoryDisk(), Threads(), RecordingKeeper(), Ticking()
        self.journal = DiskJournal(
            open_storage(self.disk, time=self.time, segment_size=SEGMENT),
            self.keeper,
            disk=self.disk,
            in_thread=self.threads,
            call_later=lambda seconds, function: self.turns.call_soon(function),
            clock=lambda: self.now,
            time=self.time,
            size=size,
        )
        self.set_up(limit=LIMIT, slow=slow, replay=replay, journal=self.journal)
        self.unreadable: list[Exception] = []
        self.past = Past(self.hub, self.journal.reader, Int32.ends, lambda: self.now, self.unreadable.append)
        self.hub.past = self.past
        self.keeper.dropping = self.past.dropped

    def settle(self) -> None:
        """Turns and threads until nothing is left to do."""
        while self.turns.run() or self.threads.due:
            self.threads.run()

    def publish_many(self, count: int, size: int = SIZE) -> bytes:
        """Publish `count` messages, one a turn. Returns their frames."""
        sent = b""
        for _ in range(count):
            message = b"%d" % self.log.next + b"." * size
            self.publish(message)
            self.threads.run()
            sent += frame(message)
        return sent
