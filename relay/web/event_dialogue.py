"""The dialogue of server-sent events: an HTTP response that does not end. Who comes back is told what it missed."""

from __future__ import annotations

from relay.peers.subscriber import Subscriber
from relay.web.request import ALWAYS
from relay.wire.close_reason import CloseReason
from relay.wire.events import chunk
from relay.wire.position import Position


def stream_head(headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The head of a response that is a stream of events, in chunks. `headers`: names and values of additional ones."""
    every = (
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X-Accel-Buffering", "no"),  # nginx would keep events until it has a few kilobytes of them
        *ALWAYS,
        *headers,
    )
    return b"".join([b"HTTP/1.1 200 OK\r\n", *(f"{name}: {value}\r\n".encode() for name, value in every), b"\r\n"])


class EventDialogue:
    """Tells a browser what it missed, and nothing after that."""

    def __init__(self, head: bytes, epoch: str, wanted: int | None, missed: bool | None) -> None:
        """Begin with the head of the response.

        `epoch`: that of the messages' positions. `wanted`: position of the message that the peer wants first, None for
        the next. `missed`: whether the messages before the first that it gets are lost to it; None if nobody can know.
        """
        self._head = head
        self._epoch = epoch
        self._wanted = wanted
        self._missed = missed

    def begin(self, subscriber: Subscriber) -> None:
        """There is nothing to prepare."""

    def greeting(self, first: int) -> bytes:
        start = f"retry: 1000\nid: {Position(self._epoch, first - 1)}\n"
        if self._missed is None:
            start += "event: restarted\ndata: the relay was restarted: it is not known how many messages are lost\n"
        elif self._missed and self._wanted is not None and first > self._wanted:
            start += f"event: lost\ndata: {first - self._wanted}\n"
        return self._head + chunk(f"{start}\n".encode())

    def farewell(self, reason: CloseReason) -> bytes:
        return chunk(b"")

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        """There is nothing to be said after a request."""

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """The missing last chunk says it."""

    def sweep(self, subscriber: Subscriber) -> None:
        """There is nothing to do."""
