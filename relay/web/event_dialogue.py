"""The dialogue of server-sent events: an HTTP response that does not end. It begins with what a returning peer lost."""

from __future__ import annotations

from relay.core.cursor import Lag
from relay.core.start import Start
from relay.peers.subscriber import Subscriber
from relay.web.keep_alive import KeepAlive
from relay.web.request import ALWAYS, head
from relay.wire.close_reason import CloseReason
from relay.wire.events import chunk
from relay.wire.position import Position

COMMENT = chunk(b":\n\n")
"""What a stream carries when there is nothing to say: readers ignore a line that begins with a colon."""


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
    return head(200, every)


class EventDialogue:
    """Tells a browser at the start what it lost, and after that only, now and then, that it is still there."""

    def __init__(self, head: bytes, epoch: str, start: Start) -> None:
        """`head`: of the response. `epoch`: of the messages' positions. `start`: what the peer wants first."""
        self._head = head
        self._epoch = epoch
        self._start = start
        self._keep_alive = KeepAlive(COMMENT)

    def begin(self, subscriber: Subscriber) -> None:
        """Nothing has to be prepared."""

    def greeting(self, first: int) -> bytes:
        start = f"retry: 1000\nid: {Position(self._epoch, first - 1)}\n"
        lost = self._start.lost(first)
        if lost is None:
            start += "event: restarted\ndata: the relay was restarted: it is not known how many messages are lost\n"
        elif lost:
            start += f"event: lost\ndata: {lost}\n"
        return self._head + chunk(f"{start}\n".encode())

    def farewell(self, reason: CloseReason) -> bytes:
        return chunk(b"")

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        """Ignore what follows the request."""

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        """Nothing: the ids of the events show the gap."""
        return b""

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """Nothing is sent: the missing last chunk tells the peer that the stream was cut."""

    def sweep(self, subscriber: Subscriber) -> None:
        self._keep_alive.sweep(subscriber)

    def ended(self) -> None:
        """Nothing is held."""
