"""Sources of messages, and their pace: asynchronous iterators that produce a message only when it is asked for.

A program that asks for a message only after it has sent the one before never holds more than one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

CHUNK = 64 * 1024  # bytes read at once: as many as a pipe holds
PRINTABLE = bytes(range(ord("!"), ord("~") + 1))
_TO_PRINTABLE = bytes(PRINTABLE[byte % len(PRINTABLE)] for byte in range(256))


def random_text(size: int) -> bytes:
    """A text of `size` random printable characters of ASCII, without spaces."""
    return os.urandom(size).translate(_TO_PRINTABLE)


async def random_texts(size: int) -> AsyncIterator[bytes]:
    """Random texts of `size` bytes, without end."""
    while True:
        yield random_text(size)


async def lines(chunks: AsyncIterator[bytes], longest: int, ending: bytes = b"") -> AsyncIterator[bytes]:
    """The lines of a stream that arrives in `chunks`, each with `ending` instead of its newline.

    What follows the last newline is a line, too, unless it is empty. A line of more than `longest` bytes ends the
    program.
    """
    parts: list[bytes] = []
    held = 0
    number = 1
    async for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            _check_length(number, held + len(end), longest)
            yield b"".join([*parts, end, ending])
            parts.clear()
            held = 0
            number += 1
        parts.append(rest)
        held += len(rest)
        _check_length(number, held, longest)
    if held:
        yield b"".join(parts)


def _check_length(number: int, length: int, longest: int) -> None:
    if length > longest:
        raise SystemExit(f"line {number} is longer than --max-message {longest}")


async def limited(messages: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    """The first `count` of `messages`, at least 1. No more than these are asked for."""
    async for message in messages:
        yield message
        count -= 1
        if not count:
            return


async def behind(messages: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    """The same messages without the first `count`. If there are not so many, ends the program."""
    skipped = 0
    async for message in messages:
        if skipped < count:
            skipped += 1
        else:
            yield message
    if skipped < count:
        raise SystemExit(f"{count:,} messages have this --name, and there are {skipped:,} here: is it the same file?")


async def paced(messages: AsyncIterator[bytes], interval: float, clock: IReactorTime) -> AsyncIterator[bytes]:
    """The same messages, with at least `interval` seconds from one to the next.

    If one is late, the rest are delayed as well: nothing catches up. `clock`: the reactor.
    """
    due = clock.seconds()
    async for message in messages:
        await deferLater(clock, max(0.0, due - clock.seconds()))
        yield message
        due = max(due + interval, clock.seconds())


def is_regular(descriptor: int) -> bool:
    """Whether a file descriptor is that of a file, which has the same lines when it is read again."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def open_file(path: str) -> int:
    """A file descriptor to `read` from. A named pipe is opened at once, even if nobody writes to it yet."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return descriptor


async def read(descriptor: int, reactor: Any) -> AsyncIterator[bytes]:
    """The bytes of a file descriptor, to its end, without ever blocking on a pipe or a terminal.

    The descriptor may be shared, as that of a terminal always is, so it is not made non-blocking. Instead it is read
    when the reactor finds it readable.
    """
    regular = is_regular(descriptor)  # the reactor would only poll a file, 1,000 times a second
    while chunk := os.read(descriptor, CHUNK) if regular else await Readable(descriptor, reactor).read():
        yield chunk


@implementer(IReadDescriptor)
class Readable:
    """Reads from a file descriptor once, as soon as there is something to read."""

    def __init__(self, descriptor: int, reactor: Any) -> None:
        self._descriptor = descriptor
        self._reactor = reactor
        self._chunk: Deferred[bytes] = Deferred(lambda _: reactor.removeReader(self))

    def read(self) -> Deferred[bytes]:
        """The next bytes; empty at the end."""
        self._reactor.addReader(self)
        return self._chunk

    def doRead(self) -> None:
        self._reactor.removeReader(self)
        try:
            self._chunk.callback(os.read(self._descriptor, CHUNK))
        except OSError:
            self._chunk.errback(Failure())

    def connectionLost(self, reason: Failure) -> None:
        # A pipe is empty, and nobody has it open for writing any more.
        self._chunk.callback(b"")

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "input"
