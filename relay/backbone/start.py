"""How a relay begins on a stream: it reads a snapshot, and the stream from there to its end, before it does anything.

That needs no thread and no reactor, so that what is wrong ends the start with one line.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.js.api import StreamInfo

from relay.backbone.access import Access, BadCredentials, NatsClient, connect
from relay.backbone.fold import Accepted, Fold
from relay.backbone.proposal import Proposal, encode
from relay.backbone.stream import (
    SILENCE,
    BadStream,
    Message,
    NatsError,
    NotYet,
    Reading,
    ensure,
    read_snapshots,
    snapshot_key,
    snapshots,
    words,
)

PATIENCE = 30.0
"""Seconds within which NATS must be reached at the start: where machines boot together, it elects its leaders first."""
AGAIN = 0.5
"""Seconds between two tries."""


@dataclass
class Beginning:
    """What was found."""

    fold: Fold
    batches: deque[tuple[int, Accepted]] = field(default_factory=deque)
    """The newest batches, and when each was appended, in nanoseconds since 1970, UTC."""
    size: int = 0
    """Bytes of these."""


def begin(access: Access, longest: int, memory: int, framing: str, patience: float = PATIENCE) -> Beginning:
    """Read what is there. Raises BadStream.

    `longest`: bytes that a proposal may have. `memory`: bytes of messages that are wanted. `patience`: in seconds.
    """
    found = asyncio.run(_begin(access, longest, memory, framing, patience))
    if found.fold.framing and found.fold.framing != framing:
        raise BadStream(f"the stream {access.stream} has the framing {found.fold.framing}, and this relay {framing}")
    return found


async def _begin(access: Access, longest: int, memory: int, framing: str, patience: float) -> Beginning:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            client = await _connect_any(access)
            try:
                return await _read(client, access, longest, memory, framing)
            finally:
                await client.end()
        except (OSError, BadCredentials) as error:
            if isinstance(error, BadCredentials) or loop.time() > until:
                raise BadStream(words(error)) from None
        except (TimeoutError, NatsError, NotYet) as error:
            if loop.time() > until:
                raise BadStream(words(error)) from None
        await asyncio.sleep(AGAIN)


async def _connect_any(access: Access) -> NatsClient:
    """A connection to one of the servers, tried in any order. Raises BadCredentials, or what the last one raised."""

    async def ignore(error: Exception) -> None:
        """What goes wrong shows where something is waited for."""

    errors: list[Exception] = []
    for server in random.sample(access.servers, len(access.servers)):
        try:
            return await connect(access, server, ignore)
        except (TimeoutError, OSError, NatsError, BadCredentials) as error:
            errors.append(error)
    raise next((error for error in errors if isinstance(error, BadCredentials)), errors[-1])


async def _read(client: Client, access: Access, longest: int, memory: int, framing: str) -> Beginning:
    info = await ensure(client, access, longest)
    if not info.state.last_seq:
        info = await _found(client, access, framing)
    first, last = info.state.first_seq, info.state.last_seq
    folds = await read_snapshots(await snapshots(client, access), snapshot_key(info))
    found = Beginning(choose(folds, first, last, memory))
    if found.fold.sequence >= last:
        return found
    caught_up = asyncio.get_running_loop().create_future()

    async def arrived(message: Message) -> None:
        if caught_up.done():
            return
        if message.sequence != found.fold.sequence + 1:
            caught_up.set_exception(NotYet("the stream was cut while it was read: start again"))
            return
        for accepted in found.fold.decide(message.sequence, message.payload).batches:
            found.batches.append((message.time, accepted))
            found.size += len(accepted.data)
        while found.size > memory and len(found.batches) > 1:
            found.size -= len(found.batches.popleft()[1].data)
        if message.sequence >= last:
            caught_up.set_result(None)

    reading = Reading(client, access, arrived)
    await reading.begin(found.fold.sequence + 1)
    watch = asyncio.create_task(reading.watch())
    before = -1
    while found.fold.sequence > before and not (caught_up.done() or watch.done()):
        before = found.fold.sequence  # a server that lags behind says that it is there, and sends nothing
        await asyncio.wait([caught_up, watch], timeout=SILENCE, return_when=asyncio.FIRST_COMPLETED)
    watch.cancel()
    if not caught_up.done():
        raise NatsError("the stream could not be read to its end")
    caught_up.result()
    return found


async def _found(client: Client, access: Access, framing: str) -> StreamInfo:
    """Append a first proposal, of nobody, to an empty stream: it decides the epoch. If two do, the first one counts."""
    stream = client.jetstream()
    await stream.publish(access.subject, encode(Proposal(os.urandom(8), 1, 0, framing, [], b"", None)))
    return await stream.stream_info(access.stream)


def choose(folds: Sequence[Fold], first: int, last: int, memory: int) -> Fold:
    """Where to begin in a stream that has the messages `first` to `last`. Raises BadStream if that cannot be.

    It is the newest of `folds` behind which the stream has `memory` bytes; else the oldest that can be used, or the
    beginning of the stream.
    """
    usable = sorted((one for one in folds if first - 1 <= one.sequence <= last), key=lambda one: one.sequence)
    if not usable or (first == 1 and usable[-1].size <= memory):
        if first > 1 and not usable:
            raise NotYet(
                f"the stream begins with message {first:,}, and there is no snapshot of what was before: "
                "another relay that runs writes one within a minute; if there is none, delete the stream"
            )
        return Fold()
    enough = [one for one in usable if usable[-1].size - one.size >= memory]
    return enough[-1] if enough else usable[0]
