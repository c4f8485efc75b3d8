"""The stream and the bucket of snapshots: made or checked, read, and written to. Needs nats-py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NoKeysError, NotFoundError
from nats.js.kv import KeyValue

from relay.backbone.access import Access
from relay.backbone.fold import Fold
from relay.backbone.snapshot import BadSnapshot, decode_snapshot

SNAPSHOTS = 32
"""Snapshots that are kept, so that a relay that begins finds one that is old enough to fill its memory from."""
HEARTBEAT = 1.0
"""Seconds after which NATS says that it has nothing to say."""
SILENCE = 4.0
"""Seconds without a word from NATS after which the connection is given up."""
LOOK = 0.1
"""Seconds between two looks at whether the connection holds."""
UNUSED = 10.0
"""Seconds after which NATS forgets that this relay reads the stream, once it is gone."""
PATIENCE = 5.0
"""Seconds that reading all snapshots may take."""
NAME_TAKEN = 10058
"""What NATS calls it that there is such a stream already (server/errors.json in its source)."""
NO_PEERS = 10005
"""What NATS calls it that too few servers have room: at the start of a cluster that may change."""
NO_STORAGE = 10047
"""What NATS calls it that streams may not take so much."""
OURS = "$JS.ACK."
"""How the reply subject of a message of a stream begins."""


class BadStream(Exception):  # noqa: N818  # named for what was found
    """The stream cannot be used."""


class NotYet(BadStream):
    """The stream cannot be used now, which may be over soon."""


class Message(NamedTuple):
    """A message of the stream."""

    sequence: int
    time: int
    """When it was appended, in nanoseconds since 1970, UTC."""
    behind: int
    """Messages of the stream behind it, when it was sent."""
    payload: bytes


async def ensure(client: Client, access: Access, longest: int) -> StreamInfo:
    """The stream, which is made if there is none. Raises BadStream if it does not fit.

    `longest`: bytes that a proposal may have.
    """
    if client.max_payload < longest:
        raise BadStream(
            f"a proposal has up to {longest:,} bytes, and NATS takes {client.max_payload:,}: "
            "raise max_payload there, or lower --max-message here"
        )
    stream = client.jetstream()
    try:
        info = await stream.stream_info(access.stream)
    except NotFoundError:
        info = await _make(stream, access)
    check_led(info)
    config = info.config
    if config.subjects != [access.subject]:
        raise BadStream(f"the stream {access.stream} has the subjects {config.subjects}, not {access.subject}")
    if config.discard != DiscardPolicy.OLD or (config.max_msgs_per_subject or -1) > 0:
        raise BadStream(f"the stream {access.stream} must discard old messages, and have no limit for each subject")
    if config.max_msg_size is not None and 0 < config.max_msg_size < longest:
        raise BadStream(f"the stream {access.stream} takes messages of {config.max_msg_size:,} bytes, not {longest:,}")
    return info


def check_led(info: StreamInfo) -> None:
    """Raise NatsError if nobody leads a stream: with too few servers one that is left may answer all the same."""
    if info.cluster is not None and not info.cluster.leader:
        raise NatsError("nobody leads the stream: too few servers of NATS are there")


async def _make(stream: JetStreamContext, access: Access) -> StreamInfo:
    config = StreamConfig(
        name=access.stream,
        subjects=[access.subject],
        storage=StorageType.FILE,
        num_replicas=access.replicas,
        max_bytes=access.size,
        max_age=access.age,
        discard=DiscardPolicy.OLD,
        allow_direct=False,
    )
    try:
        return await stream.add_stream(config)
    except APIError as error:
        if error.err_code == NAME_TAKEN:  # another relay has just made it
            return await stream.stream_info(access.stream)
        told = f"the stream {access.stream} cannot be made: {error.description}"
        if error.err_code == NO_STORAGE:
            told += f": lower --backbone-size ({access.size:,} bytes) here, or raise max_file_store there"
        if error.err_code == NO_PEERS:
            raise NatsError(told) from None
        raise BadStream(told) from None


async def snapshots(client: Client, access: Access) -> KeyValue:
    """The bucket of snapshots, which is made if there is none."""
    stream = client.jetstream()
    try:
        return await stream.key_value(access.bucket)
    except NotFoundError:
        config = KeyValueConfig(
            bucket=access.bucket, history=SNAPSHOTS, storage=StorageType.FILE, replicas=access.replicas
        )
        return await stream.create_key_value(config)


def snapshot_key(info: StreamInfo) -> str:
    """The key of a stream's snapshots, which has when it was made: another of the same name has others."""
    made = info.created.timestamp() if info.created else 0
    return f"fold.{made * 1_000_000:.0f}"


async def read_snapshots(bucket: KeyValue, key: str) -> list[Fold]:
    """All snapshots that can be read. Raises TimeoutError."""
    found = []
    try:
        entries = await asyncio.wait_for(bucket.history(key), PATIENCE)  # which has no limit of its own
    except NoKeysError:
        return []
    for entry in entries:
        try:
            found.append(decode_snapshot(entry.value or b""))
        except BadSnapshot:
            continue
    return found


class Reading:
    """Reads the stream from one message on, as long as the connection holds."""

    def __init__(self, client: Client, access: Access, arrived: Callable[[Message], Awaitable[None]]) -> None:
        """`arrived`: given each message. While it waits, NATS sends no more than fits into some memory."""
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why nothing more will come, in words for people."""
        self.behind = 0
        """Messages that were not read when reading began."""
        self._client = client
        self._access = access
        self._arrived = arrived
        self._heard = time.monotonic()
        self._giving = False  # whether `arrived` is not done: what NATS says meanwhile is heard later
        self._number = 0  # NATS numbers what it sends

    async def begin(self, sequence: int) -> None:
        """Read from the message with that number on."""
        inbox = self._client.new_inbox()
        await self._client.subscribe(inbox, cb=self._take, pending_msgs_limit=-1, pending_bytes_limit=-1)
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=sequence,
            ack_policy=AckPolicy.NONE,
            flow_control=True,
            idle_heartbeat=HEARTBEAT,
            inactive_threshold=UNUSED,
            mem_storage=True,
            num_replicas=1,
        )
        info = await self._client.jetstream().add_consumer(self._access.stream, config)
        self.behind = info.num_pending or 0

    async def watch(self) -> None:
        """Wait until nothing more comes. Raises BadStream, which says why."""
        while not (self.failed.done() or self._client.is_closed):
            if not self._giving and time.monotonic() - self._heard > SILENCE:
                raise BadStream(f"NATS said nothing for {SILENCE:g} s")
            await asyncio.wait([self.failed], timeout=LOOK)
        raise BadStream(self.failed.result() if self.failed.done() else "the connection has ended")

    async def _take(self, message: Msg) -> None:
        if not message.reply.startswith(OURS):
            self._heard = time.monotonic()
            stalled = (message.headers or {}).get("Nats-Consumer-Stalled")
            if message.reply or stalled:
                await self._client.publish(message.reply or stalled or "")  # flow control: we have got so far
            return
        fields = message.reply.split(".")
        _, sequence, number, stamp, behind = map(int, fields[4:9] if len(fields) == 9 else fields[6:11])
        self._number += 1
        if number != self._number:
            if not self.failed.done():
                self.failed.set_result("a message of the stream did not arrive")
            return
        self._giving = True
        await self._arrived(Message(sequence, stamp, behind, message.data))
        self._giving = False
        self._heard = time.monotonic()


def words(error: BaseException) -> str:
    """What went wrong, for people: many exceptions say nothing but their names."""
    text = error.description if isinstance(error, APIError) else str(error)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "it did not answer in time"
    return (text or type(error).__name__).removeprefix("nats: ")


__all__ = [
    "SILENCE",
    "BadStream",
    "Message",
    "NatsError",
    "NotYet",
    "Reading",
    "check_led",
    "ensure",
    "read_snapshots",
    "snapshot_key",
    "snapshots",
    "words",
]
