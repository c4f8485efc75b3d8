"""The asyncio front, against a server that says what each test needs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from errno import ETIMEDOUT
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from relay.client.asyncio import Gap, Message, Run, Subscription, publication, subscription
from relay.client.asyncio_link import Dialer
from relay.client.backoff import Backoff
from relay.client.errors import Closed, ConnectionFault, GaveUp, Refused, Replaced
from relay.client.retry import Retry
from relay.client.subscriber import SubscriberCore
from relay.wire.answer import Ack, Bye, Error, PublisherWelcome, SubscriberWelcome
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Position
from tests.kit.folders import temporary_folder
from tests.kit.scripted import Peer, serving

LIMIT = 30.0  # seconds: never reached when all is well


def at_once(attempts: int | None = None) -> Retry:
    return Retry(attempts, backoff=Backoff(first=0, most=0))


def welcome(number: int, lost: int | None = 0) -> SubscriberWelcome:
    return SubscriberWelcome(Position("ab", number), 1, lost, 100, "relay")


def accepted(number: int) -> PublisherWelcome:
    return PublisherWelcome(number, True, "relayed", "ab", 100, "relay")


class FrontCase(SynchronousTestCase):
    def run_async(self, play: Coroutine[Any, Any, None]) -> None:  # Any: as asyncio declares it
        asyncio.run(asyncio.wait_for(play, LIMIT))


class SubscriptionTests(FrontCase):
    def test_messages_come_with_positions_over_reconnects_and_gaps_between_them(self) -> None:
        hellos = []

        async def first(peer: Peer) -> None:
            hellos.append(read_hello(await peer.take()))
            peer.say(b"early", welcome(1), b"one", b"two")

        async def second(peer: Peer) -> None:
            hellos.append(read_hello(await peer.take()))
            peer.say(welcome(5, lost=2), b"five")
            await peer.reader.read()

        async def play() -> None:
            found: list[Message | Gap] = []
            async with serving(first, second) as port, subscription(port=port, retry=at_once()) as messages:
                async for message in messages:
                    found.append(message)
                    if len(found) == 4:
                        break
            self.assertEqual(
                found,
                [
                    Message(b"one", "ab", 1),
                    Message(b"two", "ab", 2),
                    Gap(2, Position("ab", 5)),
                    Message(b"five", "ab", 5),
                ],
            )
            self.assertEqual(messages.position, Position("ab", 2), "the last one was not dealt with yet")

        self.run_async(play())
        self.assertEqual(
            hellos, [SubscriberHello(heartbeat=10), SubscriberHello(after=Position("ab", 2), heartbeat=10)]
        )

    def test_the_store_has_what_was_dealt_with_for_the_next_program(self) -> None:
        path = temporary_folder(self) / "position"

        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(welcome(1), b"one", b"two")
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port, subscription(port=port, store=path) as messages:
                await anext(messages)
                await anext(messages)
                messages.done()
            self.assertEqual(path.read_text(), "ab-2\n")
            self.assertEqual(subscription(store=path).position, Position("ab", 2))

        self.run_async(play())

    def test_a_program_that_ends_before_its_first_message_has_stored_where_it_began(self) -> None:
        path = temporary_folder(self) / "position"

        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(welcome(7))
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port, subscription(port=port, store=path) as messages:
                waiting = asyncio.ensure_future(anext(messages))
                while messages.position is None:
                    await asyncio.sleep(0)
                waiting.cancel()
            self.assertEqual(path.read_text(), "ab-6\n")

        self.run_async(play())

    def test_a_connection_that_times_out_in_the_network_is_followed_by_another(self) -> None:
        """The kernel then gives the same exception as a time limit of ours."""

        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(welcome(1))
            if not broken:
                broken.append(peer)
            else:
                peer.say(b"one")
            await peer.reader.read()

        async def play() -> None:
            async with serving(server, server) as port:
                dialer = Dialer("127.0.0.1", port, None, None)
                readers: list[asyncio.StreamReader] = []

                async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                    reader, writer = await dialer()
                    readers.append(reader)
                    return reader, writer

                async with Subscription(dial, SubscriberCore(), at_once(), None) as messages:
                    waiting = asyncio.ensure_future(anext(messages))
                    while messages.position is None:
                        await asyncio.sleep(0)
                    readers[0].set_exception(TimeoutError(ETIMEDOUT, "Connection timed out"))
                    self.assertEqual(await waiting, Message(b"one", "ab", 1))
                    self.assertIn("timed out", str(messages.last_fault))

        broken: list[Peer] = []
        self.run_async(play())

    def test_without_a_session_there_is_nothing_to_store(self) -> None:
        self.assertRaises(ValueError, subscription, session=False, store="position")

    def test_runs_are_for_those_who_must_not_touch_each_message(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(welcome(1), b"one", b"two")
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port, subscription(port=port) as messages:
                count = 0
                async for run in messages.runs():
                    assert isinstance(run, Run)
                    count += run.frames.messages
                    if count == 2:
                        break

        self.run_async(play())

    def test_cancelled_it_loses_nothing(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(welcome(1))
            await asyncio.sleep(0)
            await go.wait()
            peer.say(b"one")
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port, subscription(port=port) as messages:
                waiting = asyncio.ensure_future(anext(messages))
                while messages.position is None:
                    await asyncio.sleep(0)
                waiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waiting
                go.set()
                self.assertEqual(await anext(messages), Message(b"one", "ab", 1))

        go = asyncio.Event()
        self.run_async(play())

    def test_what_no_try_can_mend_is_raised(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(Error("no"))

        async def play() -> None:
            async with serving(server) as port, subscription(port=port) as messages:
                with self.assertRaises(Refused):
                    await anext(messages)
                with self.assertRaises(Refused):
                    await anext(messages)

        self.run_async(play())


class PublicationTests(FrontCase):
    def test_publishing_waits_for_the_ack_and_sends_again_what_was_cut(self) -> None:
        got = []

        async def first(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(5))
            got.append(await peer.take())

        async def second(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(5))
            got.append(await peer.take())
            peer.say(Ack(6))
            await peer.reader.read()

        async def play() -> None:
            async with serving(first, second) as port:
                async with publication(port=port, name="a", retry=at_once()) as relay:
                    self.assertEqual(relay.accepted, 5)
                    await relay.publish(b"one")
                    self.assertEqual((relay.accepted, relay.acknowledged, relay.uncertain), (6, 1, 0))
                with self.assertRaises(Closed):
                    await relay.publish(b"two")

        self.run_async(play())
        self.assertEqual(got, [b"one", b"one"])

    def test_a_path_that_takes_nothing_is_left_though_there_are_no_heartbeats_to_miss(self) -> None:
        async def first(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(0))
            await peer.reader.read()

        async def second(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(1))
            await peer.reader.read()

        async def play() -> None:
            async with (
                serving(first, second) as port,
                publication(port=port, name="a", heartbeat=0, ack_within=0.01, retry=at_once()) as relay,
            ):
                await relay.publish(b"one")

        self.run_async(play())

    def test_sending_waits_for_room(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(0))
            await peer.take()
            await go.wait()
            peer.say(Ack(1))
            await peer.take()
            peer.say(Ack(2))
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port, publication(port=port, max_unacknowledged=1) as relay:
                await relay.send(b"one")
                second = asyncio.create_task(relay.send(b"two"))
                await asyncio.sleep(0)
                self.assertFalse(second.done())
                go.set()
                await (await second)

        go = asyncio.Event()
        self.run_async(play())

    def test_when_it_is_replaced_all_who_wait_are_told(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(0))
            await peer.take()
            peer.say(Bye("replaced", accepted=0))
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port:
                with self.assertRaises(Replaced):
                    async with publication(port=port, name="a") as relay:
                        await relay.publish(b"one")

        self.run_async(play())

    def test_without_a_session_the_end_waits_until_the_server_has_read_everything(self) -> None:
        got = []

        async def server(peer: Peer) -> None:
            got.append(await peer.take())
            self.assertEqual(await peer.reader.read(), b"")

        async def play() -> None:
            async with serving(server) as port, publication(port=port, session=False) as relay:
                await relay.publish(b"one")

        self.run_async(play())
        self.assertEqual(got, [b"one"])

    def test_without_a_session_a_reset_instead_of_the_end_is_told(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            await peer.reader.read()
            peer.reset()

        async def play() -> None:
            async with serving(server) as port:
                with self.assertRaises(ConnectionFault):
                    async with publication(port=port, session=False) as relay:
                        await relay.publish(b"one")

        self.run_async(play())

    def test_what_was_sent_fails_if_the_publication_ends_without_an_ack(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(0))
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port:
                with self.assertRaises(ZeroDivisionError):
                    async with publication(port=port) as relay:
                        future = await relay.send(b"one")
                        raise ZeroDivisionError
                with self.assertRaises(Closed):
                    await future

        self.run_async(play())

    def test_a_publish_that_is_cancelled_takes_nothing_from_the_others(self) -> None:
        got = []

        async def server(peer: Peer) -> None:
            await peer.take()
            peer.say(accepted(0))
            got.extend([await peer.take(), await peer.take()])
            peer.say(Ack(2))
            await peer.reader.read()

        async def play() -> None:
            async with serving(server) as port, publication(port=port) as relay:
                first = asyncio.create_task(relay.publish(b"one"))
                await asyncio.sleep(0)
                first.cancel()
                await relay.publish(b"two")
                self.assertTrue(first.cancelled())
                self.assertEqual(relay.acknowledged, 2)

        self.run_async(play())
        self.assertEqual(got, [b"one", b"two"])

    def test_nobody_there_is_waited_for_until_it_is_enough(self) -> None:
        async def play() -> None:
            async with serving() as port:
                pass
            with self.assertRaises(GaveUp):
                async with publication(port=port, retry=at_once(attempts=2)):
                    pass

        self.run_async(play())
