"""The fuzzer's ledger: what came as it was sent is right, and whatever is lost, doubled or damaged is noticed."""

from __future__ import annotations

import random

import pytest

from tests.kit.ledger import FILLER, NOISE, TURNS, FramedLedger, FramedReader, FramedSource, RawLedger

Sent = tuple[FramedLedger, FramedSource, FramedReader, list[bytes]]


@pytest.fixture
def sent() -> Sent:
    """A publisher that sent three messages that have its name, and what they are on the wire."""
    ledger = FramedLedger("int32")
    oracle = ledger.reader(oracle=True)
    source = ledger.source()
    chance = random.Random(3)
    wire = b""
    while source.made < 3:
        more = source.produce(chance)
        wire += more
        source.sent(len(more))
    messages = [message for message in ledger.split(bytearray(wire)) if message.startswith(b"1:")]
    ledger.tiny.clear()
    return ledger, source, oracle, [ledger.wire(message) for message in messages]


def test_what_came_as_it_was_sent_is_right(sent: Sent) -> None:
    ledger, source, oracle, wire = sent
    for byte in b"".join(wire):
        oracle.feed(bytes([byte]))
    source.end(exact=True)
    ledger.check_end()
    assert ledger.messages == len(wire) >= 3
    assert ledger.owed == 0


def test_a_message_that_is_lost_is_noticed_in_the_end_or_at_the_next(sent: Sent) -> None:
    ledger, source, oracle, wire = sent
    oracle.feed(b"".join(wire[:-1]))
    source.end(exact=True)
    with pytest.raises(AssertionError, match=rf"1: \[{len(wire) - 1}\] did not come"):
        ledger.check_end()


@pytest.mark.parametrize(
    ("order", "what"),
    [([1], "where message 0 was due"), ([0, 0], "where message 1 was due"), ([1, 0], "where message 0 was due")],
    ids=["lost", "twice", "swapped"],
)
def test_messages_out_of_order_are_noticed(sent: Sent, order: list[int], what: str) -> None:
    _, _, oracle, wire = sent
    with pytest.raises(AssertionError, match=what):
        oracle.feed(b"".join(wire[place] for place in order))


def test_a_damaged_message_is_noticed(sent: Sent) -> None:
    _, _, oracle, wire = sent
    with pytest.raises(AssertionError, match="damaged"):
        oracle.feed(wire[0][:-1] + bytes([wire[0][-1] ^ 1]))


@pytest.mark.parametrize(
    ("message", "what"), [(b"7:0:x", "there is no publisher"), (b"bb", "nobody sent"), (b"what?", "nobody sent")]
)
def test_what_nobody_sent_is_noticed(sent: Sent, message: bytes, what: str) -> None:
    ledger, _, oracle, _ = sent
    with pytest.raises(AssertionError, match=what):
        oracle.feed(ledger.wire(message))


def test_a_subscriber_that_lost_its_place_in_the_stream_is_noticed(sent: Sent) -> None:
    ledger, _, _, wire = sent
    with pytest.raises(AssertionError, match=r"a message of [\d,]+ bytes"):
        ledger.reader(oracle=False, gaps=True).feed(wire[0][:-1] + wire[1][2:] + wire[2])
    with pytest.raises(AssertionError, match="nobody sent b'1x'"):
        ledger.reader(oracle=False, gaps=True).feed(ledger.wire(b"1x"))


def test_what_comes_before_it_was_completely_sent_is_noticed() -> None:
    ledger = FramedLedger("line")
    oracle = ledger.reader(oracle=True)
    source = ledger.source()
    chance = random.Random(1)
    wire = b""
    while not source.made:
        wire = source.produce(chance)
    line = next(line + b"\n" for line in wire.split(b"\n") if line.startswith(b"1:0:"))
    with pytest.raises(AssertionError, match="before it was sent"):
        oracle.feed(line)


def test_one_that_was_reset_may_have_lost_its_last_messages_and_no_others(sent: Sent) -> None:
    ledger, source, oracle, wire = sent
    source.end(exact=False)
    oracle.feed(wire[0])
    ledger.check_end()
    with pytest.raises(AssertionError, match="where message 1 was due"):
        oracle.feed(wire[2])


def test_a_tiny_message_that_is_lost_is_noticed_unless_its_publisher_was_reset() -> None:
    for exact in (True, False):
        ledger = FramedLedger("int32")
        source = ledger.source()
        chance = random.Random(1)
        while not ledger.tiny:
            source.sent(len(source.produce(chance)))
        source.expected.clear()
        source.end(exact)
        if exact:
            with pytest.raises(AssertionError, match="did not come"):
                ledger.check_end()
        else:
            ledger.check_end()


def test_a_subscriber_may_begin_anywhere_and_then_gets_what_the_oracle_got(sent: Sent) -> None:
    ledger, _, oracle, wire = sent
    early, lossy, skipping = ledger.reader(oracle=False), ledger.reader(oracle=False), ledger.reader(False, gaps=True)
    early.feed(b"".join(wire[1:]))  # before the oracle got it
    lossy.feed(wire[0] + wire[2])
    skipping.feed(wire[0] + wire[2])
    with pytest.raises(AssertionError, match="not the one that follows"):
        oracle.feed(b"".join(wire))
    ledger.readers.discard(lossy)
    ledger.settle()
    assert not early.waiting and not skipping.waiting
    late = ledger.reader(oracle=False)
    late.feed(wire[0])
    with pytest.raises(AssertionError, match="what the oracle did not"):
        ledger.check_end_of_readers()
    replaying = ledger.reader(oracle=False, replay=2)
    replaying.feed(wire[-2] + wire[-1])
    assert not replaying.waiting


def test_raw_bytes_that_are_lost_repeated_or_made_up_are_noticed() -> None:
    for data, what in (
        (TURNS[0][:50] + TURNS[0][51:60], "lost or repeated"),
        (TURNS[0][:10] + TURNS[0][:10], "lost or repeated"),
        (TURNS[0][:101], "more came than was sent"),
        (TURNS[1][:1], "more came than was sent"),
    ):
        ledger = RawLedger()
        oracle = ledger.reader(oracle=True)
        ledger.source().sent(100)
        with pytest.raises(AssertionError, match=what):
            oracle.feed(data)


def test_raw_bytes_may_be_mixed_with_those_of_others_and_with_noise() -> None:
    ledger = RawLedger()
    oracle, late = ledger.reader(oracle=True), ledger.reader(oracle=False)
    first, second = ledger.source(), ledger.source()
    first.sent(40)
    second.sent(20)
    data = TURNS[0][:30] + TURNS[1][:9] + TURNS[NOISE][5:7] + TURNS[0][30:40] + TURNS[1][9:20]
    late.feed(data[33:])
    oracle.feed(data)
    ledger.check_end()
    first.sent(1)
    with pytest.raises(AssertionError, match="bytes came"):
        ledger.check_end()


def test_the_filler_holds_what_is_hard_for_a_framing() -> None:
    assert b"\n" in FILLER
    assert b"\0" in FILLER
