"""What the core asks of a journal: the log on disk, as a hub, its publishers and its subscribers see it.

Written, then delivered: `append` returns when what it was given survives the end of the process. Synced, then
acknowledged: `safe` says what survives a power cut. What memory no longer has is read by a `JournalReader`. A relay
without a journal pays nothing for it: its messages are `Pending`, not `Journaled` (`relay.core.pending`), and its hub
has no past (`relay.core.past`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from relay.wire.framing import Buffer
from relay.wire.position import Epoch

Key = tuple[str, str]
"""A publisher's name: the subject of its certificate, empty without one; and the name itself."""


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """A journal at one moment. Totals are since the relay's start; sizes are in bytes, times in seconds."""

    size: int
    """What it takes on disk."""
    limit: int
    """What it may take."""
    free: int
    """What the disk has left for it."""
    segments: int
    """Files that it has."""
    oldest: int
    """Position of the oldest message."""
    oldest_time: float
    """When that was published, in seconds since 1970, UTC; now, if there is none."""
    unsynced: int
    """What is written and not known to be on disk."""
    bounds: tuple[float, ...]
    """Upper bounds of the buckets of `syncs`, in seconds; one more bucket has what took longer."""
    syncs: tuple[int, ...]
    """Syncs, by how long they took."""
    sync_seconds: float
    """What all syncs took together."""
    reads: int
    """Blocks that were read from disk."""
    readers: int
    """Subscribers that need messages which only the disk has."""
    cuts: int
    """Places that were mended when the relay started."""
    trouble: str
    """Why publishers wait for it, in words for people; empty while they do not."""
    held_seconds: float
    """How long publishers have waited for it, in all."""


class Chunk(NamedTuple):
    """Some messages of a journal that follow each other, read in one piece."""

    first: int
    """Position of the first message."""
    next: int
    """Position of the first message behind the chunk."""
    data: bytes
    """Whole frames, as they are sent."""
    ends: array[int] | None
    """Where each message ends in `data`, for a framing that cannot tell; else None."""
    marks: list[tuple[int, int]]
    """For each batch its time in microseconds since 1970, and the position of its first message."""


class Gone(Exception):  # noqa: N818  # named for what it means to the reader
    """The message is older than the journal."""


class JournalReader(Protocol):
    """Reads a journal, in threads, for any number of readers."""

    @property
    def oldest(self) -> int:
        """Position of the oldest message; that of the next one if there is none."""
        ...

    @property
    def begin(self) -> int:
        """Position of the oldest message that a reader may begin with, so that it is not overrun at once."""
        ...

    @property
    def limit(self) -> int:
        """Bytes that the journal may have."""
        ...

    def behind(self, position: int) -> int:
        """About how many bytes of the journal there are from the message at `position` on."""
        ...

    def age(self, position: int) -> float:
        """About how many seconds ago the message at `position`, which the journal must have, was published."""
        ...

    def borrow(self, position: int, done: Callable[[Chunk | Exception], None]) -> None:
        """Call `done` with a chunk that has the message at `position`, when it is read and there is memory for it.

        `done` may be called at once. If the chunk cannot be had, it gets Gone, or another exception, which tells what
        is wrong with the disk. A chunk must be given back.
        """
        ...

    def give_back(self, chunk: Chunk) -> None:
        """Note that whoever borrowed `chunk` does not need it any more."""
        ...

    def find(self, time: float, done: Callable[[int | Exception], None]) -> None:
        """Call `done` with the position of the first message published at `time` or later, in seconds since 1970.

        It may be called at once. If the clock was set back, that is too far back rather than not enough.
        """
        ...


class Contributor(Protocol):
    """A publisher with a name."""

    @property
    def accepted(self) -> int:
        """Messages that were published under the name so far; all of them are in the log after the next flush."""
        ...


class Journal(Protocol):
    """The log on disk."""

    @property
    def next(self) -> int:
        """Position of the next message to be written."""
        ...

    @property
    def safe(self) -> int:
        """The position before which all messages may be acknowledged."""
        ...

    @property
    def ready(self) -> bool:
        """Whether `append` is worth a try."""
        ...

    def hurry(self) -> None:
        """Note that somebody waits until all that was appended is safe."""
        ...

    def note(self, key: Key, publisher: Contributor) -> None:
        """Note that messages of `publisher`, which has the name `key`, were published and will be in the next batch."""
        ...

    def append(self, pieces: Sequence[Buffer], messages: int, ends: Iterable[int] = ()) -> bool:
        """Write a batch. Returns whether it is written; if not, it must be appended again, and nothing else before it.

        `pieces`: its frames. `messages`: how many they are. `ends`: where each message ends, for a framing that cannot
        tell.
        """
        ...

    def figures(self) -> JournalFigures:
        """How it is."""
        ...

    # What mirrors ask

    @property
    def epochs(self) -> Sequence[Epoch]:
        """The epochs that it knows, the oldest first."""
        ...

    @property
    def own(self) -> bool:
        """Whether it has messages that no mirror wrote, so that they must not be forgotten."""
        ...

    def follow(self, epochs: Sequence[Epoch]) -> None:
        """Note that what is appended from now on is another relay's, and follows what is there.

        `epochs`: those that the other relay knows, the oldest first; the last one is in force.
        """
        ...

    def begin_anew(self, position: int, epochs: Sequence[Epoch], keeps: bool = False) -> None:
        """Forget all messages: the next one gets `position`, whatever came before. `epochs`: as in `follow`.

        `keeps`: forget only those from `position` on, which is at most `next`. Until that is on disk the journal takes
        nothing, and nothing is read from it. It must not be `own`.
        """
        ...
