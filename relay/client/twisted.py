"""The front for Twisted: `Subscription` and `Publication`, services that keep a connection to a relay.

    endpoint = clientFromString(reactor, "tcp:relay.example:8001")
    publisher = Publication(endpoint, name="sensor-7")
    publisher.startService()
    publisher.publish(b"21.5").addCallback(lambda _: print("acknowledged"))

Both wait for a relay that is not there yet, connect again when a connection breaks, and end when they are stopped or no
attempt can help: `whenClosed` tells.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from inspect import iscoroutine
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint

from relay.client.errors import Closed, ConnectionFault
from relay.client.events import Gap, Message, Run
from relay.client.publisher import Counts, PublisherCore
from relay.client.retry import Retry
from relay.client.store import open_store
from relay.client.subscriber import SubscriberCore
from relay.client.twisted_link import Client
from relay.wire.framing import Buffer, Frames
from relay.wire.position import Position

Event = TypeVar("Event")


class Receiver(Client, Generic[Event]):
    """Gives what a relay sends to a function, in order: `Subscription` and `RunSubscription`."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        received: Callable[[Event], object],
        *,
        session: bool = True,
        after: Position | str | None = None,
        replay: int | None = None,
        since: float | datetime | None = None,
        store: str | os.PathLike[str] | None = None,
        heartbeat: float = 10,
        name: str = "",
        max_message: int = 99_999,
        retry: Retry | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        """`received`: called with each message or run, and each gap. If it is a coroutine, or returns a Deferred, the
        next one waits for that.

        What was given to `received` counts as dealt with when it is done. If it raises, or its Deferred fails, the
        service ends with that exception. It may block, and it may stop the service. `reactor`: its clock; None for the
        installed one. The other parameters are as for `relay.client.asyncio.subscription`.
        """
        self._subscriber = SubscriberCore(
            session=session,
            after=after,
            replay=replay,
            since=since,
            heartbeat=heartbeat,
            name=name,
            max_message=max_message,
        )
        self._store = open_store(store, self._subscriber)
        super().__init__(endpoint, self._subscriber, retry or Retry(), reactor)
        self.position: Position | None = self._subscriber.position
        """The position up to which everything was dealt with; None if that is not known yet, or without a session."""
        self._received = received
        self._found: deque[Run | Gap] = deque()
        self._busy = False  # whether `received` is still dealing with something
        self._dealing = False  # whether `_deal` is running

    def _next(self) -> Event | None:
        """What `received` is to be given next; None if there is nothing."""
        raise NotImplementedError

    def _last(self, event: Event) -> Position | None:
        """The position up to which everything is dealt with if `event` is; None if it has none."""
        raise NotImplementedError

    def _begun(self) -> None:
        if self._busy and self._link is not None:
            self._link.wire.pauseProducing()

    def _receive(self, data: bytes) -> None:
        self._found.extend(self._subscriber.receive(data, self._reactor.seconds()))
        if self.position is None and self._subscriber.began is not None:
            self._keep(self._subscriber.began)  # a program that ends before its first message is to miss none
        self._deal()
        self._core.excuse(self._reactor.seconds())  # `received` may have blocked the reactor

    def _reads(self) -> bool:
        return not self._busy

    def _deal(self) -> None:
        if self._dealing:
            return
        self._dealing = True
        try:
            while not self._busy and self._closed is None and (event := self._next()) is not None:
                self._give(event)
        finally:
            self._dealing = False

    def _give(self, event: Event) -> None:
        try:
            result = self._received(event)
        except Exception as error:
            self._end(error)
            return
        if iscoroutine(result):
            result = Deferred.fromCoroutine(result)
        if not isinstance(result, Deferred):
            self._done(event)
            return
        self._busy = True
        if self._link is not None:
            self._link.wire.pauseProducing()
        result.addCallbacks(lambda _: self._go_on(event), lambda failure: self._end(failure.value))

    def _go_on(self, event: Event) -> None:
        self._busy = False
        if self._closed is not None:
            return
        self._done(event)
        self._deal()
        if not self._busy and self._link is not None:
            self._core.excuse(self._reactor.seconds())
            self._look_later()
            self._link.wire.resumeProducing()

    def _done(self, event: Event) -> None:
        position = self._last(event)
        if position is not None:
            self._keep(position)

    def _keep(self, position: Position) -> None:
        self.position = position
        if self._store is not None:
            try:
                self._store.keep(position, self._reactor.seconds(), self._reactor.callLater)
                if self._closed is not None:  # by `received`, which has dealt with this
                    self._store.flush()
            except OSError as error:
                self._end(error)

    def _finish(self) -> None:
        if self._store is not None:
            try:
                self._store.flush()
            except OSError as error:
                self._closed = error


class Subscription(Receiver[Message | Gap]):
    """Gives messages from a relay, and gaps, to a function, one by one."""

    _run: Iterator[Message] = iter(())

    def _next(self) -> Message | Gap | None:
        while (message := next(self._run, None)) is None:
            if not self._found:
                return None
            found = self._found.popleft()
            if isinstance(found, Gap):
                return found
            self._run = found.messages()
        return message

    def _last(self, event: Message | Gap) -> Position | None:
        return event.position if isinstance(event, Message) else None


class RunSubscription(Receiver[Run | Gap]):
    """Gives runs of messages from a relay, as they came, and gaps: for those who must not touch each message."""

    def _next(self) -> Run | Gap | None:
        return self._found.popleft() if self._found else None

    def _last(self, event: Run | Gap) -> Position | None:
        return event.last if isinstance(event, Run) else None


class Publication(Counts, Client):
    """Publishes messages, and tells when each is acknowledged.

    Without a session nobody acknowledges: then a message counts as acknowledged when it was handed to the transport,
    and `finish` waits until the server has read everything.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        *,
        session: bool = True,
        name: str = "",
        heartbeat: float = 10,
        max_unacknowledged: int = 2**20,
        max_message: int = 99_999,
        ack_within: float | None = 30,
        retry: Retry | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        """The parameters are as for `relay.client.asyncio.publication`; `reactor`: as for `Receiver`."""
        self._publisher = PublisherCore(
            session=session, heartbeat=heartbeat, name=name, max_message=max_message, ack_within=ack_within
        )
        super().__init__(endpoint, self._publisher, retry or Retry(), reactor)
        self._max_unacknowledged = max_unacknowledged
        self._acks: deque[tuple[int, Deferred[None]]] = deque()
        self._looking: list[tuple[Callable[[], bool], Deferred[None]]] = []  # who waits, and for what
        self._telling: IDelayedCall | None = None  # will fire what was waited for
        self._finishing = False  # whether no more messages are taken
        self._halved = False  # whether our half of the connection is ended

    @property
    def max_message(self) -> int:
        """Bytes that a message may have, as far as is known: the relay tells with its welcome."""
        return self._publisher.limit

    @property
    def heard(self) -> int:
        """Messages that came from the server: a relay sends none to a publisher, except at the wrong port."""
        return self._publisher.heard

    def publish(self, message: bytes) -> Deferred[None]:
        """Publish a message. The Deferred fires when it is acknowledged, and fails if the service ends before.

        It takes a message at any time: `ready` tells when there is room. Raises ValueError if the message is longer
        than the relay takes. To cancel the Deferred does not take the message back.
        """
        if self._closed is not None or self._finishing:
            return fail(self._closed or Closed("the publication is about to end"))
        acknowledged: Deferred[None] = Deferred()
        self._acks.append((self._publisher.publish(message), acknowledged))
        self._speak()
        return acknowledged

    def send_frames(self, frames: Frames) -> None:
        """Publish messages that are frames already, for those who must not touch each.

        None may be longer than `max_message`. There is no Deferred: wait for all with `drained` or `finish`. Raises
        what ended the service.
        """
        if self._closed is not None or self._finishing:
            raise self._closed or Closed("the publication is about to end")
        self._publisher.publish_frames(frames)
        self._speak()

    def welcomed(self) -> Deferred[None]:
        """Fires when there is a connection: `accepted` then says how many messages of our name were accepted before."""
        return self._when(lambda: self._link is not None and self._publisher.welcomed)

    def ready(self) -> Deferred[None]:
        """Fires when fewer than `max_unacknowledged` bytes wait for their acks."""
        return self._when(lambda: self._publisher.unacknowledged < self._max_unacknowledged)

    def drained(self) -> Deferred[None]:
        """Fires when everything is acknowledged."""
        return self._when(lambda: self._publisher.idle)

    def finish(self) -> Deferred[None]:
        """Take no more messages, and end the service when everything is acknowledged. Fires when that is done.

        Without a session it waits until the server ends the connection, because it has read everything, and fails with
        ConnectionFault if there is a reset instead.
        """
        drained = self.drained()
        self._finishing = True
        return drained.addCallback(lambda _: self.stopService() if self._core.session else self._end_half())

    def _end_half(self) -> Deferred[None]:
        if self._link is None:
            return self.stopService()
        if self._halved:
            return self.whenClosed()
        self._halved = True
        if self._link.secure:
            self._link.end()  # TLS cannot be ended by half, but its end waits for the server's
        else:
            self._link.end_half()
        return self.whenClosed()

    def _again(self, error: Exception) -> None:
        if not self._halved:
            super()._again(error)
        elif self._orderly and self._arrived:
            self._end(Closed("the publication is finished"))
        else:
            self._end(ConnectionFault(f"the server may not have read the last messages: {error}"))

    def _when(self, true: Callable[[], bool]) -> Deferred[None]:
        if self._closed is not None:
            return fail(self._closed)
        if true():
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._looking.append((true, waiting))
        return waiting

    def _begun(self) -> None:
        self._tell()

    def _receive(self, data: bytes) -> None:
        self._publisher.receive(data, self._reactor.seconds())
        self._tell()

    def _speak(self) -> None:
        while self._room and self._link is not None and (pieces := self._take()):
            self._link.wire.write(b"".join(pieces))
        self._look_later()
        if not self._core.session and (self._acks or self._looking) and self._telling is None:
            # Soon, not now: a Deferred that has fired already makes a loop of callbacks a recursion.
            self._telling = self._reactor.callLater(0, self._tell_now)

    def _take(self) -> list[Buffer]:
        return self._publisher.take(self._reactor.seconds())

    def _tell_now(self) -> None:
        self._telling = None
        self._tell()

    def _tell(self) -> None:
        """Fire what was waited for."""
        while self._acks and self._acks[0][0] <= self._publisher.acknowledged:
            self._acks.popleft()[1].callback(None)
        looking, self._looking = self._looking, []
        true = [waiting for is_true, waiting in looking if is_true()]
        self._looking += [(is_true, waiting) for is_true, waiting in looking if waiting not in true]
        for waiting in true:
            waiting.callback(None)

    def _idle(self) -> bool:
        return self._publisher.idle

    def _finish(self) -> None:
        assert self._closed is not None
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._tell()
        waiting = [*(one for _, one in self._acks), *(one for _, one in self._looking)]
        self._acks.clear()
        self._looking.clear()
        for one in waiting:
            one.errback(self._closed)


__all__ = ["Gap", "Message", "Publication", "Retry", "Run", "RunSubscription", "Subscription"]
