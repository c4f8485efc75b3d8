"""Real threads: they satisfy what the journal asks of threads, and all of it works on a real disk beside them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import TypeVar

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from relay.core.journal import Chunk
from relay.journal.disk import Disk
from relay.journal.journal import DiskJournal
from relay.journal.threads import CallLater, InThread
from tests.kit.folders import temporary_folder
from tests.kit.journals import RecordingKeeper, expected, message, open_storage

T = TypeVar("T")


class Pool:
    """A pool of threads. What they are done with waits until the test takes it."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(4)
        self.finished: Queue[Callable[[], None]] = Queue()
        self.running = 0

    def __call__(self, function: Callable[[], T], done: Callable[[T | Exception], None], /) -> None:
        def work() -> None:
            try:
                result: T | Exception = function()
            except Exception as error:
                result = error
            self.finished.put(lambda: done(result))

        self.running += 1
        self.executor.submit(work)

    def take(self) -> None:
        """Call what is to be called for one thing that is done."""
        self.finished.get(timeout=60)()
        self.running -= 1


class ThreadsTests(SynchronousTestCase):
    def test_a_journal_is_written_synced_dropped_and_read_beside_threads(self) -> None:
        folder = str(temporary_folder(self))
        disk, pool, clock = Disk(), Pool(), Clock()
        self.addCleanup(pool.executor.shutdown)
        in_thread: InThread = pool
        call_later: CallLater = clock.callLater
        journal = DiskJournal(
            open_storage(disk, folder),
            RecordingKeeper(),
            disk=disk,
            in_thread=in_thread,
            call_later=call_later,
            clock=time.monotonic,
            time=lambda: time.time_ns() // 1000,
            size=30_000,
            memory=1 << 20,
        )
        for number in range(1, 2001):
            self.assertTrue(journal.append([message(number)], 1))
            journal.hurry()
            while pool.running and (number % 10 == 0 or not pool.finished.empty()):
                pool.take()
        found: list[Chunk | Exception] = []
        at = oldest = journal.storage.oldest
        while at < 2001:
            journal.reader.borrow(at, found.append)
            while pool.running:
                pool.take()
            assert isinstance(found[-1], Chunk)
            journal.reader.give_back(found[-1])
            at = found[-1].next
        self.assertGreater(oldest, 1)
        self.assertEqual(b"".join(one.data for one in found if isinstance(one, Chunk)), expected(oldest, 2001))
        self.assertEqual(journal.safe, 2001)
        journal.close()
