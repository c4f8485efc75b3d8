"""A WebSocket client for tests, as the package websockets has it, and one that may do what that refuses to."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Self, TypeVar

from websockets.datastructures import Headers
from websockets.frames import CLOSE, PING, PONG, Close, CloseCode, Frame
from websockets.http11 import Response
from websockets.streams import StreamReader
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websockets_connect
from websockets.utils import accept_key

from tests.kit.frames import legal
from tests.kit.process import DEADLINE, Relay, roomy

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
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
