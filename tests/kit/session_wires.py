"""The bytes of sessions, by TCP and by WebSocket, written from `docs/protocol.md` alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import pack, unpack_from
from typing import Any, Protocol
from urllib.parse import urlencode

CONTROL = 0x80000000
MAX_CONTROL = 4096
"""Bytes of a control frame behind its header, at most."""
READ = 64 * 1024
"""Bytes that are read at once, at most."""
Control = dict[str, Any]  # Any: what JSON has
Part = bytes | Control
"""A message, or a control frame."""


def control(**values: object) -> bytes:
    """A control frame."""
    body = json.dumps(values).encode()
    return pack("!I", CONTROL + len(body)) + body


class TcpWire:
    """A session by TCP, as bytes."""

    def __init__(self) -> None:
        self._came = bytearray()

    @property
    def rest(self) -> bytes:
        """What is not complete."""
        return bytes(self._came)

    def hello(self, **values: object) -> bytes:
        """What a subscriber sends first."""
        return control(relay=1, type="subscribe", **values)

    def receive(self, data: bytes) -> Iterator[Part]:
        """What is complete with these bytes."""
        came = self._came
        came += data
        at = 0
        while len(came) - at >= 4:
            (header,) = unpack_from("!I", came, at)
            assert header <= CONTROL + MAX_CONTROL, f"a control frame with the header {header:#x}"
            end = at + 4 + (header & ~CONTROL)
            if len(came) < end:
                break
            body = bytes(came[at + 4 : end])
            at = end
            yield json.loads(body) if header & CONTROL else body
        del came[:at]


class WebSocketWire:
    """A session by WebSocket, as bytes."""

    def __init__(self) -> None:
        self._came = bytearray()
        self._opened = False

    def hello(self, **values: object) -> bytes:
        """The opening handshake; the query has the keys of the hello."""
        lines = (
            f"GET /ws?session&{urlencode(values)} HTTP/1.1",
            *("Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"),
            *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""),
        )
        return "\r\n".join(lines).encode()

    def receive(self, data: bytes) -> Iterator[Part]:
        """What is complete with these bytes. A close frame is nothing: the end of the stream follows."""
        self._came += data
        if not self._opened:
            head, end, rest = self._came.partition(b"\r\n\r\n")
            if not end:
                return
            if head.startswith(b"HTTP/1.1 503 "):
                raise ConnectionRefusedError("the relay stops")
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._came, self._opened = rest, True
        while (found := self._frame()) is not None:
            opcode, payload = found
            assert opcode in (1, 2, 8), opcode
            if opcode == 2:
                yield payload
            elif opcode == 1:
                yield json.loads(payload)

    def _frame(self) -> tuple[int, bytes] | None:
        """The first frame and its opcode (RFC 6455, section 5.2); None if it is not complete."""
        came, begin = self._came, 2
        if len(came) < begin:
            return None
        size = came[1]
        if size >= 126:
            begin, form = (4, "!H") if size == 126 else (10, "!Q")
            if len(came) < begin:
                return None
            (size,) = unpack_from(form, came, 2)
        if len(came) < begin + size:
            return None
        assert came[0] & 0x80, "a fragment"
        opcode, payload = came[0] & 0x0F, bytes(came[begin : begin + size])
        del came[: begin + size]
        return opcode, payload


class Wire(Protocol):
    def hello(self, **values: object) -> bytes: ...

    def receive(self, data: bytes) -> Iterator[Part]: ...
