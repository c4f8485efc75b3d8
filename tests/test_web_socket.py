"""Subscribers by WebSocket on the wire: to each thing that a peer may send, what RFC 6455 says must come of it.

The peer's side is that of the package websockets, which nobody here wrote. What a proper client refuses to send goes
over a plain socket, and what comes back is taken apart by websockets' strict parser of frames.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from struct import pack, unpack
from typing import Any, Self, TypeVar

import pytest
from playwright.sync_api import sync_playwright
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, Close, CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.streams import StreamReader
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websockets_connect
from websockets.utils import accept_key

from tests.fakes import frame
from tests.process import DEADLINE, Relay, roomy
from tests.test_web import metric, relay, rows, wait_until

CHROMIUM = Path("/usr/bin/chromium")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\xa5\x00\x3c\xff"
MOST = 4096  # bytes of a message from a peer
T = TypeVar("T")
PRESENT = 'relay_connections{feed="ws",role="subscriber"}'


def request(port: int, line: str = "GET /ws HTTP/1.1", **changes: str | None) -> bytes:
    """An opening handshake; `changes` are headers, None to leave one out."""
    headers: dict[str, str | None] = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": KEY,
        "Sec_WebSocket_Version": "13",
        **changes,
    }
    lines = [line, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def raw(first: int, payload: bytes = b"", announced: bytes | None = None) -> bytes:
    """A frame that need not be one: its first byte, and the bytes that tell the length, with the bit for the mask."""
    if announced is None:
        size = len(payload)
        announced = bytes([0x80 | size]) if size < 126 else pack("!BH", 0xFE, size)
    return bytes([first]) + announced + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def legal(opcode: Opcode, payload: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def closing(code: int, reason: bytes = b"") -> bytes:
    return raw(0x88, pack("!H", code) + reason)


class Wire:
    """A plain connection."""

    def __init__(self, peer: socket.socket) -> None:
        self.socket = peer
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._came = StreamReader()
        self._bytes = 0

    @classmethod
    def subscribed(cls, port: int, path: str = "/ws", room: int | None = None, behind: bytes = b"") -> Self:
        """One that has shaken hands; `behind` is sent together with the request."""
        wire = cls(socket.create_connection(("127.0.0.1", port), DEADLINE) if room is None else roomy(port, room))
        wire.send(request(port, f"GET {path} HTTP/1.1") + behind)
        status, headers = wire.head()
        assert (status, headers["Sec-WebSocket-Accept"]) == (101, accept_key(KEY))
        return wire

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def deliver(self, data: bytes, whole: bool) -> None:
        """Send it at once, or so that the relay reads little at a time; it may be over before all is sent."""
        size = len(data) if whole else max(1, len(data) // 200)
        with suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(data), size):
                self.send(data[at : at + size])

    def _parsed(self, parser: Generator[None, None, T]) -> tuple[T, int]:
        """What that parser makes of what comes, and how many bytes it took."""
        before = self._bytes - len(self._came.buffer)
        while True:
            try:
                next(parser)
            except StopIteration as done:
                return done.value, self._bytes - len(self._came.buffer) - before
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._bytes += len(data)
            self._came.feed_data(data)

    def head(self) -> tuple[int, Headers]:
        """Of the answer to a request."""
        answer, _ = self._parsed(Response.parse(self._came.read_line, self._came.read_exact, self._came.read_to_eof))
        return answer.status_code, answer.headers

    def receive(self) -> Frame:
        """The next frame, which is not masked, and tells its length in as few bytes as can be."""
        found, size = self._parsed(Frame.parse(self._came.read_exact, mask=False))
        assert size == len(found.serialize(mask=False))
        return found

    def close_code(self) -> int | None:
        """Of the close frame that comes next, but for pongs, and is the last thing; None if it has none."""
        while (last := self.receive()).opcode is PONG:
            pass
        assert last.opcode is CLOSE, last
        assert (bytes(self._came.buffer), self.socket.recv(1)) == (b"", b"")
        code = Close.parse(last.data).code
        return None if code == CloseCode.NO_STATUS_RCVD else code

    def alive(self) -> None:
        """Nothing has come, and a ping is answered."""
        self.send(legal(PING, b"still there?"))
        assert self.receive() == Frame(PONG, b"still there?")


def connect(port: int, path: str = "/ws", **options: Any) -> ClientConnection:  # Any: as websockets declares them
    found = websockets_connect(f"ws://127.0.0.1:{port}{path}", proxy=None, max_size=None, **options)
    assert isinstance(found, ClientConnection)
    return found


def publisher(running: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE)


def over(reason: str) -> str:
    return f'relay_connections_closed_total{{feed="ws",reason="{reason}",role="subscriber"}}'


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
    *((400, GET, {"Host": value}) for value in (None, "\xff\xfe")),
    *((400, GET, {"Sec_WebSocket_Extensions": "\xff"}), (400, GET, {"Sec_WebSocket_Version": None})),
    *((426, GET, {"Sec_WebSocket_Version": value}) for value in ("8", "14", "thirteen")),  # section 4.4
    (400, GET, {"Sec_WebSocket_Key": None}),
    *((400, GET, {"Sec_WebSocket_Key": value}) for value in ("", "dGhlIHNhbXBsZSBub25j", "not base64 at all, no no")),
    *((405, "POST /ws HTTP/1.1", NOTHING), (404, "GET /ws/ HTTP/1.1", NOTHING)),
    *((400, f"GET /ws?replay={value} HTTP/1.1", NOTHING) for value in ("x", "-1", "1.5", "", "%C2%B2")),
    # Its own pages, also where a proxy speaks TLS for it, and those of --web-origin
    *((101, GET, {"Origin": value}) for value in ("http://HOST", "https://HOST", "https://example.org")),
    *((403, GET, {"Origin": value}) for value in ("http://example.org", "https://example.org:444", "http://HOST0")),
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
            assert peer.recv(100) in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")


HALF = legal(TEXT, b"a", fin=False)  # the beginning of a message
IGNORED: list[tuple[bytes, list[bytes]]] = [  # what is sent, and the pongs that answer it
    *((legal(PING, payload), [payload]) for payload in (b"", b"ping", bytes(125))),
    (b"\x89\x81" + bytes(4) + b"p", [b"p"]),  # the mask is all zeros
    (legal(PONG, b"nobody asked for it") + legal(PONG), []),
    *((legal(TEXT, "\u20ac".encode()) + legal(TEXT), []), (legal(BINARY, b"\xff") + legal(BINARY), [])),
    (legal(BINARY, bytes(MOST)) + legal(TEXT, bytes(MOST)), []),
    (legal(BINARY, bytes(MOST // 8)) * 15, []),
    (HALF + legal(CONT, b"b", fin=False) + legal(CONT), []),
    (legal(BINARY, bytes(MOST // 2), fin=False) + legal(CONT, bytes(MOST // 2)), []),
    (legal(TEXT, b"\xe2\x82", fin=False) + legal(CONT, b"\xac"), []),  # one character
    (HALF + legal(PING, b"p") + legal(CONT, b"b"), [b"p"]),
    (legal(TEXT, b"\xe2", fin=False) + legal(PONG) + legal(CONT, b"\x82\xac"), []),
]


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


CONTROL = (0x8, 0x9, 0xA)
NOT_UTF_8 = (b"\xff", b"a\xe2\x82", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80")  # RFC 3629
ENDS: list[tuple[int | None, bytes]] = [  # with which code of a close it is answered, and what is sent
    *((code, closing(code)) for code in (1000, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999)),
    *((None, raw(0x88)), (1000, closing(1000, "\u20ac".encode() * 41)), (1000, HALF + closing(1000))),
    (1001, legal(PING) * 50 + legal(BINARY, b"x") * 50 + closing(1001)),
    # Closes that none may send (section 7.4)
    *((1002, closing(code)) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    *((1002, raw(0x88, b"\x03")), (1007, closing(1000, b"\xff")), (1007, closing(1000, b"\xe2\x82"))),
    # Without a mask (section 5.1)
    *((1002, Frame(code, b"\x03\xe8").serialize(mask=False)) for code in (TEXT, BINARY, PING, CLOSE)),
    # Reserved bits and opcodes, and what a control frame cannot be (sections 5.2 and 5.5)
    *((1002, raw(first | bit)) for first in (0x82, 0x89) for bit in (0x40, 0x20, 0x10)),
    *((1002, raw(0x80 | code, b"x")) for code in (*range(3, 8), *range(11, 16))),
    *((1002, raw(code)) for code in CONTROL),
    *((1002, raw(0x80 | code, bytes(126))) for code in CONTROL),
    # Fragments (section 5.4)
    *((1002, legal(CONT, b"x")), (1002, legal(CONT, fin=False)), (1002, HALF + legal(CONT) + legal(CONT))),
    *((1002, HALF + legal(TEXT, b"b")), (1002, HALF + legal(BINARY, b"b", fin=False))),
    # Text (section 8.1)
    *((1007, legal(TEXT, text)) for text in NOT_UTF_8),
    (1007, HALF + legal(CONT, b"\xe2") + legal(CONT, b"a")),
    # Lengths (section 5.2): as short as can be, and the first bit is 0
    *((1009, legal(BINARY, bytes(MOST + 1))), (1009, legal(BINARY, bytes(65536)))),
    (1009, legal(TEXT, "\u20ac".encode() * (MOST // 3 + 1))),
    (1009, legal(BINARY, bytes(MOST), fin=False) + legal(CONT, b"x", fin=False)),
    (1009, raw(0x82, bytes(MOST + 1), b"\xff" + pack("!Q", 2**63 - 1))),
    (1002, raw(0x82, b"x", b"\xff" + pack("!Q", 2**63))),
    *((1002, raw(0x82, b"x", b"\xfe\x00\x01")), (1002, raw(0x82, bytes(126), b"\xff" + pack("!Q", 126)))),
]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in pieces"])
@pytest.mark.parametrize(("code", "sent"), ENDS, ids=[f"{sent[:10].hex()}-{code}" for code, sent in ENDS])
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
        wait_until(port, PRESENT, 0)
        assert "Traceback" not in relay_.log.text


# Messages

SIZES = (0, 1, 125, 126, 127, 65535, 65536, 99999, 0)


@pytest.mark.parametrize("framing", ["int32", "line", "raw"])
def test_messages_come_whole_and_in_order_each_in_the_shortest_frame(framing: str) -> None:
    messages = [b"%d" % number * size for number, size in enumerate(SIZES)]
    with relay("--framing", framing) as (relay_, port), publisher(relay_) as publishing, connect(port) as client:
        assert client.protocol.extensions == []  # it offers compression
        with Wire.subscribed(port) as wire:
            for message in messages:
                publishing.sendall({"int32": frame(message), "line": message + b"\n", "raw": message}[framing])
                if framing == "raw":  # a message is what was read at once
                    parts: list[bytes] = []
                    while len(b"".join(parts)) < len(message):
                        parts.append(bytes(wire.receive().data))
                    assert b"".join(parts) == message
                    assert [client.recv(DEADLINE) for _ in parts] == parts
                else:
                    assert wire.receive() == Frame(BINARY, message)
                    assert client.recv(DEADLINE) == message


TEXTS = [b"plain", "\u20ac\U0001f600".encode(), b"", b"\0\r\n"]


def test_whoever_wants_text_gets_what_is_utf_8_as_text_and_the_rest_as_it_is(running: tuple[Relay, int]) -> None:
    messages = [*TEXTS, *NOT_UTF_8, b"end"]
    expected = [*(text.decode() for text in TEXTS), *NOT_UTF_8, "end"]
    with publisher(running[0]) as publishing, connect(running[1], "/ws?text") as client, connect(running[1]) as other:
        publishing.sendall(b"".join(map(frame, messages)))
        assert [client.recv(DEADLINE) for _ in messages] == expected
        assert [other.recv(DEADLINE) for _ in messages] == messages
    with connect(running[1], f"/ws?text&replay={len(messages)}") as late:
        assert [late.recv(DEADLINE) for _ in messages] == expected


def test_a_replay_gives_the_last_messages_and_then_new_ones(running: tuple[Relay, int]) -> None:
    with publisher(running[0]) as publishing, connect(running[1]) as witness:
        publishing.sendall(b"".join(frame(b"%d" % number) for number in range(5)))
        assert [witness.recv(DEADLINE) for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        with connect(running[1], "/ws?replay=3") as three, connect(running[1], "/ws?replay=0") as none:
            publishing.sendall(frame(b"new"))
            assert [three.recv(DEADLINE) for _ in range(4)] == [b"2", b"3", b"4", b"new"]
            assert none.recv(DEADLINE) == b"new"


# Peers that are slow, or send much

SLOW = ("--send-buffer", "4KiB")


def test_who_lags_gets_its_pongs_between_messages_and_all_of_these() -> None:
    count = 200
    with relay(*SLOW) as (relay_, port), publisher(relay_) as publishing, Wire.subscribed(port, room=4096) as wire:
        publishing.sendall(b"".join(frame(pack("!I", number) + bytes(10_000)) for number in range(count)))
        wait_until(port, "relay_published_messages_total", count)
        wait_until(port, 'relay_subscribers{state="lagging"}', 1)
        wire.send(legal(PING, b"0"))
        pongs: list[int] = []  # how many messages came before each
        seen = 0
        while seen < count:
            came = wire.receive()
            if came.opcode is PONG:
                assert came.data == b"%d" % len(pongs)
                pongs.append(seen)
                wire.send(legal(PING, b"%d" % len(pongs)))
            else:
                assert (came.opcode, unpack("!I", came.data[:4]), len(came.data)) == (BINARY, (seen,), 10_004)
                seen += 1
            time.sleep(0.003)  # it is slow
        assert len(pongs) > 0
        assert 0 < pongs[0] < count


def test_a_flood_of_tiny_frames_is_read_slowly_and_its_peer_and_others_are_served() -> None:
    pings = b"".join(raw(0x89, pack("!I", number)) for number in range(30_000))
    size = len(pings) // 30_000
    with relay() as (relay_, port), publisher(relay_) as publishing:
        with Wire.subscribed(port) as wire, connect(port) as other:
            begin, sent, rounds, last = time.monotonic(), 0, 0, 0
            while (elapsed := time.monotonic() - begin) < 1.2:
                wire.socket.setblocking(False)
                with suppress(BlockingIOError):
                    sent += wire.socket.send(pings[sent : sent + 65536])
                wire.socket.settimeout(DEADLINE)
                rounds += 1
                publishing.sendall(frame(b"%d" % rounds))
                assert other.recv(DEADLINE) == b"%d" % rounds
                while (came := wire.receive()).opcode is PONG:
                    [last] = unpack("!I", came.data)
                assert came == Frame(BINARY, b"%d" % rounds)
        assert 0 < last * size < (elapsed + 1) * 16384


# Ends


@pytest.mark.parametrize(
    ("reason", "options", "messages"),
    [("overrun", ("--buffer", "1MiB"), 200), ("stalled", ("--stall-timeout", "1"), 40)],
    ids=["overrun", "stalled"],
)
def test_who_takes_nothing_is_cut_and_it_is_told_why(reason: str, options: tuple[str, ...], messages: int) -> None:
    with (
        relay(*SLOW, *options) as (relay_, port),
        publisher(relay_) as publishing,
        Wire.subscribed(port, room=4096),
        connect(port) as other,
    ):
        for _ in range(messages):
            publishing.sendall(frame(bytes(50_000)))
            assert other.recv(DEADLINE) == bytes(50_000)
        wait_until(port, over(reason), 1)
        [end] = rows(port, "/connections?ended")
        assert (end["role"], end["feed"], end["reason"]) == ("subscriber", "ws", reason)
        assert metric(port, PRESENT) == 1


def test_at_a_stop_the_messages_come_and_then_the_end_also_to_who_is_slow_and_pings() -> None:
    messages = [pack("!I", number) * 2500 for number in range(9)]
    with relay() as (relay_, port), publisher(relay_) as publishing:
        with connect(port) as client, Wire.subscribed(port, room=4096) as slow:
            publishing.sendall(b"".join(map(frame, messages)))
            wait_until(port, "relay_published_messages_total", len(messages))
            wait_until(port, 'relay_subscribers{state="live"}', 2)
            relay_.log.process.terminate()
            assert [client.recv(DEADLINE) for _ in messages] == messages
            with pytest.raises(ConnectionClosed) as raised:
                client.recv(DEADLINE)
            assert raised.value.rcvd == Close(1001, "shutdown")
            slow.send(legal(PING) * 3)
            assert [bytes(slow.receive().data) for _ in messages] == messages
            assert slow.close_code() == 1001
        assert relay_.log.wait_for_end() == 0


def test_more_than_the_most_connections_are_refused_and_counted() -> None:
    with relay("--max-connections", "1") as (relay_, port), connect(port) as first:
        with pytest.raises((OSError, EOFError)), socket.create_connection(("127.0.0.1", port), DEADLINE) as second:
            second.sendall(request(port))
            Wire(second).head()
        relay_.log.wait_for("subscriber .* refused: connection limit")
        wait_until(port, over("connection limit"), 1)
        assert first.ping().wait(DEADLINE)


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")
def test_a_browser_gets_messages_on_the_relays_own_page_and_not_on_others(running: tuple[Relay, int]) -> None:
    opened = """path => new Promise(resolve => {
        const socket = window.socket = new WebSocket(path);
        socket.binaryType = "arraybuffer";
        window.came = new Promise(found => socket.onmessage = ({data}) => found(
            typeof data == "string" ? [data] : Array.from(new Uint8Array(data))));
        window.over = new Promise(found => socket.onclose = ({code, wasClean}) => found([code, wasClean]));
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
    })"""
    relay_, port = running
    url = f"127.0.0.1:{port}"
    with publisher(relay_) as publishing, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        page.goto(f"http://{url}/")
        for path, expected in (("/ws", [0xE2, 0x82, 0xAC]), ("/ws?text", ["\u20ac"])):
            assert page.evaluate(opened, f"ws://{url}{path}") == "open"
            publishing.sendall(frame("\u20ac".encode()))
            assert page.evaluate("came") == expected
            page.evaluate("socket.close(1000)")
            assert page.evaluate("over") == [1000, True]
        for foreign in ("data:text/html,foreign", "about:blank"):
            page.goto(foreign)
            assert page.evaluate(opened, f"ws://{url}/ws") == "refused", foreign
        browser.close()
