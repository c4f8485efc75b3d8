"""Mirrors with a journal, for tests: the disk is in memory, and threads and clock run when the test says so."""

from __future__ import annotations

from dataclasses import replace

from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.past import Past
from relay.core.pending import Journaled
from relay.daemon.journal import JournalKeeper, fill, recall
from relay.journal.inspection import messages
from relay.journal.journal import DiskJournal
from relay.reach.mirror import Mirror
from relay.wire.counted import Int32
from tests.kit.journals import BOOT, FOLDER, MemoryDisk, Threads, Ticking, epochs, open_storage
from tests.kit.remotes import SESSION, RemoteCase

SEGMENT = 1000
"""Bytes of a segment: a few batches."""


class JournaledMirrorCase(RemoteCase):
    """A mirror, and the other relay at which the test sits. `restart` is another process on the same disk."""

    buffer = 16 * 1024
    """Bytes of memory for messages: some twenty batches are kept."""

    def setUp(self) -> None:
        self.disk, self.time, self.boot = MemoryDisk(), Ticking(), BOOT
        self.new_epoch = epochs()
        self.begin()

    def begin(self, mirror: bool = True, replay: int = 0) -> None:
        """A process starts. `mirror`: whether it is one. `replay`: as in `Hub`."""
        self.threads = Threads()
        self.mirrors, self.replay = mirror, replay
        super().setUp()
        starts = self.sessions.starts
        starts.epochs, starts.shared = self.journal.epochs, mirror
        self.around = replace(self.around, journal=self.journal)
        if mirror:
            self.mirrored = self.mirror()

    def restart(self, mirror: bool = True, replay: int = 0) -> None:
        """The process is killed, and another one starts."""
        self.disk.kill()
        self.begin(mirror, replay)

    def make_hub(self) -> Hub:
        keeper = JournalKeeper(self.intake, self.ended)
        storage = open_storage(
            self.disk,
            boot=self.boot,
            time=self.time,
            new_epoch=self.new_epoch,
            segment_size=SEGMENT,
            max_message=40,
            mirror=self.mirrors,
        )
        self.journal = DiskJournal(
            storage,
            keeper,
            disk=self.disk,
            in_thread=self.threads,
            call_later=self.clock.callLater,
            clock=self.clock.seconds,
            time=self.time,
            size=1 << 20,
        )
        chunks = recall(storage, self.disk, self.buffer // 2)
        log = Log(Int32.ends, chunks[0].first if chunks else storage.next)
        fill(log, chunks, lambda: self.now, self.time())
        hub = Hub(
            log,
            Budget(self.buffer),
            self.intake,
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            pending=Journaled(True, self.journal),
            replay=self.replay,
        )
        keeper.flush_hub = hub.flush
        hub.past = keeper.past = Past(hub, self.journal.reader, Int32.ends, lambda: self.now, self.unreadable)
        return hub

    def mirror(self) -> Mirror:
        mirror = Mirror(SESSION, self.around)
        mirror.start()
        return mirror

    def ended(self, status: int) -> None:
        raise AssertionError(f"the process ended with {status}")

    def unreadable(self, error: Exception) -> None:
        raise AssertionError(f"cannot be read: {error}")

    def settle(self) -> None:
        """Turns, threads and moments until the journal has done what is due."""
        for _ in range(200):
            self.turns.run_all()
            self.threads.run()
            if not (self.journal.trouble or self.turns.run() or self.threads.due):
                return
            self.clock.advance(0.01)
        raise AssertionError(f"it does not come to rest: {self.journal.trouble}")

    def recorded(self) -> list[tuple[int, bytes]]:
        """All messages that are on disk, with their positions."""
        return [(one.position, one.data) for one in messages(self.disk, FOLDER)]
