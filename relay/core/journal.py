"""What the core asks of a journal: the log on disk, as a hub and its publishers see it.

Written, then delivered: `append` returns when what it was given survives the end of the process. Synced, then
acknowledged: `safe` says what survives a power cut. A relay without a journal pays nothing for it: its messages are
`Pending`, not `Journaled` (`relay.core.pending`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.wire.framing import Buffer

Key = tuple[str, str]
"""A publisher's name: the subject of its certificate, empty without one; and the name itself."""


@dataclass(frozen=True, slots=True)
class JournalFigures:
    """A journal at one moment. Totals are since the relay's start; sizes are in bytes, times in seconds."""

    size: int
    """What it takes on disk."""
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
    cuts: int
    """Places that were mended when the relay started."""
    trouble: str
    """Why publishers wait for it, in words for people; empty while they do not."""


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
