"""What subscribers by WebSocket are given, also those that are slow, and how it ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import pack, unpack

import pytest
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.frames import BINARY, PING, PONG, Close, Frame

from tests.kit.fakes import frame
from tests.kit.frames import NOT_UTF_8, legal, raw
from tests.kit.process import DEADLINE, Relay
from tests.kit.web import ask, metric, relay, rows, wait_for_metric
from tests.kit.wire import PRESENT, Wire, connect, over, publisher, request

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Relay, int]]:
    with relay("--web-origin", "https://example.org") as pair:
        yield pair
        assert pair[0].log.process.poll() is None
        assert "Traceback" not in pair[0].log.text


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
        wait_for_metric(port, "relay_published_messages_total", count)
        wait_for_metric(port, 'relay_subscribers{state="lagging"}', 1)
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
    with relay("--drain-timeout", "0") as (relay_, port), publisher(relay_) as publishing:
        with Wire.subscribed(port) as wire, connect(port) as other:
            begin, sent, rounds, last = time.monotonic(), 0, 0, 0
            while time.monotonic() - begin < 1.2:
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
            elapsed = time.monotonic() - begin
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
        wait_for_metric(port, over(reason), 1)
        [end] = rows(port, "/connections?ended")
        assert (end["role"], end["feed"], end["reason"]) == ("subscriber", "ws", reason)
        assert metric(port, PRESENT) == 1


def test_at_a_stop_the_messages_come_and_then_the_end_also_to_who_is_slow_and_pings() -> None:
    messages = [pack("!I", number) * 2500 for number in range(9)]
    with relay("--drain-timeout", "20") as (relay_, port), publisher(relay_) as publishing:
        with connect(port) as client, Wire.subscribed(port, room=4096) as slow:
            publishing.sendall(b"".join(map(frame, messages)))
            wait_for_metric(port, "relay_published_messages_total", len(messages))
            wait_for_metric(port, 'relay_subscribers{state="live"}', 2)
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
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as second:
            second.sendall(request(port))
            refused, answer = Wire(second).head()
        assert (refused, answer["Retry-After"]) == (503, "1")
        status, headers, words = ask(port, "/events")
        assert (status, headers["Retry-After"], words) == (503, "1", b"connection limit\n")
        relay_.log.wait_for("subscriber .* refused: connection limit", 2)
        wait_for_metric(port, over("connection limit"), 1)
        assert first.ping().wait(DEADLINE)


def test_who_may_not_subscribe_from_its_address_is_told_so() -> None:
    with relay("--allow-subscribers", "192.0.2.0/24") as (relay_, port):
        status, _, words = ask(port, "/events")
        assert (status, words) == (403, b"address not allowed\n")
        relay_.log.wait_for("subscriber .* refused: address not allowed")


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
