"""The processes whose connections subscribe.

The benchmark must not measure its own cost. So the kernel discards what nobody looks at without even copying it, where
it can do that (recv(2), MSG_TRUNC on TCP: only Linux). Over TLS everything has to be decrypted.

So where nobody looks, the heartbeats of sessions cannot be told from messages. They are so few that all of a phase
together are shorter than a message of some 1,000 bytes. Shorter messages are counted exactly only with --verify.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection

from tester.bench.counters import UNKNOWN, Counters
from tester.bench.inspector import Inspector
from tester.bench.phase import Failed, Phase, Received, Report, Settled, Site, Stream, connected, dial
from tester.tls import TlsError

TICK = 0.02  # seconds until a process notices that a phase is over
QUIET = 0.2  # seconds without a byte after which nothing of an earlier phase is expected any more
DISCARD = socket.MSG_TRUNC if sys.platform == "linux" else 0
DISCARDED = 4 * 2**20  # bytes discarded with one call, at most
LOOKED_AT = 256 * 1024  # bytes received and looked at with one call, at most
SAMPLED = 64  # subscribers, at most, whose messages a process looks at to measure latency
STAMPS = 50_000  # messages per second, at most, that a process looks at: half of what Python can do
GONE = 2**62  # counts as bytes received by a subscriber that has ended, so that nobody waits for it


def receive(site: Site, connections: int, place: int, counters: Counters, pipe: Connection[Report, Phase]) -> None:
    """Connect, and receive in one phase after the other, until the other end of `pipe` is closed.

    `place`: the index of this process among those that receive.
    """
    try:
        subscribers = [dial(site.subscribe, site.wire.subscriber_hello, site.tls) for _ in range(connections)]
        pipe.send(connected(subscribers))
        with selectors.DefaultSelector() as selector:
            for index, subscriber in enumerate(subscribers):
                subscriber.setblocking(False)
                selector.register(subscriber, selectors.EVENT_READ, index)
            receiving = Receiving(site, selector, subscribers, place, counters)
            while True:
                phase = pipe.recv()
                receiving.settle()
                pipe.send(Settled())
                pipe.send(receiving.run(phase))
    except EOFError:
        pass
    except (OSError, TlsError) as error:
        pipe.send(Failed(f"a subscriber's connection: {error}"))


class Receiving:
    """The subscribers of one process."""

    def __init__(
        self,
        site: Site,
        selector: selectors.BaseSelector,
        subscribers: list[Stream],
        place: int,
        counters: Counters,
    ) -> None:
        self._wire = site.wire
        self._selector = selector
        self._subscribers = subscribers
        self._place = place
        self._counters = counters
        self._parent = os.getppid()
        self._buffer = bytearray(DISCARDED)
        self._received = [0] * len(subscribers)  # bytes in this phase
        self._inspectors: dict[int, Inspector] = {}
        self._octets = 0
        self._last = 0.0  # when something was last received

    def settle(self) -> None:
        """Discard what still arrives of earlier phases: until no more comes than a heartbeat for each subscriber."""
        self._inspectors.clear()
        while self._listen(QUIET) > len(self._subscribers) * self._wire.heartbeat:
            pass

    def _listen(self, seconds: float) -> int:
        """Take what arrives in that time. Returns the number of bytes."""
        before, now = self._octets, time.monotonic()
        end = now + seconds
        while now < end:
            self._read(end - now)
            now = time.monotonic()
        return self._octets - before

    def run(self, phase: Phase) -> Received:
        """Receive until every subscriber has everything, or all processes are to give up."""
        self._received = [GONE if octets >= GONE else 0 for octets in self._received]
        self._octets = 0
        self._last = time.monotonic()
        chosen = self._choose(phase)
        self._inspectors = {index: Inspector(self._wire, phase.verify, phase.timed) for index in chosen}
        cpu = time.process_time()
        while not self._counters.stopped and not self._is_complete(phase):
            self._read(TICK)
        return self._report(phase, time.process_time() - cpu)

    def _choose(self, phase: Phase) -> range:
        """The indexes of the subscribers whose messages are looked at: all, none, or some.

        Some are chosen evenly, because a system may serve subscribers in the order in which they connected.
        """
        count = len(self._subscribers)
        if phase.verify:
            return range(count)
        if not phase.timed:
            return range(0)
        most = min(SAMPLED, int(STAMPS / (phase.rate or STAMPS)))
        return range(0, count, -(-count // max(1, most)))

    def _is_complete(self, phase: Phase) -> bool:
        least = min(self._received)
        self._counters.set_least(self._place, least)
        if phase.until_heard:
            return least >= self._wire.delivered_length
        end = self._counters.end
        return end != UNKNOWN and least >= end * self._wire.delivered_length

    def _read(self, patience: float) -> bool:
        """Take what has arrived, waiting at most `patience` seconds for it. True if anything has."""
        events = self._selector.select(patience)
        for key, _ in events:
            index = key.data
            try:
                octets = self._take(index)
            except BlockingIOError:
                continue
            except OSError:
                octets = 0
            if octets:
                self._received[index] += octets
                self._octets += octets
            else:
                self._selector.unregister(key.fileobj)
                self._received[index] = GONE
        if events:
            self._last = time.monotonic()
        elif os.getppid() != self._parent:
            raise EOFError("nobody is interested any more")
        return bool(events)

    def _take(self, index: int) -> int:
        subscriber = self._subscribers[index]
        inspector = self._inspectors.get(index)
        if inspector is None:
            return subscriber.recv_into(self._buffer, 0, DISCARD)
        data = subscriber.recv(LOOKED_AT)
        inspector.feed(data, time.monotonic_ns())
        return len(data)

    def _report(self, phase: Phase, cpu: float) -> Received:
        length = self._wire.delivered_length
        expected = length if phase.until_heard else self._counters.end * length
        heartbeats = sum(octets % length for octets in self._received if octets < GONE)
        delays: Counter[int] = Counter()
        for inspector in self._inspectors.values():
            delays.update(inspector.delays)
        return Received(
            self._last,
            cpu,
            self._octets - heartbeats,
            incomplete=sum(1 for octets in self._received if octets >= GONE or octets < expected),
            damaged=sum(inspector.damaged for inspector in self._inspectors.values()),
            orders=frozenset(inspector.order for inspector in self._inspectors.values() if inspector.verify),
            delays=delays,
        )
