"""The journal against a plain list: append, sync, read and drop in any order, over stops, kills and power cuts."""

from __future__ import annotations

import contextlib
from itertools import accumulate
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.core.journal import Key
from relay.journal.inspection import messages
from relay.journal.storage import Storage
from relay.wire.framings import FRAMINGS
from tests.kit.journals import FOLDER, MemoryDisk, Ticking, chunks, epochs, message, open_storage, sync_now

NAMES = [("", "a"), ("", "b"), ("CN=x", "a")]
SIZE = 1000
"""Bytes of a segment: a few batches."""


class JournalMachine(RuleBasedStateMachine):
    """What a list with a mark for what was synced would do."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()
        self.time = Ticking()
        self.boot = 1
        self.new_epoch = epochs()
        self.messages: list[bytes] = []
        self.counts: list[dict[Key, int]] = [{}]  # of each name, before each message
        self.synced = 0
        self.seen: dict[str, int] = {}  # the messages of each epoch that somebody may have seen
        self.storage: Storage

    @initialize(framing=st.sampled_from(sorted(FRAMINGS)))
    def begin(self, framing: str) -> None:
        self.framing = framing
        self.start()

    def start(self) -> None:
        self.storage = open_storage(
            self.disk,
            framing=self.framing,
            boot=self.boot.to_bytes(16, "big"),
            time=self.time,
            new_epoch=self.new_epoch,
            segment_size=SIZE,
        )

    @property
    def epoch(self) -> str:
        return self.storage.epochs[-1].name

    @rule(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=4), name=st.sampled_from([None, *NAMES]))
    def append(self, sizes: list[int], name: Key | None) -> None:
        framing = FRAMINGS[self.framing]
        bodies = [message(len(self.messages) + 1 + index, size)[4:] for index, size in enumerate(sizes)]
        frames = [framing.frame(body) for body in bodies]
        count = self.counts[-1].get(name, 0) if name else 0
        names = [(name, count + len(frames))] if name else []
        self.storage.append(frames, len(frames), names, accumulate(map(len, frames)))
        for frame in frames:
            self.messages.append(frame)
            self.counts.append(self.counts[-1])
        if name:
            self.counts[-1] = {**self.counts[-1], name: count + len(frames)}
        self.seen[self.epoch] = len(self.messages)

    @rule(room=st.integers(0, 200))
    def append_to_a_full_disk(self, room: int) -> None:
        self.disk.room = sum(len(file.data) for file in self.disk.files.values()) + room
        with contextlib.suppress(OSError):
            self.append([300], None)
        self.disk.room = 1 << 40

    @precondition(lambda self: self.storage.spare is None)
    @rule()
    def prepare(self) -> None:
        self.storage.spare = self.storage.prepare()

    @rule()
    def sync(self) -> None:
        sync_now(self.storage)
        self.synced = len(self.messages)

    @rule(size=st.integers(0, 5 * SIZE))
    def drop(self, size: int) -> None:
        self.storage.delete(self.storage.expire(size, 0))

    @rule()
    def stop(self) -> None:
        self.storage.close()
        self.synced = len(self.messages)
        self.boot += 1
        self.restart(lost=False)

    @rule()
    def kill(self) -> None:
        self.disk.kill()
        self.restart(lost=False)

    @rule(seed=st.integers(0, 1 << 32))
    def cut_power(self, seed: int) -> None:
        self.disk.cut_power(Random(seed))
        self.boot += 1
        self.restart(lost=True)

    def restart(self, lost: bool) -> None:
        before = self.epoch
        self.start()
        after = self.storage.next - 1
        if lost:
            assert self.synced <= after <= len(self.messages)
            assert self.epoch != before
            assert self.storage.epochs[-1].first == after + 1
            del self.messages[after:], self.counts[after + 1 :]
        else:
            assert self.epoch == before
            assert all("not written whole" in note for note in self.storage.notes)
        assert after == len(self.messages)
        assert dict(self.storage.names) == self.counts[-1]
        self.synced = after  # what is found when a journal is opened is on disk before it is used

    @invariant()
    def everything_is_read_in_order(self) -> None:
        assert self.storage.next == len(self.messages) + 1
        oldest = self.storage.oldest
        found = b"".join(chunk.data for chunk in chunks(self.storage, self.disk))
        assert found == b"".join(self.messages[oldest - 1 :])

    @rule()
    def messages_are_told_apart_again(self) -> None:
        found = [one.data for one in messages(self.disk, FOLDER)]
        first = self.storage.segments[0].first
        assert found == list(map(FRAMINGS[self.framing].message, self.messages[first - 1 :]))

    @invariant()
    def an_epoch_ends_before_what_is_lost_of_it(self) -> None:
        firsts = [epoch.first for epoch in self.storage.epochs]
        assert firsts == sorted(firsts)
        for epoch, after in zip(self.storage.epochs, [*firsts[1:], self.storage.next], strict=True):
            assert after - 1 <= max(self.seen.get(epoch.name, 0), epoch.first - 1)


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestJournal = JournalMachine.TestCase
