"""Framings as simple as the protocol's page allows, and streams with which to try them and the real ones.

The models know when a message is complete and when it is too long, and nothing else.
"""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.counted import Int16, Int32
from relay.wire.delimited import Cr, Line, Nul
from relay.wire.digits import Netstring, Octet
from relay.wire.framing import Framing
from relay.wire.varint import Varint


class Model:
    """A stream that is read a byte at a time. `whole` says whether the bytes so far are a message, and may refuse."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.part = b""
        self.refused = False
        self.length: int | None = None

    def whole(self) -> bool:
        raise NotImplementedError

    def receive(self, chunk: bytes) -> list[bytes]:
        """The messages that a chunk completes, as they are on the wire."""
        found = []
        for byte in chunk:
            if self.refused:
                break
            self.part += bytes([byte])
            if self.whole():
                found.append(self.part)
                self.part, self.length = b"", None
        return found


class NaiveCounted(Model):
    width = 4

    def whole(self) -> bool:
        if len(self.part) < self.width:
            return False
        self.length = int.from_bytes(self.part[: self.width], "big")
        self.refused = self.length > self.limit
        return len(self.part) == self.width + self.length


class NaiveInt16(NaiveCounted):
    width = 2


class NaiveVarint(Model):
    def whole(self) -> bool:
        head = [byte for at, byte in enumerate(self.part) if all(before >= 0x80 for before in self.part[:at])]
        if all(byte >= 0x80 for byte in head):
            self.refused = len(head) == 5
            return False
        self.length = sum((byte % 0x80) * 0x80**at for at, byte in enumerate(head))
        self.refused = self.length > self.limit
        return len(self.part) == len(head) + self.length


class NaiveDigits(Model):
    mark, trailer, shortest = b" ", b"", 1

    def whole(self) -> bool:
        digits, mark, rest = self.part.partition(self.mark)
        least = b"1" if self.shortest else b"0"
        number = digits.isdigit() and len(digits) <= 10 and (digits == b"0" or digits[:1] > b"0") and digits >= least
        if not mark or not number:
            self.refused = not number
            return False
        self.length = int(digits)
        self.refused = self.length > self.limit
        if len(rest) < self.length + len(self.trailer):
            return False
        if not self.part.endswith(self.trailer):
            self.refused, self.length = True, None
        return not self.refused


class NaiveNetstring(NaiveDigits):
    mark, trailer, shortest = b":", b",", 0


class NaiveLine(Model):
    delimiter = b"\n"

    def whole(self) -> bool:
        self.refused = len(self.part) > self.limit and not self.part.endswith(self.delimiter)
        return self.part.endswith(self.delimiter)


class NaiveCr(NaiveLine):
    delimiter = b"\r"


class NaiveNul(NaiveLine):
    delimiter = b"\0"


MODELS: dict[type[Framing], type[Model]] = {
    Int32: NaiveCounted,
    Int16: NaiveInt16,
    Varint: NaiveVarint,
    Octet: NaiveDigits,
    Netstring: NaiveNetstring,
    Line: NaiveLine,
    Cr: NaiveCr,
    Nul: NaiveNul,
}
limits = st.integers(1, 60)


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """`stream` in chunks of those sizes, again and again; whole without any."""
    chunks = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)] if sizes else len(stream)
        chunks.append(stream[at : at + size])
        at += size
        turn += 1
    return chunks


# Chunks of one byte, of a header, of a header and a little, and of everything are all likely.
chunkings = st.lists(st.one_of(st.integers(1, 9), st.integers(1, 300)), max_size=12)


@st.composite
def streams(draw: st.DrawFn, kind: type[Framing]) -> tuple[int, bytes]:
    """A limit, and a stream that is mostly whole messages, in runs of one length, with anything in between."""
    limit = draw(limits)
    payload = st.one_of(st.binary(max_size=limit), st.just(b"x" * limit), st.just(b"x"), st.just(b""))
    message = payload.map(lambda payload: payload.replace(getattr(kind, "delimiter", b""), b"x"))
    if kind is Octet:
        message = message.map(lambda message: message or b"x")
    run = st.builds(lambda message, times: kind.frame(message) * times, message, st.sampled_from([1, 1, 2, 9, 40]))
    long = st.sampled_from([limit + 1, limit + 2, 2 * limit + 9]).map(lambda length: kind.frame(b"x" * length))
    head = st.sampled_from(HEADS.get(kind, [b""]))
    nearly = st.sampled_from([b"\n", b"\r", b"\0", b"\r\n", b"0", b"0:", b"9 ", b"1:x", b"10", b"\x80\0"])
    part = st.one_of(run, run, run, run, run, st.binary(max_size=9), long, head, nearly)
    return limit, b"".join(draw(st.lists(part, max_size=12)))


HEADS: dict[type[Framing], list[bytes]] = {
    Int32: [pack("!I", length) for length in (2**31 - 1, 2**32 - 1)],
    Int16: [pack("!H", length) for length in (2**15, 2**16 - 1)],
    Varint: [b"\xff\xff\xff\xff\x0f", b"\x80" * 5],
    Octet: [b"4294967295 ", b"9999999999 ", b"12345678901 "],
    Netstring: [b"4294967295:", b"9999999999:", b"12345678901:"],
}
"""Heads of messages that are much too long, or none."""


class FramingTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def choose(self, thorough: bool) -> None:
        self.settings = settings(max_examples=MANY if thorough else SOME)


SOME, MANY = 40, 1000
"""Random streams that are tried with each framing; `MANY` with `--thorough`."""
