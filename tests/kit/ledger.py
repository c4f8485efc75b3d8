"""What fuzzing publishers sent, and whether that is what subscribers got: once, in order, whole, and nothing else.

A message that is long enough begins with its publisher's number and its own, and has to come exactly as it was sent,
after the one before it. Shorter ones look alike, and are counted. With `raw` there are no messages: each of seven
publishers counts in bytes of its own, so that every byte says whose it is and which comes next.
"""

from __future__ import annotations

import random
import re
from array import array
from collections import Counter, deque
from struct import pack, unpack_from
from typing import Protocol

LIMIT = 99_999
"""The relay's `--max-message`, as it is by default."""
FILLER = random.Random(0).randbytes(2 * LIMIT)
KEPT = 10_000
"""Messages that are remembered, at least, for readers that start with older ones."""
TINY = (b"", b"a", b"bb", b"\r", b"c\0\xff")


class Source(Protocol):
    """One publisher's stream."""

    may_reset: bool

    def produce(self, chance: random.Random) -> bytes:
        """More to send."""
        ...

    def sent(self, more: int) -> None:
        """The kernel took so many bytes more of what was produced."""
        ...

    def begun(self, chance: random.Random) -> bytes:
        """What has to be dropped where the stream ends with it: the beginning of a message."""
        ...

    def bad(self, chance: random.Random) -> bytes:
        """What has to end the connection, and what nobody may see after it; empty if nothing is bad."""
        ...

    def end(self, exact: bool) -> None:
        """The connection is gone. If not `exact`, the relay may have got less than was sent."""
        ...


class Reader(Protocol):
    """What one subscriber got."""

    received: int

    def feed(self, data: bytes) -> None:
        """More came; raises AssertionError if it is wrong."""
        ...

    def close(self) -> None: ...


class Ledger(Protocol):
    owed: int
    """Bytes that were sent and did not come to the oracle yet, about."""
    messages: int
    """How many came to the oracle; `bytes` where they cannot be told apart."""

    def source(self) -> Source: ...

    def reader(self, oracle: bool, gaps: bool = False, replay: int = 0) -> Reader:
        """`gaps` are allowed for who skips, and it may start with `replay` older messages. The oracle has neither."""
        ...

    def check_end(self) -> None:
        """Nothing more can come."""
        ...


class FramedLedger:
    """`int32` and `line`: whole messages, in the one order that the oracle saw."""

    def __init__(self, framing: str) -> None:
        self.framing = framing
        self.filler = FILLER if framing == "int32" else FILLER.replace(b"\n", b" ")
        self.owed = 0
        self.messages = 0
        self.tiny: Counter[bytes] = Counter()
        self.lost_tiny: Counter[bytes] = Counter()  # what those that were reset had sent of them, at most
        self.sources: dict[int, FramedSource] = {}
        self.reset: deque[int] = deque()  # publishers of whose messages any number may come
        self.opened = 0
        self.order = array("q")  # hashes of the messages, as the oracle saw them
        self.gone = 0  # of those that are forgotten
        self.readers: set[FramedReader] = set()

    def source(self) -> FramedSource:
        self.opened += 1
        source = self.sources[self.opened] = FramedSource(self, self.opened)
        return source

    def reader(self, oracle: bool, gaps: bool = False, replay: int = 0) -> FramedReader:
        return FramedReader(self, oracle, gaps, replay)

    def wire(self, payload: bytes) -> bytes:
        return pack("!I", len(payload)) + payload if self.framing == "int32" else payload + b"\n"

    def split(self, data: bytearray) -> list[bytes]:
        """Take the whole messages from the front of `data`."""
        if self.framing == "line":
            *lines, rest = bytes(data).split(b"\n")
            data[:] = rest
            return lines
        found = []
        start = 0
        while len(data) - start >= 4:
            (length,) = unpack_from("!I", data, start)
            assert length <= LIMIT, f"a message of {length:,} bytes"
            if (stop := start + 4 + length) > len(data):
                break
            found.append(bytes(data[start + 4 : stop]))
            start = stop
        del data[:start]
        return found

    def came(self, message: bytes) -> None:
        """The oracle got a message."""
        self.messages += 1
        self.order.append(hash(message))
        if (named := re.match(rb"(\d+):(\d+):", message)) is None:
            self.tiny[message] -= 1
            assert self.tiny[message] >= 0, f"nobody sent {message[:40]!r}, or not so often"
            return
        source = self.sources.get(int(named[1]))
        assert source is not None, f"there is no publisher of {named[0]!r}, or it has nothing left"
        number, digest, size = source.expected.popleft() if source.expected else (-1, 0, 0)
        if source.exact:
            self.owed -= size
        assert number == int(named[2]), f"{named[0]!r} came where message {number:,} was due"
        assert digest == hash(message), f"{named[0]!r} is damaged"
        assert number < source.complete, f"{named[0]!r} came before it was sent"
        if source.ended and not source.expected:
            del self.sources[source.number]

    def settle(self) -> None:
        """Compare what readers had before the oracle, and let go of what every reader is past."""
        for reader in tuple(self.readers):
            reader.compare()
            if reader.closed and not reader.waiting:
                self.readers.discard(reader)
        oldest = min([self.gone + len(self.order) - KEPT, *(reader.at for reader in self.readers)])
        if oldest - self.gone > KEPT:
            del self.order[: oldest - self.gone]
            self.gone = oldest
        while len(self.reset) > 1000:
            self.sources.pop(self.reset.popleft(), None)

    def check_end(self) -> None:
        for source in self.sources.values():
            lost = [number for number, _, _ in source.expected]
            assert source.ended and not (source.exact and lost), f"{source.number}: {lost[:9]} did not come"
        for message, count in self.tiny.items():
            assert count <= self.lost_tiny[message], f"{count} times {message!r} did not come"
        self.check_end_of_readers()

    def check_end_of_readers(self) -> None:
        assert not any(reader.waiting for reader in self.readers), "a subscriber got what the oracle did not"


class FramedSource:
    may_reset = True

    def __init__(self, ledger: FramedLedger, number: int) -> None:
        self.ledger = ledger
        self.number = number
        self.expected: deque[tuple[int, int, int]] = deque()  # numbers, hashes and sizes
        self.ends: deque[tuple[int, int, bytes | None]] = deque()  # in the stream; payload's size; of a tiny one, it
        self.produced = self.taken = 0  # bytes
        self.made = self.complete = 0  # messages that have a number
        self.own_tiny: Counter[bytes] = Counter()
        self.ended = False
        self.exact = True

    def produce(self, chance: random.Random) -> bytes:
        parts = []
        for _ in range(chance.choice((1, 1, 2, 5, 50))):
            most = chance.choice((0, 0, 20, 20, 100, 100, 3000, 3000, 40_000, LIMIT))
            if not most:
                message = chance.choice(TINY)
            else:
                name = b"%d:%d:" % (self.number, self.made)
                size = most if most == LIMIT and chance.random() < 0.3 else chance.randrange(len(name), most + 1)
                start = chance.randrange(LIMIT)
                message = name + self.ledger.filler[start : start + size - len(name)]
                self.expected.append((self.made, hash(message), size))
                self.made += 1
            parts.append(self.ledger.wire(message))
            self.produced += len(parts[-1])
            self.ends.append((self.produced, len(message), None if most else message))
        return b"".join(parts)

    def sent(self, more: int) -> None:
        self.taken += more
        while self.ends and self.ends[0][0] <= self.taken:
            _, size, tiny = self.ends.popleft()
            if tiny is None:
                self.complete += 1
                self.ledger.owed += size
            else:
                self.ledger.tiny[tiny] += 1
                self.own_tiny[tiny] += 1

    def begun(self, chance: random.Random) -> bytes:
        whole = self.ledger.wire(b"%d:%d:never whole" % (self.number, self.made))
        return whole[: chance.randrange(1, len(whole))]

    def bad(self, chance: random.Random) -> bytes:
        late = self.ledger.wire(b"%d:%d:too late" % (self.number, self.made)) * 3
        if self.ledger.framing == "line":
            return b"x" * (LIMIT + 1) + b"\n" + late
        return pack("!I", chance.choice((LIMIT + 1, 2**31 - 1, 2**32 - 1))) + late

    def end(self, exact: bool) -> None:
        self.ended = True
        self.exact = exact
        if not exact:
            self.ledger.lost_tiny += self.own_tiny
            complete = self.complete - self.made + len(self.expected)  # of those that are expected
            self.ledger.owed -= sum(size for _, _, size in list(self.expected)[:complete])
            self.ledger.reset.append(self.number)
        if not self.expected:
            self.ledger.sources.pop(self.number, None)


class FramedReader:
    def __init__(self, ledger: FramedLedger, oracle: bool, gaps: bool, replay: int) -> None:
        self.ledger = ledger
        self.oracle = oracle
        self.gaps = gaps
        self.received = 0
        self.part = bytearray()
        self.at = ledger.gone + max(0, len(ledger.order) - replay)  # in the oracle's order, at least
        self.placed = False
        self.closed = False
        self.waiting: deque[tuple[int, bool]] = deque()  # messages to compare: their hashes, and if they have a number
        if not oracle:
            ledger.readers.add(self)

    def feed(self, data: bytes) -> None:
        self.received += len(data)
        self.part += data
        messages = self.ledger.split(self.part)
        if self.oracle:
            for message in messages:
                self.ledger.came(message)
            if messages:
                self.ledger.settle()
            return
        for message in messages:
            named = re.match(rb"\d+:\d+:", message) is not None
            assert named or message in TINY, f"nobody sent {message[:40]!r}"
            self.waiting.append((hash(message), named))
        self.compare()

    def compare(self) -> None:
        """Everything that it got has to follow each other in the oracle's order, as far as the oracle is."""
        order, gone = self.ledger.order, self.ledger.gone
        while self.waiting and self.at < gone + len(order):
            digest, named = self.waiting[0]
            if self.placed and order[self.at - gone] == digest:
                self.at += 1
            elif named and (self.gaps or not self.placed):
                try:
                    self.at = gone + order.index(digest, self.at - gone) + 1
                except ValueError:
                    return  # the oracle is not so far yet; if it never is, `check_end` says so
                self.placed = True
            else:
                assert self.gaps or not self.placed, "a message is not the one that follows"
            self.waiting.popleft()

    def close(self) -> None:
        self.closed = True  # what it got last, the oracle may get next


WHEEL = 32
SLOTS = 8
NOISE = SLOTS - 1
TURNS = [bytes(range(slot * WHEEL, (slot + 1) * WHEEL)) * (2 * 2**20 // WHEEL) for slot in range(SLOTS)]
RUNS = re.compile(b"|".join(b"[%s-%s]+" % (re.escape(turn[:1]), re.escape(turn[31:32])) for turn in TURNS), re.DOTALL)


class RawLedger:
    """`raw`: the bytes of each publisher, in order. The last slot is for those that are reset: anything may be lost."""

    def __init__(self) -> None:
        self.owed = 0
        self.messages = 0
        self.sent = [0] * SLOTS
        self.came = [0] * SLOTS
        self.free = list(range(NOISE))

    def source(self) -> RawSource:
        return RawSource(self, self.free.pop(0) if self.free else NOISE)

    def reader(self, oracle: bool, gaps: bool = False, replay: int = 0) -> RawReader:
        return RawReader(self, oracle, gaps)

    def check_end(self) -> None:
        assert self.came[:NOISE] == self.sent[:NOISE], f"{self.came} of {self.sent} bytes came"


class RawSource:
    def __init__(self, ledger: RawLedger, slot: int) -> None:
        self.ledger = ledger
        self.slot = slot
        self.may_reset = slot == NOISE
        self.made = ledger.sent[slot]

    def produce(self, chance: random.Random) -> bytes:
        size = chance.choice((1, 10, 1000, 1000 if self.may_reset else chance.randrange(1, 100_000)))
        start = self.made % WHEEL
        self.made += size
        return TURNS[self.slot][start : start + size]

    def sent(self, more: int) -> None:
        self.ledger.sent[self.slot] += more
        if self.slot != NOISE:
            self.ledger.owed += more

    def begun(self, chance: random.Random) -> bytes:
        return b""

    def bad(self, chance: random.Random) -> bytes:
        return b""

    def end(self, exact: bool) -> None:
        if self.slot != NOISE:
            self.ledger.free.append(self.slot)


class RawReader:
    def __init__(self, ledger: RawLedger, oracle: bool, gaps: bool) -> None:
        self.ledger = ledger
        self.oracle = oracle
        self.gaps = gaps
        self.received = 0
        self.next: dict[int, int] = dict.fromkeys(range(SLOTS), 0) if oracle else {}

    def feed(self, data: bytes) -> None:
        self.received += len(data)
        for run in RUNS.findall(data):
            slot, first = divmod(run[0], WHEEL)
            if slot == NOISE:
                continue
            due = first if self.gaps else self.next.get(slot, first)
            assert self.gaps or run == TURNS[slot][due : due + len(run)], f"publisher {slot}: bytes lost or repeated"
            self.next[slot] = (due + len(run)) % WHEEL
            if self.oracle:
                self.ledger.came[slot] += len(run)
                self.ledger.owed -= len(run)
                self.ledger.messages += 1
                assert self.ledger.came[slot] <= self.ledger.sent[slot], "more came than was sent"

    def close(self) -> None:
        """Nothing is waited for."""
