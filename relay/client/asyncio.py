"""The front for asyncio: `subscription(...)` to iterate over, and `publication(...)` to publish with.

    async for message in subscription("relay.example"):
        print(message.position, message.data)

    async with publication("relay.example", name="sensor-7") as publisher:
        await publisher.publish(b"21.5")

Both wait for a relay that is not there yet, and connect again when a connection breaks.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Self

from relay.client.asyncio_link import Dial, Dialer, Link, Path
from relay.client.connection import GRACE
from relay.client.errors import ClientError, Closed, ConnectionFault
from relay.client.events import Gap, Message, Run
from relay.client.publisher import Counts, PublisherCore
from relay.client.retry import Retry
from relay.client.store import Store, open_store
from relay.client.subscriber import SubscriberCore
from relay.wire.position import Position


def subscription(
    host: str = "127.0.0.1",
    port: int = 8002,
    *,
    path: Path | None = None,
    ssl: tls.SSLContext | None = None,
    session: bool = True,
    after: Position | str | None = None,
    replay: int | None = None,
    since: float | datetime | None = None,
    store: Path | None = None,
    heartbeat: float = 10,
    name: str = "",
    max_message: int = 99_999,
    retry: Retry | None = None,
) -> Subscription:
    """A subscription to a relay. It connects when it is first asked for a message.

    `path`: a Unix socket, instead of `host` and `port`. `ssl`: for TLS. `session`: False for any server of
    length-prefixed messages; then there are no positions, and what is published between two connections is missing,
    untold. `after`, `replay`, `since`: where to begin, at most one of them: behind a position, with the last `replay`
    messages, or with those since an age in seconds or a time. None: with the next one that is published. `store`: a
    file that keeps the last position dealt with; if it has one, that is where to begin. `heartbeat`: seconds between
    two signs of life from the relay, 1 to 3,600, or 0 for none. `name`: what the relay's log calls us. `max_message`:
    bytes, without a session. `retry`: when to try again and when to give up; None: for ever. Raises ValueError for what
    no relay takes, and for a store that holds no position.
    """
    core = SubscriberCore(
        session=session,
        after=after,
        replay=replay,
        since=since,
        heartbeat=heartbeat,
        name=name,
        max_message=max_message,
    )
    return Subscription(Dialer(host, port, path, ssl), core, retry or Retry(), open_store(store, core))


def publication(
    host: str = "127.0.0.1",
    port: int = 8001,
    *,
    path: Path | None = None,
    ssl: tls.SSLContext | None = None,
    session: bool = True,
    name: str = "",
    heartbeat: float = 10,
    max_unacknowledged: int = 2**20,
    max_message: int = 99_999,
    ack_within: float | None = 30,
    retry: Retry | None = None,
) -> Publication:
    """A publication at a relay, to be used with `async with`, which waits for the first connection.

    `name`: counts messages over all connections, so that a reconnect neither loses nor doubles any. `session`: False
    for any server that takes length-prefixed messages; then nobody acknowledges them. `max_unacknowledged`: bytes that
    may wait for their acks before `publish` and `send` wait. `max_message`: bytes, until the relay tells its limit.
    `ack_within`: seconds without an ack after which a publisher with a name connects again; None for never. The other
    parameters are as for `subscription`.
    """
    core = PublisherCore(
        session=session, heartbeat=heartbeat, name=name, max_message=max_message, ack_within=ack_within
    )
    return Publication(Dialer(host, port, path, ssl), core, retry or Retry(), max_unacknowledged)


class Subscription(Link):
    """Messages from a relay, and gaps, in order: an asynchronous iterator. Make it with `subscription`.

    A message counts as dealt with when the next one is asked for, or `done` is called. With a store, a program that is
    started again goes on behind the last message that was dealt with and written down; that is done once a second at
    most, and at the end of an `async with` block or by `aclose`.
    """

    def __init__(self, dial: Dial, core: SubscriberCore, retry: Retry, store: Store | None) -> None:
        super().__init__(dial, core, retry)
        self.position: Position | None = core.position
        """The position up to which everything was dealt with; None if that is not known yet, or without a session."""
        self._subscriber = core
        self._store = store
        self._found: deque[Run | Gap] = deque()
        self._run: Iterator[Message] = iter(())
        self._returned: Position | None = None  # of the last message or run that was returned
        self._failure: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        self.done()
        while True:
            message = next(self._run, None)
            if message is not None:
                self._returned = message.position
                return message
            found = await self._next()
            if isinstance(found, Gap):
                return found
            self._run = found.messages()

    async def runs(self) -> AsyncIterator[Run | Gap]:
        """Runs of messages as they came, for those who must not touch each; not to be mixed with messages."""
        while True:
            self.done()
            found = await self._next()
            if isinstance(found, Run):
                self._returned = found.last
            yield found

    def done(self) -> None:
        """Note that everything that was returned so far has been dealt with."""
        if self._returned is not None:
            self._keep(self._returned)
            self._returned = None

    def _keep(self, position: Position) -> None:
        self.position = position
        if self._store is not None:
            self._store.keep(position, self._now(), asyncio.get_running_loop().call_later)

    async def _next(self) -> Run | Gap:
        core = self._subscriber
        while not self._found:
            if self._failure is not None:
                raise self._failure
            await self._connect()
            data = await self._read()
            self._found.extend(core.receive(data, self._now()))
            if core.welcomed:
                self._retry.succeeded()
            if self.position is None and core.began is not None:
                self._keep(core.began)  # a program that ends before its first message is to miss none
            if core.fault is not None:
                self._hang_up()
                try:
                    self._try_later(core.fault)
                except ClientError as error:
                    self._failure = error  # raised after what had come before it
        return self._found.popleft()

    async def aclose(self) -> None:
        """End the connection, and write down the position up to which everything was dealt with."""
        try:
            await self._say_goodbye()
        finally:
            if self._store is not None:
                self._store.flush()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Publication(Counts, Link):
    """Publishes messages, and knows which are acknowledged. Make it with `publication`, and use it with `async with`.

    Leaving the `with` block waits until everything is acknowledged; if it is left by an exception, nothing is waited
    for. Without a session nobody acknowledges: `publish` returns when a message was handed to the operating system or
    waits in a buffer for it, and leaving the block waits until the server has read everything, which it shows by ending
    the connection. (TLS cannot be ended by half: there it is not waited for.)
    """

    def __init__(self, dial: Dial, core: PublisherCore, retry: Retry, max_unacknowledged: int) -> None:
        super().__init__(dial, core, retry)
        self._publisher = core
        self._max_unacknowledged = max_unacknowledged
        self._acks: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._changed = asyncio.Event()  # set, and replaced, whenever something happens that somebody may wait for
        self._unsent = asyncio.Event()
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._finishing = False  # whether this connection is the last one
        self._closing = False  # whether it is to end in an orderly way

    async def publish(self, message: bytes) -> None:
        """Publish a message, and wait until it is acknowledged. If this is cancelled, it may be published all the same.

        Raises ValueError if the message is longer than the relay takes, and what ended the publication.
        """
        await (await self.send(message))

    async def send(self, message: bytes) -> asyncio.Future[None]:
        """Publish a message, and wait until there is room for it. The result is done when it is acknowledged.

        Raises ValueError if the message is longer than the relay takes.
        """
        await self._until(lambda: self._publisher.unacknowledged < self._max_unacknowledged)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks.append((self._publisher.publish(message), future))
        self._unsent.set()
        return future

    async def drain(self) -> None:
        """Wait until everything is acknowledged."""
        await self._until(lambda: self._publisher.idle)

    async def _until(self, true: Callable[[], bool]) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            if true():
                return
            await self._changed.wait()

    def _tell(self) -> None:
        """Have everybody look again who waits for something, and complete the futures of acknowledged messages."""
        while self._acks and (self._failure or self._acks[0][0] <= self._publisher.acknowledged):
            _, future = self._acks.popleft()
            if future.done():
                continue  # cancelled
            if self._failure is None:
                future.set_result(None)
            else:
                future.set_exception(self._failure)
                future.exception()  # whoever does not look is not to be warned of it
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _work(self) -> None:
        try:
            while True:
                await self._connect()
                self._tell()
                await self._talk()
                if self._finishing:
                    return
                self._try_later(self._core.fault or ConnectionFault("the connection broke"))
        except Exception as error:
            self._failure = error
        finally:
            self._tell()

    async def _talk(self) -> None:
        """Listen and speak until the connection is of no more use, and drop it."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._speak())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what is a fault of ours
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not self._closing:
                self._hang_up()
            self._tell()

    async def _listen(self) -> None:
        core = self._publisher
        while core.fault is None:
            data = await self._read()
            core.receive(data, self._now())
            if core.welcomed:
                self._retry.succeeded()
                self._unsent.set()
            self._tell()

    async def _speak(self) -> None:
        core, writer = self._publisher, self._writer
        assert writer is not None
        while core.fault is None:
            pieces = core.take(self._now())
            if pieces:
                self._look_again()
                try:
                    writer.writelines([bytes(piece) for piece in pieces])
                    await writer.drain()
                except OSError as error:
                    await self._hear_the_last(error)
                    return
                self._tell()
            else:
                self._unsent.clear()
                await self._unsent.wait()

    async def _hear_the_last(self, error: OSError) -> None:
        """Nothing can be sent any more, but the relay may have said why: leave that to `_listen` for a moment."""
        await asyncio.sleep(GRACE)
        self._core.closed(str(error))

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work())
        try:
            await self._until(lambda: self._writer is not None and self._core.welcomed)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.drain()
                await self._finish()
        finally:
            await self._stop()

    async def _finish(self) -> None:
        """Without a session: end our half, and wait until the server ends its own, because it has read everything."""
        writer = self._writer
        if self._core.session or writer is None or not writer.can_write_eof():
            return
        self._finishing = True
        fault: Exception | None = None
        try:
            writer.write_eof()
        except OSError as error:  # the connection is gone, and nobody has read that yet
            fault = error
        else:
            await self._until(lambda: self._core.fault is not None)
            fault = None if self._ended else self._core.fault
        if fault is not None:
            raise ConnectionFault(f"the server may not have read the last messages: {fault}")

    async def _stop(self) -> None:
        failed = self._failure is not None
        self._failure = self._failure or Closed("the publication is closed")
        self._closing = self._publisher.idle and not failed
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._closing:
            await self._say_goodbye()
        self._hang_up()
        self._tell()


__all__ = ["Gap", "Message", "Publication", "Retry", "Run", "Subscription", "publication", "subscription"]
