"""Subscribers by WebSocket on the wire: to each thing that a peer may send, what RFC 6455 says must come of it.

The peer's side is that of the package websockets, which nobody here wrote. What a proper client refuses to send goes
over a plain socket, and what comes back is taken apart by websockets' strict parser of frames.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from websockets.frames import BINARY, CLOSE, PING, PONG, Close, Frame
from websockets.utils import accept_key

from tests.kit.fakes import frame
from tests.kit.frames import ENDS, IGNORED, legal, raw
from tests.kit.process import DEADLINE, Relay
from tests.kit.web import relay, wait_for_metric
from tests.kit.wire import KEY, PRESENT, Wire, publisher, request


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Relay, int]]:
    with relay("--web-origin", "https://example.org") as pair:
        yield pair
        assert pair[0].log.process.poll() is None
        assert "Traceback" not in pair[0].log.text


GET = "GET /ws HTTP/1.1"
NOTHING: Mapping[str, str | None] = {}
HANDSHAKES: list[tuple[int, str, Mapping[str, str | None]]] = [  # status, request line, other headers
    *((101, GET, NOTHING), (101, "GET /ws?text&replay=1 HTTP/1.1", NOTHING)),
    (101, GET, {"Connection": "keep-alive, Upgrade"}),
    (101, GET, {"Connection": "upgrade", "Upgrade": "WebSocket"}),
    (101, GET, {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"}),
    (101, GET, {"Sec_WebSocket_Protocol": "chat, superchat"}),
    *((400, GET, {"Upgrade": value}) for value in (None, "h2c")),
    *((400, GET, {"Connection": value}) for value in (None, "close")),
    *((status, GET, {"Host": value}) for status, value in ((400, None), (421, "\xff\xfe"))),
    *((400, GET, {"Sec_WebSocket_Extensions": "\xff"}), (400, GET, {"Sec_WebSocket_Version": None})),
    *((426, GET, {"Sec_WebSocket_Version": value}) for value in ("8", "14", "thirteen")),  # section 4.4
    (400, GET, {"Sec_WebSocket_Key": None}),
    *((400, GET, {"Sec_WebSocket_Key": value}) for value in ("", "dGhlIHNhbXBsZSBub25j", "not base64 at all, no no")),
    *((405, "POST /ws HTTP/1.1", NOTHING), (404, "GET /ws/ HTTP/1.1", NOTHING)),
    *((400, f"GET /ws?replay={value} HTTP/1.1", NOTHING) for value in ("x", "-1", "1.5", "", "%C2%B2")),
    # Its own pages, also where a proxy speaks TLS for it, and those of --web-origin
    *((101, GET, {"Origin": value}) for value in ("http://HOST", "https://HOST", "https://example.org")),
    *((403, GET, {"Origin": value}) for value in ("http://example.org", "https://example.org:444", "http://HOST0")),
    *((403, GET, {"Origin": value}) for value in ("chrome-extension://HOST", "://HOST", "HOST", "http://HOST/")),
    *((421, GET, {"Host": value}) for value in ("evil.example", "evil.example:8003", "localhost.evil.example")),
    (421, GET, {"Host": "evil.example:8003", "Origin": "http://evil.example:8003"}),  # DNS rebinding
    *((403, GET, {"Origin": value}) for value in ("https://example.org.example.net", "http://127.0.0.1", "null")),
]


@pytest.mark.parametrize(("status", "line", "headers"), HANDSHAKES)
def test_a_handshake_is_taken_or_refused(
    running: tuple[Relay, int], status: int, line: str, headers: Mapping[str, str | None]
) -> None:
    _, port = running
    changes = {name: value and value.replace("HOST", f"127.0.0.1:{port}") for name, value in headers.items()}
    with Wire(socket.create_connection(("127.0.0.1", port), DEADLINE)) as wire:
        wire.send(request(port, line, **changes))
        found, answer = wire.head()
        assert found == status
        if status == 426:
            assert answer["Sec-WebSocket-Version"] == "13"
        if status == 101:
            assert answer["Sec-WebSocket-Accept"] == accept_key(KEY)
            assert (answer["Upgrade"].lower(), answer["Connection"].lower()) == ("websocket", "upgrade")
            assert not {"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} & set(answer)
            wire.alive()


def test_a_handshake_needs_http_1_1(running: tuple[Relay, int]) -> None:
    with socket.create_connection(("127.0.0.1", running[1]), DEADLINE) as peer:
        peer.sendall(request(running[1], "GET /ws HTTP/1.0"))
        assert peer.recv(100).split()[1] == b"505"  # as of /events


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_what_is_no_request_is_no_handshake(running: tuple[Relay, int], size: int) -> None:
    garbage = random.Random(size).randbytes(size) + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running[1]), DEADLINE) as peer:
        with suppress(OSError):
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert peer.recv(100).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
@pytest.mark.parametrize(("sent", "pongs"), IGNORED, ids=range(len(IGNORED)))
def test_what_a_peer_may_send_is_ignored_and_pings_are_answered(
    running: tuple[Relay, int], sent: bytes, pongs: list[bytes], whole: bool
) -> None:
    with Wire.subscribed(running[1]) as wire:
        wire.deliver(sent, whole)
        assert [wire.receive() for _ in pongs] == [Frame(PONG, payload) for payload in pongs]
        wire.alive()


def test_of_many_pings_at_once_the_last_is_answered(running: tuple[Relay, int]) -> None:
    pings = [b"%d" % number for number in range(100)]
    with Wire.subscribed(running[1]) as wire:
        wire.send(b"".join(legal(PING, payload) for payload in pings))
        answered: list[bytes] = []
        while not answered or answered[-1] != pings[-1]:
            pong = wire.receive()
            assert pong.opcode is PONG
            answered.append(bytes(pong.data))
        assert answered == sorted(set(answered), key=pings.index)


def test_what_comes_in_one_piece_with_the_request_is_read(running: tuple[Relay, int]) -> None:
    with Wire.subscribed(running[1], behind=legal(PING, b"early")) as wire:
        assert wire.receive() == Frame(PONG, b"early")


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
@pytest.mark.parametrize(("code", "sent"), ENDS, ids=[f"{number}-{code}" for number, (code, _) in enumerate(ENDS)])
def test_a_close_is_answered_and_so_is_what_no_peer_may_send(
    running: tuple[Relay, int], code: int | None, sent: bytes, whole: bool
) -> None:
    with Wire.subscribed(running[1]) as wire:
        wire.deliver(sent, whole)
        assert wire.close_code() == code


def test_random_bytes_end_a_connection_with_a_code_or_do_not() -> None:
    source = random.Random(6455)
    frames = [raw(0x89, b"ping"), raw(0x81, b"text"), raw(0x02, bytes(300)), raw(0x80), raw(0x8A), raw(0x82, bytes(9))]
    with relay() as (relay_, port), publisher(relay_) as publishing:
        peers = [Wire.subscribed(port) for _ in range(150)]
        for number, peer in enumerate(peers):
            data = bytearray(b"".join(source.choices(frames, k=10)) if number % 3 else source.randbytes(500))
            for _ in range(number % 5):
                data[source.randrange(len(data))] = source.randrange(256)
            peer.deliver(bytes(data), whole=True)
        publishing.sendall(frame(b"message"))
        ends = []
        for peer in peers:
            with peer:
                while (came := peer.receive()).opcode is PONG:
                    pass
                assert came.opcode is CLOSE or came == Frame(BINARY, b"message")
                ends.append(Close.parse(came.data).code if came.opcode is CLOSE else None)
        assert {None, 1002} <= set(ends) <= {None, 1002, 1007, 1009}
        wait_for_metric(port, PRESENT, 0)
        assert "Traceback" not in relay_.log.text
