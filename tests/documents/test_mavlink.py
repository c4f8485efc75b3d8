"""The example of a framing of one's own, with a relay that runs it."""

from __future__ import annotations

import sys
from itertools import pairwise
from struct import pack

import pytest

from relay.wire.framing import BadFrame
from relay.wire.framings import find_framing, framing_name
from tests.kit.page import ROOT
from tests.kit.peers import connection, receive
from tests.kit.process import Relay

EXAMPLES = str(ROOT / "examples")
NAME = "mavlink:Mavlink"
HEARTBEAT = bytes(4) + b"\x02\x03\x51\x04\x03"
CHECKSUM = b"\xab\xcd"


def version_1(payload: bytes, sequence: int = 0) -> bytes:
    """A packet as https://mavlink.io/en/guide/serialization.html has it: a mark, five bytes of header, a checksum."""
    return bytes([0xFE, len(payload), sequence, 1, 1, 0]) + payload + CHECKSUM


def version_2(payload: bytes, sequence: int = 0, signed: bool = False) -> bytes:
    """The same of version 2, with the signature of 13 bytes if it is signed."""
    header = pack("<BBBBBBB", 0xFD, len(payload), signed, 0, sequence, 1, 1) + b"\0\0\0"
    return header + payload + CHECKSUM + bytes(13 * signed)


PACKETS = [
    *(version_1(HEARTBEAT), version_2(HEARTBEAT), version_2(HEARTBEAT, signed=True), version_1(b""), version_2(b"")),
    *(version_2(b"\xfd" * 255, number % 256, signed=number % 7 == 0) for number in range(500)),
    *(version_1(b"\xfe" * (number % 256), number % 256) for number in range(500)),
]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the examples is where Python looks for modules, here and in the relay."""
    monkeypatch.setenv("PYTHONPATH", EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path, EXAMPLES])


def test_it_tells_packets_apart_however_they_come() -> None:
    mavlink = find_framing(NAME)
    assert framing_name(mavlink) == NAME
    stream = b"".join(PACKETS)
    for size in (1, 7, 280, len(stream)):
        framing = mavlink(280)
        found = [one for at in range(0, len(stream), size) for one in framing.receive(stream[at : at + size])]
        assert b"".join(one.data for one in found) == stream
        assert sum(one.messages for one in found) == len(PACKETS)
    assert [stream[start:stop] for start, stop in pairwise([0, *mavlink.ends(stream)])] == PACKETS
    assert [mavlink.message(mavlink.frame(packet)) for packet in PACKETS] == PACKETS


def test_what_is_no_packet_is_refused() -> None:
    mavlink = find_framing(NAME)
    with pytest.raises(BadFrame, match="0x24 where a MAVLink packet begins"):
        mavlink(280).receive(b"$GPGGA")
    with pytest.raises(ValueError, match="whole MAVLink packet"):
        mavlink.frame(PACKETS[0][:-1])


def test_a_relay_runs_it() -> None:
    stream = b"".join(PACKETS)
    with (
        Relay("--framing", NAME) as relay,
        connection(relay.subscribe_port) as subscriber,
        connection(relay.publish_port) as publisher,
        connection(relay.publish_port) as other,
    ):
        relay.log.wait_for(f"framing {NAME}")
        relay.log.wait_for("subscriber .* connected")
        publisher.sendall(stream[:-1])
        other.sendall(b"$GPGGA,1*00\r\n")
        relay.log.wait_for("disconnected: bad frame, .*0x24 where a MAVLink packet begins; it looks like text")
        publisher.sendall(stream[-1:])
        assert receive(subscriber, len(stream)) == stream


def test_the_page_says_how_long_it_is() -> None:
    lines = (ROOT / "examples" / "mavlink.py").read_text().count("\n")
    assert 35 <= lines <= 45
    assert "in 40 lines" in (ROOT / "docs" / "framing.md").read_text()
