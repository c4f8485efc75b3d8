"""Looks at what one subscriber receives."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from zlib import crc32

from tester.bench.wire import STAMP, Wire

_NUMBER = struct.Struct("!Q")


class Inspector:
    """Takes a stream of messages apart, in whatever pieces it comes; all messages are equally long."""

    def __init__(self, wire: Wire, verify: bool, timed: bool) -> None:
        self.verify = verify
        self._timed = timed
        self.delays: Counter[int] = Counter()
        """Microseconds from sending a message to here, and how many messages took so long."""
        self.damaged = 0
        """Messages that were not the next of their publisher, byte for byte."""
        self.order = 0
        """A checksum of which message came after which."""
        self._wire = wire
        self._rest = b""
        self._next: defaultdict[int, int] = defaultdict(int)  # of each publisher

    def feed(self, data: bytes, now: int) -> None:
        """The next bytes, received at `now` (nanoseconds)."""
        if self._rest:
            data = self._rest + data
        at, length, noise = 0, self._wire.delivered_length, self._wire.noise
        while True:
            if noise and data.startswith(noise, at):
                at += len(noise)
                continue
            if len(data) - at < length:
                break
            self._look(data, at, now)
            at += length
        self._rest = data[at:]

    def _look(self, data: bytes, at: int, now: int) -> None:
        start = at + len(self._wire.delivered_before)
        stamp, number = STAMP.unpack_from(data, start)
        if self._timed:
            self.delays[(now - stamp) // 1000] += 1
        if self.verify:
            self._check(data[at : at + self._wire.delivered_length], number)

    def _check(self, message: bytes, number: int) -> None:
        wire = self._wire
        publisher, count = number >> 48, number & (1 << 48) - 1
        start = len(wire.delivered_before)
        intact = (
            count == self._next[publisher]
            and message.startswith(wire.delivered_before)
            and message[start + STAMP.size :] == wire.filling(number) + wire.after
        )
        self._next[publisher] = count + 1
        self.damaged += not intact
        self.order = crc32(_NUMBER.pack(number), self.order)
