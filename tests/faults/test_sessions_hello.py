"""Hellos that are wrong, or only look so, or are none at all, at both ports, beside a healthy pair of peers."""

from __future__ import annotations

import json
import random
import socket
import time
from contextlib import ExitStack, suppress
from struct import pack

import pytest

from tests.kit.healthy import MARK, Healthy
from tests.kit.peers import connection
from tests.kit.process import DEADLINE, Relay
from tests.kit.resets import reset
from tests.kit.session_wires import CONTROL, READ, Control, TcpWire

pytestmark = pytest.mark.alone

ROLES = ["publish", "subscribe"]
MOST = 4096
"""Bytes of a control frame, at most."""


def framed(body: bytes | str) -> bytes:
    """A control frame with any text."""
    body = body if isinstance(body, bytes) else body.encode()
    return pack("!I", CONTROL + len(body)) + body


def hello(role: str, **values: object) -> bytes:
    return framed(json.dumps({"relay": 1, "type": role, **values}))


def literal(role: str, more: str) -> bytes:
    """A hello with `more` JSON in it, as it is."""
    return framed(f'{{"relay":1,"type":"{role}",{more}}}')


def padded(text: str, size: int = MOST) -> bytes:
    return framed(text.ljust(size))


NO_NUMBERS: list[object] = ["x", "1", "", [], {}, [1], True, False, -1, -0.5]
BAD: dict[str, list[object]] = {
    "heartbeat": [*NO_NUMBERS, 0.5, 0.999, 3600.1, 10**30, -(10**30)],
    "name": [1, 1.5, True, False, [], {}, ["x"], "x" * 129, "a\nb", "\0", "\x7f", "\ud800", "\u2028", "x" * 4000],
}
BAD_STARTS: dict[str, list[object]] = {
    "after": [
        *NO_NUMBERS,
        *(17, "abc", "abc-", "-1", "ABC-1", "g-1", "abc-01", "abc--1", "abc- 1", "abc-1\n", "abc-\u0661", "\ud800-1"),
        *("a" * 33 + "-1", "abc-" + "9" * 19, "x" * 4000, "\x01" * 600, "\u20ac" * 600, "\\" * 1990),
    ],
    "replay": [*NO_NUMBERS, 1.0, 1.5, 10**18, 10**30],
    "since": [*NO_NUMBERS, 1e18, 10**30, "2026-11-25", "2026-11-25T08:30:00", "yesterday", "2026-13-01T00:00:00Z"],
}
BAD_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 3900, "1" + "0" * 3900, "1e99999999", "0x10"]
KINDS: list[object] = [1, None, ["subscribe"], {}, True]
VERSIONS: list[object] = [0, 2, -1, 1.0, "1", True, [1], {}, None, 10**30]


def broken(role: str) -> list[bytes]:
    """What is no valid hello for `role`, though its header says that it is a control frame."""
    other = ROLES[role == ROLES[0]]
    bad = BAD | BAD_STARTS if role == "subscribe" else BAD
    return [
        *(framed(byte) for byte in (b"", b"{", b"}", b"[", b"1", b'"', b" ", b"\0", b"\xff", b"\x80", b"n")),
        *(padded(text) for text in ("", "{", "[]", "{}", "1", '"x"', "null", '{"relay": 1}', "\0")),
        *(framed(text * MOST) for text in ("[", "{", "9", "x")),
        *(framed("[" * 2000 + "]" * 2000), framed('{"a":' * 600 + "1" + "}" * 600)),
        literal(role, '"deep":' + "[" * 2000 + "]" * 2000),
        *(literal(role, f'"{key}":' + "[" * depth + "]" * depth) for key in bad for depth in (100, 400, 600, 900)),
        *(framed(b'{"relay":1,"type":"%b"}' % wrong) for wrong in (b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xe2\x82")),
        *(framed(json.dumps({"relay": 1, "type": role}).encode(code)) for code in ("utf-16", "utf-32", "utf-8-sig")),
        *(
            literal(role, twice)
            for twice in ('"relay":1', f'"type":"{role}"', '"name":"a","name":"a"', '"x":{"y":1,"y":1}')
        ),
        *(framed(f'{{"type":"{role}"}}'), framed('{"relay":1}'), framed("{'relay':1}"), hello(role)[:-1] + b",}"),
        *(framed(json.dumps({"relay": version, "type": role})) for version in VERSIONS),
        *(hello(kind) for kind in ("", role.upper(), role + " ", "welcome", "ack", other)),
        *(framed(json.dumps({"relay": 1, "type": kind})) for kind in KINDS),
        *(hello(role, **{key: value}) for key, values in bad.items() for value in values),
        *(literal(role, f'"heartbeat":{number}') for number in BAD_NUMBERS),
        *(literal(role, f'"replay":{number}') for number in BAD_NUMBERS if role == "subscribe"),
        *(literal(role, f'"since":{number}') for number in BAD_NUMBERS if role == "subscribe"),
        *([hello(role, after="abc-1", replay=1), hello(role, replay=0, since=0)] if role == "subscribe" else []),
    ]


def unusual(role: str) -> list[bytes]:
    """Hellos for `role` that look strange and are valid."""
    starts: tuple[dict[str, object], ...] = (
        {"after": "a" * 32 + "-" + "9" * 18},
        {"after": "0-0"},
        {"after": None, "replay": None, "since": 1},
        {"replay": 0},
        {"replay": 10**18 - 1},
        {"since": 0},
        {"since": 0.001},
        {"since": 1e17},
        {"since": "2026-11-25T08:30:00.123456789+14:00"},
        {"since": "2026-11-25t08:30:00z"},
        {"since": "0001-01-01T00:00:00+23:59"},
        {"since": "9999-12-31T23:59:59-23:59"},
    )
    return [
        *(hello(role, heartbeat=beat) for beat in (0, 0.0, 1, 1.5, 3600, 3600.0, None)),
        *(hello(role, name=name) for name in ("", " ", "x" * 128, "\U0001f4e1" * 128, "\u0301", "-", '"', "\\", None)),
        *(
            literal(role, f'"new":{value}')
            for value in ("1e999", "null", "[" * 100 + "]" * 100, '"\\ud800"', '"' + "x" * 4000 + '"')
        ),
        *(padded(f' {{ "type" : "{role}",\r\n\t"relay":1 }} '), literal(role, '"\\u006eame":"a"')),
        *(hello(role, **start) for start in starts if role == "subscribe"),
    ]


def answer(peer: socket.socket) -> Control | None:
    """The control frame that comes, if one does until the connection ends; after an error nothing comes any more."""
    wire, found = TcpWire(), None
    while data := peer.recv(READ):
        for part in wire.receive(data):
            assert found is None or found["type"] == "welcome", f"{part!r} after {found}"
            if isinstance(part, dict):
                found = part
            else:
                assert part.startswith(MARK), part
        if found is not None and found["type"] == "welcome":
            return found
    assert not wire.rest, wire.rest
    return found


def port_of(relay: Relay, role: str) -> int:
    return relay.publish_port if role == "publish" else relay.subscribe_port


def test_what_is_no_valid_hello_gets_an_error_and_an_orderly_end_and_nothing_of_it_is_published() -> None:
    with Relay() as relay, Healthy(relay) as healthy:
        for role in ROLES:
            for sent in broken(role):
                with connection(port_of(relay, role)) as peer:
                    peer.sendall(sent + pack("!I", 3) + b"one")
                    said = answer(peer)
                assert said is not None and said["type"] == "error", (role, sent)
                assert said.keys() == {"type", "message"} and 10 < len(said["message"]) < 400, said
        assert healthy.stop().others == 0


def test_a_hello_that_looks_strange_and_is_valid_gets_a_welcome() -> None:
    with Relay() as relay, Healthy(relay):
        for role in ROLES:
            for sent in unusual(role):
                with connection(port_of(relay, role)) as peer:
                    peer.sendall(sent)
                    said = answer(peer)
                    assert said is not None and said["type"] == "welcome", (role, sent, said)
                    reset(peer)


def mutated(sent: bytes, chance: random.Random) -> bytes:
    """`sent` with some bytes changed, put in, taken out, or missing at the end."""
    data = bytearray(sent)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2:
                del data[at : at + chance.randrange(1, 9)]
            case 3:
                del data[at:]
    return bytes(data)


def noise(chance: random.Random) -> bytes:
    """Bytes that mean nothing; half of them begin like a control frame."""
    data = chance.randbytes(chance.randrange(1, 6000))
    return data if chance.random() < 0.5 else pack("!I", CONTROL + chance.randrange(MOST + 10)) + data


def nested(role: str, chance: random.Random) -> bytes:
    """A hello that is nested about as deeply as Python's parser allows."""
    depth, (begin, end) = chance.randrange(900, 1010), chance.choice((("[", "]"), ('{"":', "}")))
    key = chance.choice(("new", "after", "name", "since", "type"))
    return literal(role, f'"{key}":{begin * depth}0{end * depth}')[: MOST + 4]


ANSWERS = {"welcome", "ack", "heartbeat", "gap", "bye", "error"}
"""What a relay says. Peers of one name that are there at once end each other, with a bye."""


def ends_within(peer: socket.socket, seconds: float) -> bool:
    """Whether the relay ends the connection in that time. Until then whole frames of known kinds have to come."""
    wire, until = TcpWire(), time.monotonic() + seconds
    with suppress(ConnectionResetError):
        while (left := until - time.monotonic()) > 0:
            peer.settimeout(left)
            try:
                data = peer.recv(READ)
            except TimeoutError:
                return False
            if not data:
                break
            for part in wire.receive(data):
                assert not isinstance(part, dict) or part["type"] in ANSWERS, part
        else:
            return False
    return True


def test_random_bytes_instead_of_a_hello_harm_nobody() -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)
    valid = {role: unusual(role) + [hello(role, name="map-3", heartbeat=10)] * 50 for role in ROLES}
    with Relay("--frame-timeout", "1") as relay, Healthy(relay), ExitStack() as stack:
        left = []
        for number in range(1500):
            role = chance.choice(ROLES)
            nearly = mutated(chance.choice(valid[role]), chance)
            sent = chance.choice((noise(chance), nearly, nested(role, chance)))
            peer = stack.enter_context(connection(port_of(relay, role)))
            middle = chance.randrange(len(sent) + 1)
            with suppress(BrokenPipeError, ConnectionResetError):
                peer.sendall(sent[:middle])
                peer.sendall(sent[middle:])
            left.append(peer)
            if number % 50 == 49:
                until = time.monotonic() + 0.05  # for all of them
                for each in left:
                    ends_within(each, max(0.001, until - time.monotonic()))
                    reset(each)
                left.clear()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "byte by byte"])
def test_half_hellos_are_cut_after_the_frame_timeout_also_if_bytes_keep_coming(trickle: bool, role: str) -> None:
    whole = hello(role, name="x" * 100)
    sizes = [1, 2, 3, 4, 5, 20, 60, len(whole) - 1] * 2
    with Relay("--frame-timeout", "1") as relay, Healthy(relay), ExitStack() as stack:
        peers = [stack.enter_context(connection(port_of(relay, role))) for _ in sizes]
        for peer, size in zip(peers, sizes, strict=True):
            peer.sendall(whole[:size])
        begin = time.monotonic()
        for at in range(40 if trickle else 0):
            time.sleep(0.25)
            taken = 0
            for peer, size in zip(peers, sizes, strict=True):
                if size + at + 1 < len(whole):
                    with suppress(BrokenPipeError, ConnectionResetError):
                        peer.sendall(whole[size + at : size + at + 1])
                        taken += 1
            if not taken:
                break  # all are cut that had more to say
        for peer in peers:
            assert ends_within(peer, DEADLINE)
        assert time.monotonic() - begin < 8
        relay.log.wait_for(f"{role}e?r .* disconnected: frame timeout", len(sizes))
