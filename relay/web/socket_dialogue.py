"""The dialogue of a WebSocket: pings are answered, and both sides say why they end."""

from __future__ import annotations

from contextlib import suppress

from relay.net.tcp import SubscriberTransport
from relay.peers.subscriber import Subscriber
from relay.web.websocket import Input, close
from relay.wire.close_reason import CloseReason

READ = 4096
"""Bytes read at once from a peer that has nothing to say."""
MAX_INPUT = 8192
"""Bytes that a peer may send in a second, which are thrown away: more is read in the next one. That many bytes of the
smallest frames take some 20 ms to look at."""


class SocketDialogue:
    """Reads what the peer sends, little at a time, and throws it away but for pings and the end."""

    def __init__(self, head: bytes) -> None:
        """`head`: the response to the opening handshake."""
        self._head = head
        self._input = Input()
        self._read = 0  # bytes since the last sweep
        self._pong = b""  # the answer to the latest ping, while another waits to be sent

    def begin(self, subscriber: Subscriber) -> None:
        if isinstance(subscriber.link, SubscriberTransport):
            subscriber.link.bufferSize = READ

    def greeting(self, first: int) -> bytes:
        return self._head

    def farewell(self, reason: CloseReason) -> bytes:
        return close(reason)

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        if subscriber.lifecycle.ending:
            return
        self._read += len(data)
        if self._read >= MAX_INPUT:
            subscriber.link.pauseProducing()
        pong, closed = self._input.receive(data)
        if pong:
            self._answer(subscriber, pong)
        if closed is not None:
            subscriber.leave(closed.reason, closed.answer, closed.why)

    def _answer(self, subscriber: Subscriber, pong: bytes) -> None:
        """Send it as soon as the peer is not in the middle of a message. One answer waits at most: the latest."""
        self._pong = b"" if subscriber.insert(pong) else pong

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """Tell the peer why, if it takes that at once."""
        if isinstance(subscriber.link, SubscriberTransport):
            with suppress(OSError):
                subscriber.link.send(subscriber.rest() + close(reason))

    def sweep(self, subscriber: Subscriber) -> None:
        if self._read >= MAX_INPUT:
            subscriber.link.resumeProducing()
        self._read = 0
        if self._pong:
            self._answer(subscriber, self._pong)
