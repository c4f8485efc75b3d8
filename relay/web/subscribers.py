"""Subscribers of the web port: connections that began as an HTTP request, and are given a feed from then on.

They are subscribers like those of TCP in everything else. The answer to the request is the first thing in their stream,
and what ends the stream comes after a whole message.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast

from twisted.internet.interfaces import IAddress, IPushProducer

from relay.core.cursor import Lag, Tally
from relay.core.subscription import Subscription
from relay.feeds.feed import Feed, Feeds
from relay.net.tcp import SubscriberTransport
from relay.peers.connection import Accepted
from relay.peers.subscriber import Subscriber
from relay.web.websocket import Input, close
from relay.wire.close_reason import CloseReason
from relay.wire.encoding import Encoding, Events, chunk

READ = 4096
"""Bytes read at once from a peer that has nothing to say."""
INPUT = 8192
"""Bytes that a peer may send in a second, which are thrown away: more is read in the next one. So many of the smallest
frames take some 20 ms to look at."""
PATIENCE = 5
"""Sweeps, of a second each, until a peer that was told that it is over is cut."""


class WebSubscriber(Subscriber):
    """What they have in common."""

    def __init__(
        self, accepted: Accepted, address: IAddress | None, feeds: Feeds, encoding: Encoding, wanted: int | None
    ) -> None:
        """`wanted` is the position of the message to begin with, None for the next one."""
        super().__init__(accepted, address, feeds.hub, "")
        self._feeds = feeds
        self._encoding = encoding
        self._wanted = wanted
        self._feed: Feed | None = None
        self._before = Tally(0, 0, 0)  # what it was given by feeds that it is no longer a subscriber of
        self._lost = 0  # of what the feed had lost when this joined it
        self._over = 0  # sweeps since it was told that it is over

    def _attach(self) -> None:
        found = self._feeds.find(self._encoding, self._wanted)
        if found is None:
            self.abort(CloseReason.OVERRUN, "its feed is behind what it wants")
        else:
            feed, first = found
            feed.attach(self, first, self._greeting(first))

    def _greeting(self, first: int) -> bytes:
        """The answer to the request, when the first message will be the one of that position."""
        raise NotImplementedError

    def _farewell(self, reason: CloseReason) -> bytes:
        """What ends the stream, after a whole message."""
        raise NotImplementedError

    def joined(self, feed: Feed, subscription: Subscription) -> None:
        """It is a subscriber of that feed from now on."""
        if self._feed is not None:
            self._before = self.tally
        self._feed, self._hub, self.subscription, self._lost = feed, feed.hub, subscription, feed.lost

    @property
    def tally(self) -> Tally:
        lost = self._feed.lost - self._lost if self._feed else 0
        return self._before + super().tally + Tally(0, 0, lost)

    @property
    def state(self) -> str:
        return "lagging" if self._feed is None or not self._feed.live else super().state

    def lag(self, clock: Callable[[], float]) -> Lag | None:
        if self._feed is None or self.subscription is None or self.subscription.tally is not None:
            return None
        own = super().lag(clock)
        return own if self._feed.live else (own or Lag(0, 0, 0.0)) + self._feed.lag()

    def end(self, reason: CloseReason, lag: Lag) -> None:
        assert self._feed is not None
        super().end(reason, lag if self._feed.live else lag + self._feed.lag())

    def _finish(self) -> None:
        self._say(self._farewell(CloseReason.SHUTDOWN))

    def _say(self, last: bytes) -> None:
        """Send what is the last, and end our half: to close with something unread would destroy what is on its way."""
        self.transport.write(last)
        super()._finish()

    def _leave(self, reason: CloseReason, farewell: bytes, why: str = "") -> None:
        """End it after the message that it is in the middle of."""
        if self.subscription is None or self.subscription.tally is not None:
            return
        rest = self.subscription.cursor.rest()
        if self._begin_end(reason):
            self._why = why
            self._over = 1
            self._say(rest + farewell)

    def sweep(self) -> None:
        """Cut who does not take the end."""
        self._over += bool(self._over)
        if self._over > PATIENCE:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """There is nothing to be said after a request."""


class EventSubscriber(WebSubscriber):
    """Server-sent events: whoever comes back says which one was the last."""

    def __init__(
        self,
        accepted: Accepted,
        address: IAddress | None,
        feeds: Feeds,
        events: Events,
        wanted: int | None,
        head: bytes,
        lost: bool | None,
    ) -> None:
        """`head` is that of the answer. `lost` is whether what lies before the first message is missed: None, if that
        cannot be known."""
        super().__init__(accepted, address, feeds, events, wanted)
        self._events = events
        self._head = head
        self._missed = lost

    def _greeting(self, first: int) -> bytes:
        start = f"retry: 1000\nid: {self._events.id(first - 1)}\n"
        if self._missed is None:
            start += "event: restarted\ndata: the relay was restarted: it is not known how many messages are lost\n"
        elif self._missed and self._wanted is not None and first > self._wanted:
            start += f"event: lost\ndata: {first - self._wanted}\n"
        return self._head + chunk(f"{start}\n".encode())

    def _farewell(self, reason: CloseReason) -> bytes:
        return chunk(b"")


class SocketSubscriber(WebSubscriber):
    """WebSocket."""

    def __init__(
        self,
        accepted: Accepted,
        address: IAddress | None,
        feeds: Feeds,
        encoding: Encoding,
        wanted: int | None,
        head: bytes,
    ) -> None:
        super().__init__(accepted, address, feeds, encoding, wanted)
        self._head = head
        self._input = Input()
        self._read = 0  # bytes since the last sweep
        self._pong = b""

    def _attach(self) -> None:
        if isinstance(self.transport, SubscriberTransport):
            self.transport.bufferSize = READ
        super()._attach()

    def _greeting(self, first: int) -> bytes:
        return self._head

    def _farewell(self, reason: CloseReason) -> bytes:
        return close(reason)

    def dataReceived(self, data: bytes) -> None:
        if self.reason is not None:
            return
        self._read += len(data)
        if self._read >= INPUT:
            cast(IPushProducer, self.transport).pauseProducing()
        pong, closed = self._input.feed(data)
        if pong:
            self._answer(pong)
        if closed is not None:
            self._leave(closed.reason, closed.answer, closed.why)

    def _answer(self, pong: bytes) -> None:
        """To the latest ping, as soon as it is not in the middle of a message; one answer waits at most."""
        subscription = self.subscription
        self._pong = b""
        if subscription is not None and self.reason is None:
            if subscription.cursor.tail:
                self._pong = pong
            else:
                self._hub.insert(subscription, pong)

    def sweep(self) -> None:
        super().sweep()
        if self._read >= INPUT:
            cast(IPushProducer, self.transport).resumeProducing()
        self._read = 0
        if self._pong:
            self._answer(self._pong)

    def end(self, reason: CloseReason, lag: Lag) -> None:
        """Tell the peer why, if it takes that at once."""
        if self.subscription is not None and self.reason is None and isinstance(self.transport, SubscriberTransport):
            with suppress(OSError):
                self.transport.send(self.subscription.cursor.rest() + close(reason))
        super().end(reason, lag)
