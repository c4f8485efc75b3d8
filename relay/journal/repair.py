"""Mends a damaged journal, so that a relay can start with it: what is damaged goes, and the newest messages stay.

In the newest segment, everything from the damage on is cut off, and a new epoch begins. Of older segments, the one that
is damaged and all before it are deleted, as they would have been by and by. What stays is whole and without gaps.
"""

from __future__ import annotations

import os

from relay.journal.contents import End
from relay.journal.disk import Disk
from relay.journal.inspection import Listed, look, sequences
from relay.journal.recovery import LOCK, CannotOpen
from relay.journal.scan import scan
from relay.journal.writer import Writer

BEFORE = "the journal is damaged between it and what is newer"


class Repair:
    """Finds what has to go, and makes it go."""

    def __init__(self, disk: Disk, folder: str) -> None:
        """Lock the folder, and read all of it. Raises CannotOpen if a relay uses it, Unreadable and OSError."""
        sequences(disk, folder)  # in a folder without a journal not even the lock is made
        self._disk = disk
        self._folder = folder
        try:
            self._lock = disk.lock(os.path.join(folder, LOCK))
        except BlockingIOError:
            raise CannotOpen(f"a relay uses the journal {folder}: stop it first") from None
        self._newer: list[Listed] = []  # to be deleted
        self._last: Listed | None = None  # to be cut at its fault; None if nothing is cut
        self._older: list[Listed] = []  # to be deleted
        try:
            self._find(list(look(disk, folder, whole=True)))
        except BaseException:
            self.close()
            raise

    def _find(self, listed: list[Listed]) -> None:
        while listed and listed[-1].segment is None:
            self._newer.append(listed.pop())
        if listed and (listed[-1].fault or any(one.fault for one in self._newer)):
            self._last = listed[-1]
        for number in reversed(range(1, len(listed))):
            before = listed[number - 1]
            if listed[number].gap or before.fault or before.segment is None:
                self._older = listed[:number]
                break

    @property
    def plan(self) -> list[str]:
        """What has to go, a line each; nothing if the journal is whole."""
        lines = [f"{one.path} is deleted: {one.fault.what}" for one in self._newer if one.fault]
        if self._last and self._last.fault:
            lines.append(f"{self._last.path} is cut at byte {self._last.fault.offset:,}: {self._last.fault.what}")
        if self._older:
            lines += [f"{one.path} is deleted: {one.fault.what if one.fault else BEFORE}" for one in self._older]
        return lines

    def run(self, time: int) -> None:
        """Do it. `time`: now, in microseconds since 1970. Raises OSError; then it can be done again."""
        if not self.plan:
            return
        for one in (*self._newer, *self._older):
            self._disk.remove(one.path)
            self._disk.sync_folder(self._folder)
        if self._last and self._last.segment:
            found = scan(self._disk, self._folder, self._last.segment.header)
            writer = Writer(self._disk, self._disk.open(self._last.path), found.segment)
            writer.seal(End.CUT, 0, time)
            writer.finish()

    def close(self) -> None:
        """Unlock the folder."""
        self._disk.close(self._lock)
