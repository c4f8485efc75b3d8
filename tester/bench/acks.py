"""What a system answers to publishers: nothing that matters, or acknowledgements, which are timed.

An acknowledgement is timed once for each write, whose messages are accepted together: so there is no work per message.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence

from relay.wire.answer import Ack, Answer, Bye, Error, Heartbeat, PublisherWelcome, read_answer
from relay.wire.control import MAX_CONTROL
from relay.wire.stream import SessionStream
from tester.bench.phase import Stream

READ = 64 * 1024  # bytes read with one call, at most
PATIENCE = 10.0  # seconds that the answer to a hello may take


class Answers:
    """Forgets what publishers are answered."""

    def __init__(self, publishers: Sequence[Stream]) -> None:
        """`publishers`: the connections. Elsewhere they are called by their index here."""
        self.delays: Counter[int] = Counter()
        """Microseconds from a write to its acknowledgement, and how many writes took them."""
        self._publishers = publishers
        self._buffer = bytearray(READ)

    def wrote(self, publisher: int, messages: int) -> None:
        """Take what came for `publisher`, which has just written `messages` messages."""
        while self._read(publisher) == READ:
            pass

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass."""
        time.sleep(seconds)

    @property
    def missing(self) -> int:
        """Messages that should be acknowledged, and are not."""
        return 0

    def _read(self, publisher: int) -> int:
        """Read into the buffer. Returns the number of bytes, 0 if nothing has come."""
        try:
            return self._publishers[publisher].recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


class Acks(Answers):
    """Takes the acknowledgements of publishers with sessions."""

    def __init__(self, publishers: Sequence[Stream]) -> None:
        """Wait until all are welcome. Raises ConnectionError if one is not."""
        super().__init__(publishers)
        self._welcome = 0  # publishers
        self._streams = [SessionStream(MAX_CONTROL) for _ in publishers]
        self._sent = [0] * len(publishers)
        self._accepted = [0] * len(publishers)
        # For each publisher the writes that are not acknowledged: up to which message they went, and when they began.
        self._writes: list[deque[tuple[int, int]]] = [deque() for _ in publishers]
        # The pace of the load must not depend on acknowledgements, and epoll(7) waits for whole milliseconds.
        self._selector = selectors.SelectSelector()
        for index, publisher in enumerate(publishers):
            self._selector.register(publisher, selectors.EVENT_READ, index)
        self._begin(time.monotonic() + PATIENCE)

    def _begin(self, deadline: float) -> None:
        """Wait for the welcome: a relay of another framing sees that a hello is one only if nothing comes with it."""
        while self._welcome < len(self._publishers):
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise ConnectionError("no answer to the hello: does the relay know sessions?")
            self._take(rest)

    def wrote(self, publisher: int, messages: int) -> None:
        self._sent[publisher] += messages
        self._writes[publisher].append((self._sent[publisher], time.monotonic_ns()))
        self.wait(0)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._take(0)
        while (rest := end - time.monotonic()) > 0:
            self._take(rest)

    def _take(self, seconds: float) -> None:
        """Take what has come, or comes next in that time."""
        for key, _ in self._selector.select(seconds):
            octets = self._read(key.data)
            if not octets:
                raise ConnectionError("the relay ended it")
            for piece in self._streams[key.data].split(bytes(self._buffer[:octets])):
                if isinstance(piece, bytes):
                    self._hear(key.data, read_answer(piece))

    @property
    def missing(self) -> int:
        return sum(self._sent) - sum(self._accepted)

    def _hear(self, publisher: int, said: Answer | None) -> None:
        match said:
            case PublisherWelcome():
                self._welcome += 1
            case Ack(accepted=accepted) | Heartbeat(accepted=int(accepted)):
                self._accepted[publisher] = accepted
                self._time(self._writes[publisher], accepted)
            case Error(message=reason) | Bye(reason=reason):
                raise ConnectionError(f"the relay ended it: {reason}")

    def _time(self, writes: deque[tuple[int, int]], accepted: int) -> None:
        now = time.monotonic_ns()
        while writes and writes[0][0] <= accepted:
            self.delays[(now - writes.popleft()[1]) // 1000] += 1
