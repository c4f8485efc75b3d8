"""The client library's front for asyncio with real relays, over paths that are cut, and with servers that are none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from relay.client.asyncio import Gap, Message, publication, subscription
from relay.client.backoff import Backoff
from relay.client.errors import ClientError, ConnectionFault, GaveUp, NotARelay, Refused, Replaced, TLSFailed, WrongPort
from relay.client.retry import Retry
from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.process import DEADLINE, Relay, free_port
from tests.kit.proxy import Proxy, RandomFaults


def run(play: Coroutine[Any, Any, None], limit: float = DEADLINE) -> None:  # Any: as asyncio declares it
    asyncio.run(asyncio.wait_for(play, limit))


def soon(attempts: int | None = None) -> Retry:
    return Retry(attempts, backoff=Backoff(first=0.01, most=0.1))


def test_over_paths_that_are_cut_every_message_comes_once_and_in_order() -> None:
    sent = [b"%d" % number + bytes(number % 300) for number in range(3000)]

    async def play(publish: int, subscribe: int) -> None:
        messages = subscription(port=subscribe, heartbeat=1, retry=soon())
        relay = publication(
            port=publish, name="steady", heartbeat=1, ack_within=1, retry=soon(), max_unacknowledged=5000
        )
        found: list[bytes] = []

        async def read() -> None:
            async for message in messages:
                assert isinstance(message, Message), message
                found.append(message.data)
                if len(found) == len(sent):
                    return

        reading = asyncio.create_task(read())
        while messages.position is None:
            await asyncio.sleep(0.01)
        async with relay:
            for message in sent:
                await relay.send(message)
        assert (relay.acknowledged, relay.uncertain) == (len(sent), 0)
        await reading
        await messages.aclose()
        assert found == sent

    up = RandomFaults(5, count=30, up=10_000, down=500, begin=0)
    down = RandomFaults(2, count=30, up=0, down=10_000, begin=0.2)
    with (
        Relay() as server,
        Proxy(server.publish_port, each=up) as publish,
        Proxy(server.subscribe_port, each=down) as subscribe,
    ):
        run(play(publish.port, subscribe.port), 4 * DEADLINE)
    assert up.kinds.total() > 20 and down.kinds.total() > 20, "hardly anything was cut"


def test_a_relay_that_is_killed_and_started_again_is_a_gap_and_what_is_uncertain_is_counted() -> None:
    publish, subscribe = f"tcp:{free_port()}", f"tcp:{free_port()}"

    async def play(first: Relay) -> None:
        messages = subscription(port=first.subscribe_port, retry=soon())
        async with publication(port=first.publish_port, name="steady", retry=soon()) as relay:
            reading = asyncio.ensure_future(anext(messages))
            while messages.position is None:
                await asyncio.sleep(0.01)
            await relay.publish(b"one")
            assert (await reading).position.number == 1  # type: ignore[union-attr]  # a gap has one, too
            first.log.process.kill()
            reading = asyncio.ensure_future(anext(messages))
            two = await relay.send(b"two")
            with Relay(publish=publish, subscribe=subscribe):
                gap = await reading
                assert isinstance(gap, Gap)
                assert (gap.lost, gap.position.number) == (None, 1)
                await two
                message = await anext(messages)
                assert isinstance(message, Message)
                assert (message.data, message.number) == (b"two", 1)
                await messages.aclose()
                assert relay.uncertain <= 1, "two was sent to the first relay or not"
                await relay.drain()

    with Relay(publish=publish, subscribe=subscribe) as first:
        run(play(first))


def test_a_store_carries_a_subscriber_over_from_program_to_program(tmp_path: Path) -> None:
    store = tmp_path / "position"

    async def play(server: Relay) -> None:
        async with publication(port=server.publish_port) as relay:
            async with subscription(port=server.subscribe_port, store=store) as first:
                reading = asyncio.ensure_future(anext(first))
                while first.position is None:
                    await asyncio.sleep(0.01)
                reading.cancel()
            for number in range(10):
                await relay.publish(b"%d" % number)
            async with subscription(port=server.subscribe_port, store=store) as second:
                found = [await anext(second) for _ in range(5)]
            async with subscription(port=server.subscribe_port, store=store) as third:
                found += [await anext(third) for _ in range(6)]
        assert [message.data for message in found if isinstance(message, Message)] == [
            *(b"0", b"1", b"2", b"3", b"4"),
            *(b"4", b"5", b"6", b"7", b"8", b"9"),  # 4 was given, and nobody said that it was dealt with
        ]

    with Relay() as server:
        run(play(server))


def test_a_publisher_that_counts_its_messages_goes_on_where_it_stopped() -> None:
    async def play(server: Relay) -> None:
        for expected in (0, 3):
            async with publication(port=server.publish_port, name="lines of a file") as relay:
                assert relay.accepted == expected
                for _ in range(3):
                    await relay.publish(b"line")

    with Relay() as server:
        run(play(server))


def test_of_two_with_one_name_the_older_ends() -> None:
    async def play(server: Relay) -> None:
        async with publication(port=server.publish_port, name="one") as older:
            async with publication(port=server.publish_port, name="one") as newer:
                with pytest.raises(Replaced):
                    while True:
                        await older.publish(b"older")
                await newer.publish(b"newer")
            with pytest.raises(Replaced):
                await older.drain()

    with Relay() as server, pytest.raises(Replaced):
        run(play(server))


async def failure_of(what: str, **options: Any) -> str:  # Any: options of both
    """The class of what a subscription or a publication fails with, and its words."""
    with pytest.raises(ClientError) as raised:
        if what == "subscription":
            await anext(subscription(**{"retry": soon(), **options}))
        else:
            async with publication(**{"retry": soon(), **options}):
                pass
    return f"{type(raised.value).__name__}: {raised.value}"


@pytest.mark.parametrize("what", ["subscription", "publication"])
def test_what_is_wrong_with_the_other_side_is_one_exception_with_words(
    what: str, authority: Authority, stranger: Authority
) -> None:
    async def play(server: Doors, lines: Relay) -> None:
        right, wrong = ("subscribe", "publish") if what == "subscription" else ("publish", "subscribe")
        failure = await failure_of(what, port=getattr(server, f"{wrong}_port"))
        assert failure.startswith(f"{WrongPort.__name__}: this port is for"), failure
        failure = await failure_of(what, port=getattr(lines, f"{right}_port"))
        assert failure.startswith(Refused.__name__) and "framing line" in failure, failure
        if what == "publication":  # a port for subscribers says nothing to a handshake, which takes time to notice
            failure = await failure_of(what, port=server.publish_port, ssl=authority.client())
            assert failure.startswith(TLSFailed.__name__), failure
        tls = getattr(server, f"{right}_tls_port")
        failure = await failure_of(what, port=tls, ssl=stranger.client())
        assert failure.startswith(TLSFailed.__name__) and "CERTIFICATE_VERIFY_FAILED" in failure, failure
        failure = await failure_of(what, port=tls)
        assert failure.startswith(NotARelay.__name__) and "TLS" in failure, failure
        failure = await failure_of(what, port=free_port(), retry=soon(attempts=2))
        assert failure.startswith(GaveUp.__name__), failure

    with Doors(authority.issue()) as server, Relay("--framing", "line") as lines:
        run(play(server, lines))


def test_over_tls_it_is_the_same(authority: Authority) -> None:
    async def play(server: Doors) -> None:
        ssl = authority.client()
        messages = subscription(port=server.subscribe_tls_port, ssl=ssl)
        async with messages, publication(port=server.publish_tls_port, ssl=ssl) as relay:
            reading = asyncio.ensure_future(anext(messages))
            while messages.position is None:
                await asyncio.sleep(0.01)
            await relay.publish(b"one")
            message = await reading
            assert isinstance(message, Message) and message.data == b"one"

    with Doors(authority.issue()) as server:
        run(play(server))


def test_without_a_session_any_relay_will_do() -> None:
    async def play(server: Relay) -> None:
        messages = subscription(port=server.subscribe_port, session=False)
        async with publication(port=server.publish_port, session=False) as relay:
            await relay.publish(b"one")
        message = await anext(messages)
        assert message == Message(b"one", None, 1)
        await messages.aclose()

    with Relay("--framing", "int32", "--replay", "1") as server:
        run(play(server))


def test_a_server_that_closes_before_it_reads_has_not_read_everything() -> None:
    async def play() -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        closed = publication(port=server.sockets[0].getsockname()[1], session=False, retry=soon())
        with pytest.raises(ConnectionFault, match="may not have read the last messages"):
            async with closed as relay:
                await relay.publish(b"one")
        server.close()

    run(play())


def test_it_needs_no_twisted() -> None:
    check = "import sys, relay.client.asyncio; assert not [name for name in sys.modules if name.startswith('twisted')]"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=DEADLINE)
