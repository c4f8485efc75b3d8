"""The dialogue of a WebSocket: pings are answered, and both sides say why they end. It may carry a session."""

from __future__ import annotations

from functools import partial

from relay.core.chores import Lane, at_once
from relay.core.cursor import Lag
from relay.net.received import Received
from relay.net.tcp import SubscriberTransport
from relay.peers.subscriber import Subscriber
from relay.peers.subscriber_session import SubscriberSession
from relay.web.keep_alive import KeepAlive
from relay.web.websocket import Input, close
from relay.wire.close_reason import CloseReason
from relay.wire.websocket import PING

INPUT_READ = 1024
"""Bytes read, and looked at, at once: a subscriber has little to say. Of the smallest frames they take some 3 ms."""
MAX_INPUT = 8192
"""Bytes after which a peer is not read again before the next sweep, a second later at most."""


class SocketDialogue:
    """Reads little at a time of what the peer sends. Answers pings, notices the end, and discards the rest.

    It sends pings of its own when there is nothing else, and needs no answer to them.
    """

    def __init__(self, head: bytes, session: SubscriberSession | None = None, inputs: Lane = at_once) -> None:
        """`head`: the response to the opening handshake. `session`: the peer's; None if it asked for none.

        `inputs`: where looking at what the peer sends takes its turn.
        """
        self._head = head
        self._inputs = inputs
        self._received: Received | None = None  # set when the subscriber begins
        self._session = session
        self._input = Input()
        self._read = 0  # bytes since the last sweep
        self._keep_alive = KeepAlive(PING)
        self._pong = b""  # the answer to the latest ping, until it can be sent

    def begin(self, subscriber: Subscriber) -> None:
        if isinstance(subscriber.link, SubscriberTransport):
            subscriber.link.bufferSize = INPUT_READ
        self._received = Received(self._inputs, subscriber.link, partial(self._look_at, subscriber), INPUT_READ)
        if self._session is not None:
            self._session.begin(subscriber)

    def greeting(self, first: int) -> bytes:
        return self._head + (b"" if self._session is None else self._session.welcome(first))

    def farewell(self, reason: CloseReason) -> bytes:
        return (b"" if self._session is None else self._session.bye(reason)) + close(reason)

    def received(self, subscriber: Subscriber, data: bytes) -> None:
        if self._received is not None:
            self._received.receive(data)

    def _look_at(self, subscriber: Subscriber, data: bytes) -> None:
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
        """Send `pong` as soon as the peer is not in the middle of a message. At most one waits: the latest."""
        self._pong = b"" if subscriber.insert(pong) else pong

    def skipped(self, gap: Lag, first: int, again: bool) -> bytes:
        return b"" if self._session is None else self._session.gap(gap, first, again)

    def cut(self, subscriber: Subscriber, reason: CloseReason) -> None:
        """Tell the peer `reason`, if its transport takes that at once; nothing before its handshake was answered."""
        if subscriber.source.subscription is not None:
            subscriber.last_word(self.farewell(reason))

    def sweep(self, subscriber: Subscriber) -> None:
        if self._read >= MAX_INPUT:
            subscriber.link.resumeProducing()
        self._read = 0
        if self._pong:
            self._answer(subscriber, self._pong)
        self._keep_alive.sweep(subscriber)

    def ended(self) -> None:
        if self._received is not None:
            self._received.drop()
        if self._session is not None:
            self._session.stop()
