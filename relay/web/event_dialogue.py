"""The dialogue of server-sent events: an HTTP response that does not end. It begins with what a returning peer lost."""

from __future__ import annotations

from relay.peers.subscriber import Subscriber
from relay.web.request import ALWAYS
from relay.wire.close_reason import CloseReason
from relay.wire.events import chunk
from relay.wire.position import Position


def stream_head(headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """The head of a response that is a chunked stream of events. `headers`: names and values of additional headers."""
    every = (
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X-Accel-Buffering", "no"),  # otherwise nginx holds events back until it has a few kilobytes
        *ALWAYS,
        *headers,
    )
    return b"".join([b"HTTP/1.1 200 OK\r\n", *(f"{name}: {value}\r\n".encode() for name, value in every), b"\r\n"])


class EventDialogue:
    """Tells a browser at the start what it lost, and nothing more after that."""

    def __init__(self, head: bytes, epoch: str, wanted: int | None, missed: bool | None) -> None:
        """`head`: of the response.

        `epoch`: of the messages' positions. `wanted`: position of the first message that the peer wants, None for the
        next one published. `missed`: whether the peer resumes at `wanted`, so that any message between it and the first
        one that it gets is lost; None if it resumes from no position of this run, so that nobody knows what is lost.
        """
        self._head = head
        self._epoch = epoch
        self._wanted = wanted
        self._missed = missed

    def begin(self, subscriber: Subscriber) -> None:
        """Nothing has to be prepared."""

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
        """Ignore what follows the request."""

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """Nothing is sent: the missing last chunk tells the peer that the stream was cut."""

    def sweep(self, subscriber: Subscriber) -> None:
        """Nothing has to be done."""
