"""Keeps a spare segment ready, deletes the oldest ones, and sees whether the files are there.

It does one thing at a time, in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from relay.journal.anew import Anew
from relay.journal.segment import Segment
from relay.journal.storage import Storage
from relay.journal.threads import InThread
from relay.journal.writer import Writer

MICROSECONDS = 1_000_000


class Housekeeping:
    """Looks after the segments of a storage."""

    def __init__(
        self,
        storage: Storage,
        in_thread: InThread,
        time: Callable[[], int],
        dropped: Callable[[Segment], None],
        there: Callable[[bool], None],
        *,
        size: int,
        age: float = 0.0,
    ) -> None:
        """`time`: the time in microseconds since 1970. `dropped`: told of each segment that is deleted.
        `there`: told now and then whether the newest segment is still in the folder.

        `size`: bytes that the journal may take. `age`: seconds that a segment is kept after its last message; 0: no
        limit.
        """
        self.size = size
        self.age = age
        self.trouble = ""
        """Why the last attempt failed, in words; empty if it did not."""
        self._storage = storage
        self._in_thread = in_thread
        self._time = time
        self._dropped = dropped
        self._there = there
        self._expired: list[Segment] = []  # taken out, and still on disk
        self.busy = False
        """Whether something is done in a thread."""

    def limits(self) -> tuple[int, float]:
        """The bytes and the seconds that are kept."""
        return self.size, self.age

    def look(self) -> None:
        """Do what is due. Call this after each batch, and now and then besides: what failed is tried again."""
        if self.busy:
            return
        if self._storage.spare is None:
            self.busy = True
            self._in_thread(self._storage.prepare, self._prepared)
        else:
            self._expire()
            self._see()

    def _see(self) -> None:
        """See whether the newest segment is there, if there is nothing else to do."""
        if not self.busy:
            self.busy = True
            self._in_thread(self._storage.there_later(), partial(self._seen, self._storage.segments[-1]))

    def _seen(self, newest: Segment, result: bool | Exception) -> None:
        self.busy = False
        if not isinstance(result, Exception) and newest is self._storage.segments[-1]:
            self._there(result)

    def _prepared(self, result: Writer | Exception) -> None:
        self.busy = False
        self._note(result)
        if not isinstance(result, Exception):
            self._storage.spare = result
        self._expire()
        if isinstance(result, Exception):
            self._see()  # perhaps that is why

    def _expire(self) -> None:
        """Take out the oldest segments that are too much, and delete them."""
        latest = self._time() - int(self.age * MICROSECONDS) if self.age else 0
        expired = self._storage.expire(self.size, latest)
        for segment in expired:
            self._dropped(segment)
        self._expired += expired
        if self._expired and not self.busy:
            self.busy = True
            due = tuple(self._expired)
            self._in_thread(partial(self._storage.delete, due), partial(self._deleted, len(due)))

    def _deleted(self, count: int, result: Exception | None) -> None:
        self.busy = False
        self._note(result)
        if not isinstance(result, Exception) or isinstance(result, FileNotFoundError):
            del self._expired[:count]

    def begin_anew(self, anew: Anew, done: Callable[[Writer | Exception], None]) -> None:
        """Have the storage go on as `anew` says (see `Storage.begin_anew_later`). It must not be `busy`.

        `done`: called when that is done, with an exception if it could not be.
        """
        self.busy = True
        begin = self._storage.begin_anew_later(anew, tuple(self._expired))
        self._in_thread(begin, partial(self._begun_anew, anew, done))

    def _begun_anew(self, anew: Anew, done: Callable[[Writer | Exception], None], result: Writer | Exception) -> None:
        self.busy = False
        self._note(result)
        if not isinstance(result, Exception):
            self._expired = self._expired if anew.keeps else []
            self._storage.begun_anew(result, anew)
        done(result)

    def _note(self, result: object) -> None:
        self.trouble = str(result) if isinstance(result, Exception) else ""
