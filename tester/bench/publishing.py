"""The process whose connections publish.

No system is made to drop messages: publishers are never more than a window ahead of the slowest subscriber, even if
they are to publish at a rate that the system cannot sustain.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection

from tester.bench.acks import Acks, Answers
from tester.bench.counters import Counters
from tester.bench.phase import Failed, Phase, Report, Sent, Site, Stream, connected, dial
from tester.bench.wire import Wire
from tester.tls import TlsError

PATIENCE = 5.0  # seconds after a phase that acknowledgements may take
WRITE = 64 * 1024  # bytes in one write: so many that the cost of the load itself does not count


def publish(site: Site, connections: int, window: int, counters: Counters, pipe: Connection[Report, Phase]) -> None:
    """Connect, and publish in one phase after the other, until the other end of `pipe` is closed."""
    try:
        publishers = [dial(site.publish, site.wire.publisher_hello, site.tls) for _ in range(connections)]
        answers = (Acks if site.wire.acks else Answers)(publishers)
        pipe.send(connected(publishers))
        while True:
            pipe.send(Publishing(publishers, answers, site.wire, window, counters, pipe.recv()).run())
    except EOFError:
        pass
    except (OSError, TlsError) as error:
        pipe.send(Failed(f"a publisher's connection: {error}"))


class Publishing:
    """Publishes in one phase. Publishers take turns."""

    def __init__(
        self,
        publishers: list[Stream],
        answers: Answers,
        wire: Wire,
        window: int,
        counters: Counters,
        phase: Phase,
    ) -> None:
        self._publishers = publishers
        self._answers = answers
        self._wire = wire
        self._window = window // wire.delivered_length  # messages
        self._counters = counters
        self._phase = phase
        self._most = max(1, WRITE // wire.published_length)  # messages in one write
        # Messages that nobody looks at are made only once.
        self._plain = phase.rate is None and not phase.verify and wire.published(0, 0) * self._most

    def run(self) -> Sent:
        """Publish until the phase is over."""
        answers = self._answers
        answers.delays.clear()
        started, cpu = time.monotonic(), time.process_time()
        sent = 0
        turns = self._turns()
        while time.monotonic() < started + self._phase.seconds and not self._is_over():
            messages = self._due(sent, time.monotonic() - started)
            if messages:
                index, numbers = next(turns)
                data = self._plain or self._marked(list(itertools.islice(numbers, messages)))
                self._publishers[index].sendall(data)
                sent += messages
                self._counters.published = sent
                answers.wrote(index, messages)
            if messages < self._most:
                answers.wait(self._phase.interval)
        self._counters.end = sent
        self._wait_for_answers()
        return Sent(started, time.process_time() - cpu, sent, Counter(answers.delays), answers.missing)

    def _wait_for_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._answers.missing and time.monotonic() < deadline and not self._counters.stopped:
            self._answers.wait(0.1)

    def _is_over(self) -> bool:
        return self._counters.stopped or (self._phase.until_heard and self._counters.least > 0)

    def _turns(self) -> Iterator[tuple[int, Iterator[int]]]:
        """The index of the publisher whose turn it is, and the numbers of its messages, again and again."""
        return itertools.cycle([(i, itertools.count(i << 48)) for i in range(len(self._publishers))])

    def _due(self, sent: int, elapsed: float) -> int:
        """How many messages the next write is to have; `sent`: so far. `elapsed`: seconds since the start."""
        room = self._window - sent + self._counters.least // self._wire.delivered_length
        if self._phase.rate is None:
            return self._most if room >= self._most else 0
        return max(0, min(int(elapsed * self._phase.rate) + 1 - sent, room, self._most))

    def _marked(self, numbers: list[int]) -> bytes:
        now = time.monotonic_ns()
        return b"".join([self._wire.published(number, now) for number in numbers])
