"""Checks and times the messages that one subscriber receives."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from zlib import crc32

from relay.wire.control import CONTROL, is_control
from relay.wire.counted import HEADER
from tester.bench.wire import Wire

_NUMBER = struct.Struct("!Q")


def _past_control(data: bytes, at: int) -> int:
    """The end of the control frame that begins `at` there; `at` itself if none does, or if it is not complete."""
    if len(data) - at < HEADER.size:
        return at
    (header,) = HEADER.unpack_from(data, at)
    stop: int = at + HEADER.size + header - CONTROL
    return stop if is_control(header) and stop <= len(data) else at


class Inspector:
    """Splits a stream, which may arrive in any pieces, into messages, which all have the same length."""

    def __init__(self, wire: Wire, verify: bool, timed: bool) -> None:
        self.verify = verify
        self._timed = timed
        self.delays: Counter[int] = Counter()
        """Maps the microseconds from sending to receiving a message to the number of messages that took them."""
        self.damaged = 0
        """Messages that were not, byte for byte, the next one of their publisher."""
        self.order = 0
        """A checksum of the order in which the messages came."""
        self._wire = wire
        self._rest = b""  # the beginning of a message that is not complete
        self._next: defaultdict[int, int] = defaultdict(int)  # by publisher: the count of the message that is next

    def feed(self, data: bytes, now: int) -> None:
        """Take the next bytes; `now`: when they were received, in nanoseconds."""
        if self._rest:
            data = self._rest + data
        at, length, noise, heartbeat = 0, self._wire.delivered_length, self._wire.noise, self._wire.heartbeat
        while True:
            if heartbeat and (beyond := _past_control(data, at)) > at:
                at = beyond
                continue
            if noise and data.startswith(noise, at):
                at += len(noise)
                continue
            if len(data) - at < length or (heartbeat and data[at] & 0x80):
                break
            self._look(data, at, now)
            at += length
        self._rest = data[at:]

    def _look(self, data: bytes, at: int, now: int) -> None:
        start = at + len(self._wire.delivered_before)
        stamp, number = self._wire.stamp(data, start)
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
            and message[start + wire.stamp_size :] == wire.filling(number) + wire.after
        )
        self._next[publisher] = count + 1
        self.damaged += not intact
        self.order = crc32(_NUMBER.pack(number), self.order)
