"""The link to NATS: a thread with a loop of its own, which nats-py needs, so that the reactor stays as it is.

Both sides hand over what has gathered since the other last looked, so a flood costs few switches of threads.
Connections are made one after the other, each to any of the servers, and not repaired: what was on its way when one
ended is proposed again on the next, and reading goes on behind what was read.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.kv import KeyValue

from relay.backbone.access import Access, BadCredentials, connect
from relay.backbone.snapshot import BadSnapshot, decode_snapshot
from relay.backbone.stream import (
    BadStream,
    Message,
    NatsError,
    Reading,
    check_led,
    ensure,
    snapshot_key,
    snapshots,
    words,
)

MOST = 16 * 1024 * 1024
"""Bytes read from the stream that the reactor has not taken, at most. Beyond them NATS is made to wait."""
AGAIN = 0.1
"""Seconds before the first try to connect again. It doubles, up to `MOST_AGAIN`, with a jitter."""
MOST_AGAIN = 2.0
PROBE = 5.0
"""Seconds without a message of the stream after which NATS is asked whether the stream is led. Servers that are too few
to lead it go on sending heartbeats, so without a publisher nobody would notice."""


class Receiver(Protocol):
    """What the link tells (`relay.backbone.backbone`), always in the reactor's thread."""

    def connected(self, server: str) -> None: ...
    def disconnected(self, reason: str) -> None: ...
    def refused(self, answer: str) -> None: ...
    def receive(self, messages: Sequence[tuple[int, bytes]], behind: int) -> None: ...


class Link:
    """Carries proposals to the stream, and brings back what stands in it. The reactor calls the public methods."""

    def __init__(
        self,
        access: Access,
        longest: int,
        sequence: int,
        call: Callable[[Callable[[], None]], None],
        most: int = MOST,
    ) -> None:
        """`longest`: bytes that a proposal may have. `sequence`: up to where the stream was read.

        `call`: runs a function in the reactor's thread. `most`: bytes that are read and that the reactor has not taken.
        """
        self._access = access
        self._longest = longest
        self._sequence = sequence
        self._call = call
        self._most = most
        self._waits = False  # whether the reactor takes nothing for now
        self._receiver: Receiver | None = None
        self._loop: asyncio.AbstractEventLoop
        self._ended: Callable[[], None] = lambda: None
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._working: list[asyncio.Task[None]] = []  # what uses the connection
        self._bucket: KeyValue | None = None
        self._key = ""
        self._created: object = None
        self._out: deque[tuple[bytes, bool]] = deque()
        self._to_send = asyncio.Event()
        self._waking = False  # whether the loop will look at `_out` anyway
        self._lock = threading.Lock()  # for the three that follow
        self._in: list[tuple[int, bytes]] = []
        self._in_size = 0
        self._behind = 0
        self._room = asyncio.Event()

    # What the reactor calls

    def start(self, receiver: Receiver) -> None:
        """Begin to connect."""
        self._receiver = receiver
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name="backbone", daemon=True).start()

    def send(self, payloads: Sequence[bytes], ask: bool) -> None:
        """Append messages to the stream. `ask`: whether failures are told."""
        self._out += [(payload, ask) for payload in payloads]
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._to_send.set)

    def keep(self, sequence: int, snapshot: bytes, urgent: bool) -> None:
        """Put a snapshot into the bucket; unless `urgent`, only if the newest there is older."""
        self._in_loop(self._keep(sequence, snapshot, urgent))

    def stop(self, ended: Callable[[], None]) -> None:
        """Disconnect. `ended` is called when that is done."""
        self._ended = ended
        self._loop.call_soon_threadsafe(self._cancel)

    def wait(self) -> None:
        """Pass on nothing until `go_on`."""
        self._waits = True

    def go_on(self) -> None:
        """Pass on what was read meanwhile, and what comes."""
        self._waits = False
        self._take()

    def _take(self) -> None:
        """In the reactor: take what was read."""
        if self._waits:
            return
        with self._lock:
            messages, self._in = self._in, []
            full = self._in_size > self._most
            self._in_size = 0
            behind = self._behind
        if full:
            self._loop.call_soon_threadsafe(self._room.set)
        if self._receiver is not None and messages:
            self._receiver.receive(messages, behind)

    # What runs in the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._connect_for_ever())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            self._call(self._ended)

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        def begin() -> None:
            task = self._loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._loop.call_soon_threadsafe(begin)

    def _tell(self, tell: Callable[[Receiver], None]) -> None:
        receiver = self._receiver
        assert receiver is not None
        self._call(lambda: tell(receiver))

    async def _connect_for_ever(self) -> None:
        wait = AGAIN
        while True:
            for server in random.sample(self._access.servers, len(self._access.servers)):
                before = self._sequence
                reason = await self._use(server)
                self._tell(lambda receiver, reason=reason: receiver.disconnected(reason))  # type: ignore[misc]
                wait = AGAIN if self._sequence > before else min(2 * wait, MOST_AGAIN)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    async def _use(self, server: str) -> str:
        """Connect to a server, and work until the connection ends. Returns why it did."""
        client = None
        try:
            client = await connect(self._access, server, self._ignore)
            await self._work(client, server)
        except BadCredentials as error:
            return str(error)
        except (TimeoutError, OSError, NatsError, BadStream) as error:
            return f"{server}: {words(error)}"
        finally:
            self._bucket = None
            if client is not None:
                await client.end()
            while self._working:  # only now: while there is a connection, nats-py's `publish` takes no notice of it
                task = self._working.pop()
                task.add_done_callback(_forget)
                task.cancel()
        return f"{server}: the connection has ended"

    async def _ignore(self, error: Exception) -> None:
        """Take an error that whoever waits for an answer is told anyway; without this, nats-py logs it."""

    async def _work(self, client: Client, server: str) -> None:
        info = await ensure(client, self._access, self._longest)
        if self._created not in (None, info.created):
            raise BadStream("the stream was deleted and made anew: start this relay again")
        if info.state.last_seq < self._sequence:
            raise BadStream(
                f"the stream ends with message {info.state.last_seq:,}, and this relay has read {self._sequence:,}"
            )
        self._created = info.created
        self._bucket, self._key = await snapshots(client, self._access), snapshot_key(info)
        reading = Reading(client, self._access, self._arrived)
        answers = client.new_inbox()
        await client.subscribe(answers, cb=self._answered)
        await reading.begin(self._sequence + 1)
        self._out.clear()
        self._tell(lambda receiver: receiver.connected(server))
        for work in (reading.watch(), self._send_all(client, answers), self._probe(client)):
            self._working.append(asyncio.create_task(work))
        for done in (await asyncio.wait(self._working, return_when=asyncio.FIRST_COMPLETED))[0]:
            done.result()

    async def _probe(self, client: Client) -> None:
        """See that the stream is led, and has nothing new, while nothing comes of it. Raises NatsError if not."""
        last = 0  # the stream's last message when it was asked last
        while True:
            before = self._sequence
            await asyncio.sleep(PROBE)
            if self._sequence != before or self._in_size:  # the latter is what the reactor has not taken
                continue
            if before < last:
                raise NatsError(f"the stream has {last:,} messages, and nothing comes behind {before:,}")
            info = await client.jetstream().stream_info(self._access.stream)
            check_led(info)
            last = info.state.last_seq

    async def _send_all(self, client: Client, answers: str) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            self._waking = False
            while self._out:
                payload, ask = self._out.popleft()
                await client.publish(self._access.subject, payload, reply=answers if ask else "")

    async def _arrived(self, message: Message) -> None:
        with self._lock:
            first = not self._in
            self._in.append((message.sequence, message.payload))
            self._in_size += len(message.payload)
            self._behind = message.behind
            full = self._in_size > self._most
        self._sequence = message.sequence
        if first:
            self._call(self._take)
        if full:
            self._room.clear()
            with self._lock:
                full = self._in_size > self._most
            if full:
                await self._room.wait()

    async def _answered(self, message: Msg) -> None:
        refused = (message.headers or {}).get("Status") == "503" or b'"error"' in message.data
        if refused:
            answer = message.data.decode("utf-8", "replace")[:200] or "nobody leads the stream"
            self._tell(lambda receiver: receiver.refused(answer))

    async def _keep(self, sequence: int, snapshot: bytes, urgent: bool) -> None:
        bucket = self._bucket
        if bucket is None:
            return
        try:
            if urgent or await self._newest(bucket) < sequence:
                await bucket.put(self._key, snapshot)
        except (TimeoutError, OSError, NatsError):
            return  # another comes

    async def _newest(self, bucket: KeyValue) -> int:
        """The stream's number of the last message in the newest snapshot that is kept; 0 if there is none."""
        try:
            return decode_snapshot((await bucket.get(self._key)).value or b"").sequence
        except (NatsError, BadSnapshot):
            return 0


def _forget(done: asyncio.Task[None]) -> None:
    """Take what a task that is not needed any more raised, of which asyncio would tell the log."""
    if not done.cancelled():
        done.exception()
