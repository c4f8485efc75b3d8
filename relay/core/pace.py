"""How much publishers may read at once, and when a turn of the reactor ends, so that nobody waits long for anybody.

A turn ends when every live subscriber was given what publishers have read in it, and until then nobody else is served.
So publishers read less at once the more subscribers there are, and the more publishers send.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.core.slow import Inflow
from relay.core.timing import CallSoon

MAX_READ = 256 * 1024
"""Most bytes read from a publisher at once. More did not make a flood faster."""
FLUSH = 256 * 1024
"""Bytes published in one turn that are delivered before its end, while they are still in the processor's cache. With
1 MiB instead, 50 publishers and 50 subscribers were a third slower."""
LEAST_READ = 16 * 1024
"""Smallest share of a turn in bytes that a publisher may read, however many there are: less only costs more turns."""
TURN = 128 * 1024 * 1024
"""About how many bytes one turn delivers to all subscribers together. That is 30 ms of `send` at 4 GB/s, so that with
up to `MANY` subscribers nobody waits 100 ms for a turn to end."""
MANY = 1000
"""Above this many subscribers, turns grow longer instead of reads smaller: those would cost more than the wait."""
CATCH_UP = 1024 * 1024
"""Most bytes given to one lagging subscriber in one turn: a fast reader far behind must not take over the turn."""
PIECES = 1023
"""Most buffers of the log in one call: `sendmsg` takes 1,024 (IOV_MAX of Linux and macOS), and a tail may be one."""
LEAST_CATCH_UP = 64 * 1024
"""Bytes offered to each lagging subscriber in one turn, however many share `TURN`: a smaller send would not pay."""


def share(lagging: int) -> int:
    """Bytes that each of `lagging` subscribers may be given in one turn."""
    return min(CATCH_UP, max(LEAST_CATCH_UP, TURN // lagging))


class Pace:
    """The reads of all publishers, turn by turn."""

    def __init__(
        self,
        inflow: Inflow,
        call_soon: CallSoon,
        flush: Callable[[], object],
        live: Callable[[], int],
        max_read: int,
    ) -> None:
        """`inflow`: all publishers. `flush`: called at the end of a turn. `live`: returns how many
        subscribers are live.

        `max_read`: bytes that one read may bring at most.
        """
        self.reading = False
        """Whether a read has begun that is not over."""
        self._inflow = inflow
        self._call_soon = call_soon
        self._flush = flush
        self._live = live
        self._max_read = max_read
        self._reads = 0  # in this turn
        self._readers = 1  # reads in the last turn that had any, at least 1
        self._end_scheduled = False

    def begin_read(self) -> int:
        """Note that a read begins. Returns the most bytes that it may bring, so that the turn ends in time."""
        self.reading = True
        share = TURN // min(1 + self._live(), MANY) // self._readers
        return min(self._max_read, max(LEAST_READ, share))

    def end_read(self) -> None:
        """Note that the read is over. With one publisher, deliver at once: no other can be read in this turn."""
        self.reading = False
        if self._inflow.alone:
            self._reads = 1
            self._end()
        else:
            self.count_read()

    def count_read(self) -> None:
        """Note a read, also one of which nobody has told when it began and ended."""
        self._reads += 1
        if not self._end_scheduled:
            self._end_scheduled = True
            self._call_soon(self._end)

    def _end(self) -> None:
        self._end_scheduled = False
        self._readers, self._reads = max(1, self._reads), 0
        self._flush()
