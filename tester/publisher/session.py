"""The publishing side in the framing `int32`, by the client library: with acks, or in silence.

A silent publisher can still know what the relay has read: TCP delivers in order, so a relay that answers our end with
its own has read everything before it. What was sent on a connection that broke is uncertain for good.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from relay.client.errors import ClientError, ConnectionFault
from relay.client.twisted import Publication
from relay.wire.counted import HEADER
from relay.wire.framing import Frames
from tester.connection import Say, SpokenEndpoint, in_options, same_pace

BATCH = 1 << 16
"""Bytes of messages that are handed to the library at once, at most, but for the last of them."""
ROOM = 1 << 20
"""Bytes of messages that may wait to be sent or acknowledged."""
SILENT = "a publisher without --acks and --name"


class SessionOutlet:
    """Sends messages over as many connections as it takes. `acks`: whether the relay acknowledges them."""

    def __init__(
        self, reactor: Any, endpoint: SpokenEndpoint, acks: bool, name: str, max_message: int, say: Say, give_up: Say
    ) -> None:
        self._acks = acks
        self._say = say
        self._endpoint = endpoint
        self._before = 0  # messages on connections that are gone
        self._aborted = False
        self._reactor = reactor
        self._batch: list[bytes] = []  # headers and messages
        self._size = 0  # bytes of them
        self._read = 0  # messages that the relay has read, without acks
        self._publication = Publication(
            endpoint,
            session=acks,
            name=name,
            max_message=max_message,
            max_unacknowledged=ROOM,
            retry=same_pace(),
            reactor=reactor,
        )
        self._publication.retrying = self._retrying
        self._publication.startService()

        def end(failure: Failure) -> None:
            if isinstance(failure.value, ClientError):  # `finish` says the rest
                give_up(f"{endpoint.address}: {in_options(failure.value, SILENT)}")

        self._publication.whenClosed().addErrback(end)

    async def begin(self) -> int:
        """Wait for the connection. Returns how many messages the relay has already under our name."""
        await self._publication.welcomed()
        return self._publication.accepted or 0

    @property
    def room(self) -> bool:
        """Whether a message can be sent at once."""
        return self._size < BATCH

    async def ready(self) -> None:
        """Wait until a message can be sent."""
        self._flush()
        await self._publication.ready()

    def send(self, payload: bytes) -> None:
        """Send one message, if there is `room`. Ends the program if the relay would not take it."""
        if len(payload) > self._publication.max_message:
            most = self._publication.max_message
            raise SystemExit(f"a message of {len(payload):,} bytes: the relay takes {most:,} at most")
        if not self._batch:
            self._reactor.callLater(0, self._flush)
        self._batch += (HEADER.pack(len(payload)), payload)
        self._size += HEADER.size + len(payload)

    def _flush(self) -> None:
        """Hand out what was sent since the last time, in one piece."""
        if self._batch and not self._aborted:
            frames = Frames(b"".join(self._batch), len(self._batch) // 2, self._size)
            self._batch.clear()
            self._size = 0
            self._publication.send_frames(frames)

    async def finish(self) -> None:
        """Wait until the relay has acknowledged, or read, everything, or the connection broke, and end it."""
        try:
            self._flush()
            await self._publication.finish()
        except ConnectionFault as fault:
            self._say(str(fault))
        except ClientError:
            pass  # `abort` or `give_up` has said why
        else:
            if not self._aborted and not self._publication.heard:
                self._read += self._publication.acknowledged - self._before

    def abort(self, why: str) -> None:
        """Drop the connection, and what is queued; `why`: for a person."""
        self._aborted = True
        self._say(why)
        self._publication.stopService()

    def stop(self) -> Deferred[None]:
        """End the service that makes the connections."""
        return self._publication.stopService()

    @property
    def certain(self) -> int:
        """Messages that the relay has acknowledged, or read."""
        return self._publication.acknowledged if self._acks else self._read

    @property
    def doubts(self) -> str:
        """What is strange so far, as the end of a line for people; empty if nothing is."""
        if self._publication.heard:
            return "; it sends messages, which a relay never does to a publisher: is it the right port?"
        if self._publication.uncertain:
            return f"; {self._publication.uncertain:,} may have been published twice, because it lost its count"
        return ""

    def _retrying(self, fault: Exception) -> None:
        self._before = self._publication.acknowledged
        self._endpoint.lost(fault)
