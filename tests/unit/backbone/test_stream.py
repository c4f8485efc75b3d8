"""What is read from NATS, without NATS: places, gaps, flow control, and words for what went wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import ClusterInfo, StreamConfig, StreamInfo, StreamState
from nats.js.errors import APIError
from twisted.trial.unittest import SynchronousTestCase

from relay.backbone import stream
from relay.backbone.access import Access
from relay.backbone.stream import BadStream, Message, Reading, check_led, snapshot_key, words


class Client:
    """Keeps what is published, and gives what it is told to whoever subscribed."""

    is_closed = False
    pending = 0

    def __init__(self) -> None:
        self.published: list[str] = []
        self.take: Any = None  # Any: nats-py calls it with a message
        self.config: Any = None  # Any: nats-py's

    def new_inbox(self) -> str:
        return "inbox"

    async def subscribe(self, subject: str, cb: Any, **limits: int) -> None:
        self.take = cb

    async def publish(self, subject: str) -> None:
        self.published.append(subject)

    def jetstream(self) -> Client:
        return self

    async def add_consumer(self, name: str, config: Any) -> Any:
        self.config = config

        class Info:
            num_pending = 7

        return Info

    def give(self, reply: str, data: bytes = b"", headers: dict[str, str] | None = None) -> Msg:
        return Msg(cast(Any, self), subject="inbox", reply=reply, data=data, headers=headers)


class ReadingTests(SynchronousTestCase):
    def read(self, *messages: tuple[str, dict[str, str] | None]) -> tuple[Client, Reading, list[Message]]:
        client, found = Client(), []

        async def arrived(message: Message) -> None:
            found.append(message)

        async def run() -> Reading:
            reading = Reading(cast(Any, client), Access(("nats://one:4222",), "RELAY"), arrived)
            await reading.begin(5)
            for reply, headers in messages:
                await client.take(client.give(reply, b"x", headers))
            return reading

        return client, asyncio.run(run()), found

    def test_messages_are_read_with_their_places_whatever_the_server_is_called(self) -> None:
        client, reading, found = self.read(
            ("$JS.ACK.RELAY.c.1.5.1.1700000000000000000.2", None),
            ("$JS.ACK._.ABC.RELAY.c.1.6.2.1700000000000000001.1.r4nd0m", None),
        )
        self.assertEqual(found, [Message(5, 1700000000000000000, 2, b"x"), Message(6, 1700000000000000001, 1, b"x")])
        self.assertEqual((client.config.opt_start_seq, reading.behind), (5, 7))

    def test_one_that_does_not_arrive_ends_the_reading(self) -> None:
        _, reading, found = self.read(
            ("$JS.ACK.RELAY.c.1.5.1.1.2", None),
            ("$JS.ACK.RELAY.c.1.7.3.1.0", None),
            ("$JS.ACK.RELAY.c.1.8.4.1.0", None),
        )
        self.assertEqual(([message.sequence for message in found], reading.failed.done()), ([5], True))

    def test_flow_control_is_answered_and_heartbeats_are_not(self) -> None:
        client, _, found = self.read(
            ("", {"Status": "100"}), ("$JS.FC.one", {"Status": "100"}), ("", {"Nats-Consumer-Stalled": "$JS.FC.two"})
        )
        self.assertEqual((client.published, found), (["$JS.FC.one", "$JS.FC.two"], []))

    def test_a_connection_that_has_ended_is_noticed(self) -> None:
        async def run() -> None:
            client = Client()
            client.is_closed = True

            async def arrived(message: Message) -> None: ...

            await Reading(cast(Any, client), Access((), "RELAY"), arrived).watch()

        with self.assertRaises(BadStream):
            asyncio.run(run())

    def test_nats_is_not_taken_for_silent_while_the_relay_takes_nothing(self) -> None:
        self.patch(stream, "SILENCE", -1.0)  # so that it would be at the first look
        self.patch(stream, "LOOK", 0.0)

        async def run() -> None:
            client, room = Client(), asyncio.Event()

            async def arrived(message: Message) -> None:
                await room.wait()

            reading = Reading(cast(Any, client), Access((), "RELAY"), arrived)
            await reading.begin(5)
            taking = asyncio.create_task(client.take(client.give("$JS.ACK.RELAY.c.1.5.1.1.2", b"x")))
            await asyncio.sleep(0)
            watching = asyncio.create_task(reading.watch())
            for _ in range(100):
                await asyncio.sleep(0)
            self.assertFalse(watching.done())
            room.set()
            await taking
            with self.assertRaisesRegex(BadStream, "NATS said nothing"):
                await watching

        asyncio.run(run())


class WordsTests(SynchronousTestCase):
    def test_they_say_something_whatever_went_wrong(self) -> None:
        self.assertEqual(words(APIError(code=500, description="insufficient storage")), "insufficient storage")
        self.assertEqual(words(TimeoutError()), "it did not answer in time")
        self.assertEqual(words(OSError("refused")), "refused")
        self.assertEqual(words(ValueError()), "ValueError")

    def test_a_stream_that_was_made_anew_has_other_snapshots(self) -> None:
        info = StreamInfo(StreamConfig(), StreamState(0, 0, 0, 0, 0), created=datetime(2026, 1, 1, tzinfo=UTC))
        self.assertEqual(snapshot_key(info), "fold.1767225600000000")


class LedTests(SynchronousTestCase):
    def test_a_stream_that_nobody_leads_is_told_from_others(self) -> None:
        for cluster in (None, ClusterInfo(name="relay", leader="n0")):
            check_led(info(cluster))
        with self.assertRaisesRegex(NatsError, "nobody leads the stream"):
            check_led(info(ClusterInfo(name="relay", leader=None)))


def info(cluster: ClusterInfo | None) -> StreamInfo:
    return StreamInfo(config=StreamConfig(name="RELAY"), state=StreamState(0, 0, 0, 0, 0), cluster=cluster)
