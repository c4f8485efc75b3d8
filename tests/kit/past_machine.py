"""The hub's machine with a journal: who falls out of the log goes on there, and overruns only where that ends."""

from __future__ import annotations

from hypothesis.stateful import invariant, rule

from relay.core.past import Past
from relay.core.pending import Journaled, Pending
from relay.journal.journal import DiskJournal
from relay.wire.close_reason import CloseReason
from tests.kit.journals import MemoryDisk, RecordingKeeper, Threads, Ticking, open_storage
from tests.kit.machine import MOST, HubMachine

SIZE = 16 * 1024
"""Bytes of the journal."""
SEGMENT = 1024
MEMORY = 3 * SEGMENT
"""Bytes that may be read ahead."""


class PastMachine(HubMachine):
    def pending(self, framing: str) -> Pending:
        self.threads = Threads()
        self.keeper = RecordingKeeper()
        disk, time = MemoryDisk(), Ticking()
        self.journal = DiskJournal(
            open_storage(disk, framing=framing.lower(), max_message=MOST, time=time, segment_size=SEGMENT),
            self.keeper,
            disk=disk,
            in_thread=self.threads,
            call_later=lambda seconds, function: self.turns.call_soon(function),
            clock=lambda: self.now,
            time=time,
            size=SIZE,
        )
        self.journal.reader.memory = MEMORY
        return Journaled(self.framing.self_delimiting, self.journal)

    def complete(self) -> None:
        self.past = Past(self.hub, self.journal.reader, self.framing.ends, lambda: self.now, self.damaged)
        self.hub.past = self.past
        self.keeper.dropping = self.past.dropped

    def damaged(self, error: Exception) -> None:
        raise AssertionError(f"not read: {error}")

    def oldest_for_replay(self) -> int:
        return min(self.journal.reader.begin, super().oldest_for_replay())

    def settle(self) -> None:
        for _ in range(1000):
            self.turns.run_all()
            if not self.threads.due:
                return
            self.threads.run()
        raise AssertionError("it does not come to rest")

    @rule()
    def threads_run(self) -> None:
        self.threads.run()

    @rule()
    def a_thread_runs(self) -> None:
        if self.threads.due:
            self.threads.due.pop(0)()

    @rule()
    def everything_happens(self) -> None:
        self.settle()

    @rule()
    def sweep_the_journal(self) -> None:
        self.journal.sweep(1.0)
        self.journal.reader.sweep(1.0)

    @invariant()
    def what_was_read_is_bounded(self) -> None:
        assert self.journal.reader.size <= MEMORY + 2 * SEGMENT
        for reading in self.past.readings:
            assert reading.subscription.attached and reading.subscription.reading is reading
            assert reading.position >= self.journal.storage.oldest, "it needs what is gone, and is not told"

    @invariant()
    def nobody_overruns_what_the_journal_has(self) -> None:
        for member in self.members:
            if member.reason is CloseReason.OVERRUN:
                assert member.first + self.whole_messages(member) <= self.journal.storage.oldest

    def teardown(self) -> None:
        if hasattr(self, "hub"):
            self.settle()
            super().teardown()
            assert not self.past.readings
            for _ in range(2):
                self.journal.reader.sweep(1.0)
            assert self.journal.reader.size == 0, "something was not given back"
