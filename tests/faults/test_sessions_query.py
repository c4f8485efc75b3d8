"""Queries that ask for a session by WebSocket, or for events from some position on, and are wrong or look strange."""

from __future__ import annotations

import random
import socket
import time
from urllib.parse import quote

import pytest

from tests.kit.healthy import Healthy
from tests.kit.peers import connection
from tests.kit.resets import reset
from tests.kit.web import relay as web_relay

pytestmark = pytest.mark.alone

PATHS = ["/ws?session&", "/ws?", "/events?"]
BAD = {
    "after": ["", "1", "abc", "abc-", "-1", "ABC-1", "g-1", "abc-01", "abc-1\n", "abc-\u0661", "a" * 33 + "-1", "\0-1"],
    "replay": ["", "x", "-1", "1.5", "1e3", "+1", "9" * 19, "NaN", "[1]", "\u0661", "0x10", "x" * 4000],
    "since": [
        "",
        "yesterday",
        "-1",
        "2026-11-25",
        "2026-11-25T08:30:00",
        "2026-13-01T00:00:00Z",
        "Infinity",
        "[]",
        "{}",
    ],
    "heartbeat": ["", "x", "-1", "0.5", "3600.1", "9" * 18, "true", "null"],
    "name": ["x" * 129, "a\nb", "\0", "\x7f", "\u2028"],
}
WITHOUT_VALUE = ["after", "replay", "since", "heartbeat", "after=%zz-1"]
PAIRS = ["after=abc-1&replay=1", "replay=0&since=0", "after=abc-1&since=1", "text&heartbeat=1"]
GOOD = [
    *("after=0-0", "after=" + "a" * 32 + "-" + "9" * 18, "replay=0", "replay=" + "9" * 18, "since=0", "since=0.001"),
    *("since=2026-11-25T08%3A30%3A00.123456789%2B14%3A00", "since=2026-11-25t08:30:00z"),
    *("since=9999-12-31T23:59:59-23:59", "heartbeat=0", "heartbeat=1.5", "heartbeat=3600"),
    *("name", "name=", "name=%F0%9F%93%A1", "name=%ff", "name=%", "name=" + "x" * 128, "name=a&name=b"),
    *("", "unknown=1", "%00=1", "&&&", "=", "replay=1;since=2&replay=3"),
]


def asked(port: int, target: str) -> tuple[int, bytes]:
    """The status of the answer to a request for a stream, and what came with its head."""
    websocket = target.startswith("/ws")
    lines = (
        f"GET {target} HTTP/1.1",
        "Host: 127.0.0.1",
        *(("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13") if websocket else ()),
        *(("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",) if websocket else ("Connection: close",)),
    )
    with connection(port) as peer:
        peer.sendall("\r\n".join((*lines, "", "")).encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (data := peer.recv(65536)):
            answer += data
        status = int(answer.split(b" ", 2)[1])
        if status >= 400:
            peer.shutdown(socket.SHUT_WR)
            while data := peer.recv(65536):
                answer += data
        reset(peer)
    return status, answer.partition(b"\r\n\r\n")[2]


def test_a_query_that_makes_no_sense_gets_400_and_words() -> None:
    with web_relay() as (relay, port), Healthy(relay):
        for path in PATHS:
            texts = [f"{key}={quote(value)}" for key, values in BAD.items() for value in values]
            pairs = PAIRS if path == PATHS[0] else PAIRS[:3]
            for query in (*texts, *WITHOUT_VALUE, *pairs):
                status, words = asked(port, path + query)
                assert status == 400, (path + query, status)
                assert 10 < len(words) < 400 and words.endswith(b"\n"), (path + query, words)


def test_a_query_that_looks_strange_and_is_valid_gets_a_stream() -> None:
    with web_relay() as (relay, port), Healthy(relay):
        for path in PATHS:
            for query in GOOD:
                status, words = asked(port, path + query)
                assert status == (200 if path == PATHS[2] else 101), (path + query, status, words)


def test_random_queries_harm_nobody() -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)
    with web_relay() as (relay, port), Healthy(relay):
        for _ in range(1500):
            query = bytearray(f"{chance.choice((*BAD, *PAIRS, *GOOD))}={chance.randrange(10**6)}".encode())
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(query) + 1)
                query[at : at + chance.randrange(3)] = quote(chance.randbytes(chance.randrange(1, 4))).encode()
            status, _ = asked(port, chance.choice(PATHS) + query.decode())
            assert status in (101, 200, 400), (bytes(query), status)
