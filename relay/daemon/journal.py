"""The journal of a relay: opens it, gives it threads, and stands between it and the parts that it holds and tells.

Only a relay with a journal imports this.

What the memory can hold of it is read when the relay starts, so that whoever comes back after that finds it there.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import _exit as end_at_once
from os.path import abspath
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.config.config import Config, Faults
from relay.config.values import show_size
from relay.core.budget import Loan
from relay.core.hub import Hub
from relay.core.journal import Chunk, Key
from relay.core.log import Log
from relay.core.past import READ_PART, Past
from relay.core.pending import Journaled, Pending
from relay.core.timing import CallSoon, Clock
from relay.journal.disk import Disk
from relay.journal.journal import DiskJournal
from relay.journal.names import FOLLOWS
from relay.journal.recovery import UNKNOWN_BOOT, CannotOpen, check_headers, read_headers
from relay.journal.segment import Damaged, Segment, read_block, segment_path
from relay.journal.storage import Storage, segment_size
from relay.net.ports import CannotStart
from relay.peers.acks import Acks
from relay.peers.intake import JOURNAL, Intake
from relay.wire.framing import Buffer
from relay.wire.framings import framing_name
from relay.wire.position import Epoch, new_epoch

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Where Linux says which run of the machine this is."""
LOOK = 0.01
"""Seconds between two looks at whether the journal's threads are done, when the relay stops."""
T = TypeVar("T")


def microseconds() -> int:
    """The time in microseconds since 1970."""
    return time.time_ns() // 1000


def read_boot() -> bytes:
    """16 bytes that name the machine's run from boot to shutdown; `UNKNOWN_BOOT` where the system does not say."""
    try:
        return UUID(BOOT_ID.read_text().strip()).bytes
    except (OSError, ValueError):
        return UNKNOWN_BOOT


@dataclass
class JournalKeeper:
    """Passes on what the journal says to the parts of a relay, which are made after it."""

    intake: Intake
    end: Callable[[int], None] = end_at_once
    """Ends the process with a status."""
    flush_hub: Callable[[], bool] = field(default=lambda: True)
    acks: Acks | None = None
    past: Past | None = None
    unreadable: set[str] = field(default_factory=set)
    """What could not be read, each told once."""
    logger = Logger()

    def hold(self, reason: str) -> None:
        self.intake.hold(JOURNAL, reason)

    def release(self) -> None:
        self.intake.release(JOURNAL)

    def flush(self) -> None:
        self.flush_hub()

    def synced(self) -> None:
        if self.acks is not None:
            self.acks.safe()

    def dropped(self, segment: Segment) -> None:
        self.logger.debug("the journal's oldest segment is deleted: {path}", path=segment.path)
        if self.past is not None:
            self.past.dropped()

    def damaged(self, error: Exception) -> None:
        """Tell the operator that something cannot be read."""
        if str(error) not in self.unreadable:
            self.unreadable.add(str(error))
            self.logger.error("{error}: who needs it is disconnected", error=error)

    def lost(self, error: Exception) -> None:
        self.logger.critical("the journal cannot be synced: {error}. What is on disk is not known: ending", error=error)
        sys.stderr.flush()
        self.end(1)


class Recording:
    """The journal of a relay, and what a relay that begins needs to know of it."""

    shared = False
    """Whether other relays hand out the same messages under the same positions."""

    def __init__(self, config: Config, intake: Intake, reactor: Any) -> None:  # Any: as in Surroundings
        """Open the journal that `config` names. Raises CannotStart if it cannot be used."""
        disk = Disk()
        self.keeper = JournalKeeper(intake)
        self.storage = _open(config, disk)
        self.journal = DiskJournal(
            self.storage,
            self.keeper,
            disk=disk,
            in_thread=partial(in_thread, reactor),
            call_later=reactor.callLater,
            clock=time.monotonic,
            time=microseconds,
            size=config.journal_size,
            age=config.journal_age,
            interval=config.journal_sync,
            memory=config.buffer // READ_PART,
            lend=self._lend,
        )
        self._loan: Loan | None = None
        self._disk = disk

    @property
    def epochs(self) -> list[Epoch]:
        """The epochs that the journal knows, the oldest first; the last one is in force."""
        return self.storage.epochs

    def make_log(self, ends: Callable[[Buffer], array[int]], memory: int, clock: Clock) -> Log:
        """A log that goes on where the journal ends, with the newest of its messages that fit into `memory` bytes."""
        chunks = recall(self.storage, self._disk, memory)
        log = Log(ends, chunks[0].first if chunks else self.storage.next)
        fill(log, chunks, clock, microseconds())
        return log

    @property
    def names(self) -> Mapping[Key, int]:
        """The names that are known, and how many messages were accepted under each."""
        return {key: count for key, count in self.storage.names.items() if key != FOLLOWS}

    def make_pending(self, self_delimiting: bool) -> Pending:
        """What is pending goes through the journal. `self_delimiting`: as in `Pending`."""
        return Journaled(self_delimiting, self.journal)

    def make_acks(self, flush: Callable[[], bool], call_soon: CallSoon, clock: Clock) -> Acks:
        """Acks that wait for the journal. The parameters are those of `Acks`."""
        self.keeper.flush_hub = flush
        self.keeper.acks = acks = Acks(flush, call_soon, clock, self.journal)
        return acks

    def attach(self, hub: Hub, ends: Callable[[Buffer], array[int]], clock: Clock) -> None:
        """Have subscribers of `hub` that are older than its log go on in the journal. `ends`, `clock`: its own."""
        self._loan = hub.budget.loan()
        hub.past = self.keeper.past = past = Past(hub, self.journal.reader, ends, clock, self.keeper.damaged)
        self.journal.readers = past.readings.__len__

    def _lend(self, size: int) -> None:
        """Take `size` bytes, which the journal has read, out of the memory for messages."""
        if self._loan is not None:
            self._loan.hold(size)


def _open(config: Config, disk: Disk) -> Storage:
    try:
        return Storage(
            config.journal,
            disk=disk,
            framing=framing_name(config.framing),
            max_message=config.max_message,
            boot=read_boot(),
            time=microseconds,
            new_epoch=new_epoch,
            segment_size=segment_size(config.journal_size),
            mirror=config.mirror is not None,
        )
    except Damaged as damaged:
        hint = f"relay journal --verify {config.journal} tells more, and --repair makes it usable"
        raise CannotStart(f"relay cannot start: {damaged}; {hint}") from None
    except CannotOpen as error:
        raise CannotStart(f"relay cannot start: {error}") from None
    except OSError as error:
        raise CannotStart(
            f"relay cannot start: the journal {abspath(config.journal)}: {error.strerror or error}"
        ) from None


def look_over(config: Config) -> None:
    """Check whether a relay can use the journal that `config` names, which exists. Raises Faults.

    Nothing is written, and of segments only headers are read: it may be in use.
    """
    folder, disk = abspath(config.journal), Disk()
    try:
        headers = read_headers(disk, folder, [])
        check_headers(folder, headers, framing_name(config.framing), config.max_message)
        room = disk.free(folder) + sum(disk.size(segment_path(folder, header.sequence)) for header in headers)
    except (CannotOpen, Damaged) as error:
        raise Faults([f"journal: {error}"]) from None
    except OSError as error:
        raise Faults([f"journal: {folder}: {error.strerror}"]) from None
    if room < config.journal_size:
        size = show_size(config.journal_size)
        raise Faults([f"journal-size: the disk of {folder} has room for {show_size(room)} of it, and not for {size}"])


def in_thread(reactor: Any, function: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
    """Run `function` in a thread of the reactor's pool, then `done` in the reactor's, with what came of it."""

    def work() -> None:
        try:
            result: T | Exception = function()
        except Exception as error:
            result = error
        reactor.callFromThread(done, result)

    reactor.callInThread(work)


def announce(journal: DiskJournal) -> None:
    """Log what was found in the journal."""
    storage = journal.storage
    for note in storage.notes:
        JournalKeeper.logger.warn("journal: {note}", note=note)
    if storage.next == storage.oldest:
        JournalKeeper.logger.info("journal: no messages yet, epoch {epoch}", epoch=storage.epochs[-1].name)
        return
    JournalKeeper.logger.info(
        "journal: messages {oldest:,} to {newest:,} in {segments:,} segments, {size}, epoch {epoch}",
        oldest=storage.oldest,
        newest=storage.next - 1,
        segments=len(storage.segments),
        size=show_size(storage.size),
        epoch=storage.epochs[-1].name,
    )


def recall(storage: Storage, disk: Disk, memory: int) -> list[Chunk]:
    """The newest chunks of a journal that have at most `memory` bytes, in order; fewer if one cannot be read."""
    found: list[Chunk] = []
    for segment, number in newest_blocks(storage):
        block = segment.block(number)
        memory -= block.stop - block.start
        if memory < 0:
            break
        try:
            found.append(read_block(disk, block))
        except (Damaged, OSError) as error:
            storage.notes.append(f"{error}: older messages are not read")
            break
    return found[::-1]


def newest_blocks(storage: Storage) -> Iterator[tuple[Segment, int]]:
    """All blocks, the newest first."""
    for segment in reversed(storage.segments):
        for number in reversed(range(len(segment.index))):
            yield segment, number


def fill(log: Log, chunks: list[Chunk], clock: Clock, now: int) -> None:
    """Append `chunks` to an empty log that begins with their first message. `now`: in microseconds since 1970.

    The ages of messages stay what they are, except that none is older than the one before it.
    """
    then = 0.0
    for chunk in chunks:
        age = max(0, now - chunk.marks[0][0]) / 1_000_000
        then = max(then, clock() - age) if log.end else clock() - age
        log.append(chunk.data, chunk.next - chunk.first, len(chunk.data), then, chunk.ends)


def close_when_quiet(journal: DiskJournal, reactor: Any) -> Deferred[None]:
    """Close the journal when its threads are done. Fires then; an error is logged."""
    done: Deferred[None] = Deferred()

    def look() -> None:
        if not journal.quiet:
            reactor.callLater(LOOK, look)
            return
        try:
            journal.close()
        except OSError as error:
            JournalKeeper.logger.error("the journal cannot be closed: {error}", error=error)
        done.callback(None)

    journal.stop()
    look()
    return done
