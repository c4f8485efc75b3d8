"""The journal as the rest of the relay sees it: what is appended is written, synced, kept, and read again.

It lives in one thread, the caller's. Whatever takes time runs in others, which come from outside, and so does time.

When the disk does not take what it should, publishers wait: the batch that was not written is tried again each second,
and nothing is delivered meanwhile. When a sync fails, the journal is over: what the kernel holds then is unknown, and
only a new start, which reads what is on disk, can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from relay.core.journal import Contributor, JournalFigures, Key
from relay.core.timing import SWEEP, Clock, Every
from relay.journal.anew import Anew
from relay.journal.disk import Disk
from relay.journal.housekeeping import MICROSECONDS, Housekeeping
from relay.journal.reader import Reader
from relay.journal.segment import Segment
from relay.journal.storage import Storage, segment_size
from relay.journal.syncing import BOUNDS, Syncing
from relay.journal.threads import CallLater, InThread
from relay.journal.writer import Writer
from relay.wire.framing import Buffer
from relay.wire.position import Epoch

RETRY = 1.0
"""Seconds after which what failed is tried again."""
LOOK = 0.01
"""Seconds between two looks at whether threads are done."""
NEW_SEGMENT = "the journal waits for the segment of a new epoch"
ANEW = "the journal begins anew: what comes does not follow what it has"


class Keeper(Protocol):
    """What the journal tells the relay."""

    def hold(self, reason: str) -> None:
        """Stop reading from publishers: the journal cannot take more for now.

        `reason`: for people; empty if it is not worth a line.
        """
        ...

    def release(self) -> None:
        """Read from publishers again."""
        ...

    def flush(self) -> None:
        """Append again what could not be written."""
        ...

    def synced(self) -> None:
        """More is on disk: look at `Journal.safe`."""
        ...

    def dropped(self, segment: Segment) -> None:
        """The oldest segment is deleted."""
        ...

    def lost(self, error: Exception) -> None:
        """End the process: nobody knows what is on disk."""
        ...


class DiskJournal:
    """The log on disk."""

    def __init__(
        self,
        storage: Storage,
        keeper: Keeper,
        *,
        disk: Disk,
        in_thread: InThread,
        call_later: CallLater,
        clock: Clock,
        time: Callable[[], int],
        size: int,
        age: float = 0.0,
        interval: float = 0.0,
        memory: int = 0,
        lend: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Keep messages in `storage`. `time`: the time in microseconds since 1970.

        `size`, `age`: bytes and seconds that are kept. `interval`: seconds until what was written is synced, 0: at
        once. `memory`: bytes that may be read ahead. `lend`: told how many of them are used.
        """
        self.storage = storage
        self.syncing = Syncing(
            storage, in_thread, call_later, clock, synced=self._synced, failed=self._failed, interval=interval
        )
        self.housekeeping = Housekeeping(storage, in_thread, time, keeper.dropped, self._looked, size=size, age=age)
        self.reader = Reader(storage, disk, in_thread, time, self.housekeeping.limits, memory=memory, lend=lend)
        self.readers: Callable[[], int] = lambda: 0  # how many subscribers need messages which only the disk has
        self.trouble = ""
        """Why publishers wait for the journal, in words for people; empty while they do not."""
        self._keeper = keeper
        self._time = time
        self._call_later, self._clock = call_later, clock
        self._writable = True  # whether the last write succeeded
        self._there = True  # whether its newest segment was in the folder at the last look
        self._over = False  # whether a sync has failed, or the journal is closed
        self._anew: Anew | None = None  # where it is to go on, if not where it ends
        self._held = 0.0  # seconds in which publishers waited; while they do, without the time by `clock`
        self._contributors: dict[Key, Contributor] = {}  # to the next batch

    @property
    def next(self) -> int:
        """Position of the next message to be written."""
        return self.storage.next if self._anew is None else self._anew.position

    @property
    def safe(self) -> int:
        """The position before which all messages may be acknowledged: they are synced, or written with an interval."""
        return self.storage.next if self.syncing.interval else self.storage.synced

    def hurry(self) -> None:
        """As `relay.core.journal.Journal`."""
        self.syncing.hurry()

    # Writing

    @property
    def ready(self) -> bool:
        """Whether the last write succeeded, or it is time for another try."""
        return self._usable and not self._over

    @property
    def _usable(self) -> bool:
        begins = self._anew is not None or (self.storage.due and self.storage.spare is None)
        return self._writable and self._there and not begins

    def note(self, key: Key, publisher: Contributor) -> None:
        """Note that messages of `publisher`, which has the name `key`, were published and will be in the next batch."""
        self._contributors[key] = publisher

    def append(self, pieces: Sequence[Buffer], messages: int, ends: Iterable[int] = ()) -> bool:
        """As `relay.core.journal.Journal`."""
        if not self.ready:
            return False
        names = [(key, publisher.accepted) for key, publisher in self._contributors.items()]
        try:
            size = self.storage.append(pieces, messages, names, ends)
        except OSError as error:
            self._writable = False
            self._call_later(RETRY, self._try_again)
            self._hold(f"the journal cannot be written: {error.strerror or error}")
            return False
        self._contributors.clear()
        if names and not self.syncing.interval:
            self.syncing.hurry()  # they will be told
        self.syncing.wrote(size)
        if self.storage.spare is None:
            self.housekeeping.look()
        if self.syncing.unsynced > self.syncing.most:
            self._hold("the journal's disk is slower than publishers are")
        return True

    def _try_again(self) -> None:
        """Append what failed. If it fails again, it comes back here in a second."""
        self._writable = True
        self._keeper.flush()
        self._release_if_possible()

    def _synced(self) -> None:
        self._release_if_possible()
        self._keeper.synced()

    def _failed(self, error: Exception) -> None:
        self._over = True
        self._keeper.lost(error)

    def _hold(self, reason: str, told: bool = True) -> None:
        """Have publishers wait. `told`: whether it is worth a line in the log."""
        held, self.trouble = self.trouble, reason
        if not held:
            self._held -= self._clock()
        if reason != held:
            self._keeper.hold(reason if told else "")

    def _release_if_possible(self) -> None:
        if self.trouble and self._usable and self.syncing.unsynced <= self.syncing.most:
            self.trouble = ""
            self._held += self._clock()
            self._keeper.release()

    # Following another relay

    @property
    def epochs(self) -> Sequence[Epoch]:
        """As `relay.core.journal.Journal`."""
        return self.storage.epochs if self._anew is None else self._anew.epochs

    @property
    def own(self) -> bool:
        """As `relay.core.journal.Journal`."""
        return self.storage.own

    def follow(self, epochs: Sequence[Epoch]) -> None:
        """As `relay.core.journal.Journal`."""
        if self._anew is not None:
            position, _, keeps = self._anew
            self._anew = Anew(position, self.storage.known(epochs) if keeps else epochs, keeps)
        else:
            self.storage.follow(epochs)
            self._wait_for_spare()

    def _wait_for_spare(self) -> None:
        """Have publishers wait until the segment is there that has to begin with the next batch."""
        if self._over or self._anew is not None:
            return
        if self.storage.due and self.storage.spare is None:
            self._hold(NEW_SEGMENT, told=False)
            self.housekeeping.look()
            self._call_later(RETRY if self.housekeeping.trouble else LOOK, self._wait_for_spare)
        elif self.trouble == NEW_SEGMENT:
            self._keeper.flush()
            self._release_if_possible()

    def begin_anew(self, position: int, epochs: Sequence[Epoch], keeps: bool = False) -> None:
        """As `relay.core.journal.Journal`."""
        assert not self.own, "what no mirror wrote is about to be deleted"
        before = self._anew
        if keeps and before is None and position == self.next:
            self.follow(epochs)
            return
        keeps = keeps and (before is None or before.keeps)
        self._anew = Anew(position, self.storage.known(epochs) if keeps else epochs, keeps)
        self.reader.begin_anew(None if keeps else position)
        self._hold(ANEW, told=False)
        if before is None:
            self._begin_anew_when_quiet()

    def _begin_anew_when_quiet(self) -> None:
        """Begin anew when all is synced and nothing is done in threads."""
        if self._over or self._anew is None:
            return
        if not self.quiet or self.syncing.unsynced:
            self.syncing.hurry()
            self._call_later(LOOK, self._begin_anew_when_quiet)
        else:
            self.housekeeping.begin_anew(self._anew, partial(self._begun_anew, self._anew))

    def _begun_anew(self, begun: Anew, result: Writer | Exception) -> None:
        """The journal is on disk as `begun` says, or could not be."""
        if isinstance(result, Exception):
            self._hold(f"the journal cannot begin anew: {result}")
            self._call_later(RETRY, self._begin_anew_when_quiet)
        elif begun is not self._anew:  # meanwhile more messages were missing
            self._begin_anew_when_quiet()
        else:
            self._anew = None
            self.reader.begun_anew()
            self._keeper.flush()
            self._release_if_possible()

    # Keeping

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)
        self.reader.register(every)

    def sweep(self, passed: float) -> None:
        """Delete what is too old, make what could not be made, see whether it is still there. `passed`: is not used."""
        if not self._over:
            self.housekeeping.look()

    def _looked(self, there: bool) -> None:
        """Hold publishers if the segment that is written is not in the folder any more: no start would find it."""
        back = there and not self._there
        self._there = there
        if not there:
            self._hold(f"the journal's files are gone from {self.storage.segments[-1].folder}")
        elif back:
            self._keeper.flush()
            self._release_if_possible()

    @property
    def interval(self) -> float:
        """Seconds until what was written is synced; 0: at once."""
        return self.syncing.interval

    def change(self, size: int, age: float, interval: float) -> None:
        """Keep `size` bytes and `age` seconds from now on, and sync after `interval` seconds."""
        self.housekeeping.size, self.housekeeping.age = size, age
        self.storage.segment_size = segment_size(size)
        self.syncing.interval = interval

    def figures(self) -> JournalFigures:
        """How the journal is."""
        storage, syncing = self.storage, self.syncing
        index = storage.segments[0].index
        return JournalFigures(
            size=storage.size,
            limit=self.housekeeping.size,
            free=storage.free,
            segments=len(storage.segments),
            oldest=storage.oldest,
            oldest_time=(index[0].time if len(index) else self._time()) / MICROSECONDS,
            unsynced=syncing.unsynced,
            bounds=BOUNDS,
            syncs=tuple(syncing.took),
            sync_seconds=syncing.seconds,
            reads=self.reader.reads,
            readers=self.readers(),
            cuts=storage.cuts,
            trouble=self.trouble,
            held_seconds=self._held + (self._clock() if self.trouble else 0.0),
        )

    def stop(self) -> None:
        """Take nothing more, and begin nothing more in threads."""
        self._over = True

    @property
    def quiet(self) -> bool:
        """Whether no thread writes for the journal."""
        return not (self.syncing.running or self.housekeeping.busy)

    def close(self) -> None:
        """Sync everything, and end the journal so that its epoch goes on. Raises OSError.

        Call `stop` before, and wait until it is `quiet`.
        """
        self._over = True
        self.storage.close()
