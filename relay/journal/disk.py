"""The calls of the system that the journal makes, in one place, so that tests can have them fail and forget.

All of them raise OSError. None keeps anything in mind: any thread may call any of them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from relay.wire.framing import Buffer

BUFFERS = 1024
"""Most buffers of one call of `writev` (IOV_MAX of Linux and macOS)."""


class Disk:
    """The file system. Paths are strings; a descriptor is for writing, and belongs to who asked for it."""

    def lock(self, path: str) -> int:
        """Lock a file, which is created if it is missing, until its descriptor is closed.

        Raises BlockingIOError if somebody else has it locked.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def list(self, folder: str) -> list[str]:
        """The names of all files in a folder, sorted."""
        return sorted(os.listdir(folder))

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return os.stat(path).st_size

    def same(self, path: str, descriptor: int) -> bool:
        """Whether the file at `path` is the one that is open."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def free(self, folder: str) -> int:
        """Bytes that the disk under a folder has left for this user. The system knows without asking the disk: 2 µs."""
        room = os.statvfs(folder)
        return room.f_bavail * room.f_frsize

    def read(self, path: str, offset: int, size: int) -> bytes:
        """`size` bytes of a file from `offset` on; fewer if it ends before."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, size, offset)
            while 0 < len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
                data += more
            return data
        finally:
            os.close(descriptor)

    def create(self, path: str) -> int:
        """Create a file. Raises FileExistsError if it is there."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def open(self, path: str) -> int:
        """Open a file that is there."""
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, descriptor: int, buffers: Sequence[Buffer], offset: int) -> None:
        """Write all of `buffers` at `offset`. If this raises, some of them may have been written."""
        for begin in range(0, len(buffers), BUFFERS):
            part = buffers[begin : begin + BUFFERS]
            size = sum([len(buffer) for buffer in part])
            written = os.pwritev(descriptor, part, offset)
            if written != size:
                self._write_rest(descriptor, memoryview(b"".join(part))[written:], offset + written)
            offset += size

    def _write_rest(self, descriptor: int, rest: memoryview, offset: int) -> None:
        """Write what a call left over: it was too large, or the disk is full now, which the next call says."""
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest = rest[written:]
            offset += written

    def allocate(self, descriptor: int, size: int) -> None:
        """Make the file `size` bytes long, and reserve the room for them."""
        os.posix_fallocate(descriptor, 0, size)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Return when all that was written to the file is on disk."""
        os.fdatasync(descriptor)

    def sync_folder(self, folder: str) -> None:
        """Return when it is on disk which files are in the folder."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def rename(self, path: str, new: str) -> None:
        """Rename a file. One that has the new name is replaced."""
        os.replace(path, new)

    def remove(self, path: str) -> None:
        """Delete a file."""
        os.unlink(path)
