"""The client library's front for Twisted with real relays: over TCP, TLS and Unix sockets, and paths that are cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.threads import deferToThread

from relay.client.backoff import Backoff
from relay.client.errors import ClientError, TLSFailed, WrongPort
from relay.client.retry import Retry
from relay.client.twisted import Gap, Message, Publication, Subscription
from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Proxy, RandomFaults


def soon() -> Retry:
    return Retry(backoff=Backoff(first=0.01, most=0.1))


def tcp(port: int) -> TCP4ClientEndpoint:
    return TCP4ClientEndpoint(reactor, "127.0.0.1", port)


def tls(port: int, authority: Authority) -> IStreamClientEndpoint:
    root = Certificate.loadPEM(authority.ca.read_bytes())
    return wrapClientTLS(optionsForClientTLS("localhost", root), tcp(port))


class Collector:
    """What a subscription was given, until there are `count`."""

    def __init__(self, count: int) -> None:
        self.found: list[Message | Gap] = []
        self.complete: Deferred[None] = Deferred()
        self.complete.addTimeout(4 * DEADLINE, reactor)
        self._count = count

    def take(self, event: Message | Gap) -> None:
        self.found.append(event)
        if len(self.found) == self._count:
            self.complete.callback(None)

    @property
    def data(self) -> list[bytes]:
        return [event.data for event in self.found if isinstance(event, Message)]


async def exchange(publish: IStreamClientEndpoint, subscribe: IStreamClientEndpoint, server: Relay) -> None:
    """Have a message go from a publication to a subscription."""
    collector = Collector(1)
    messages, relay = Subscription(subscribe, collector.take), Publication(publish, name="a")
    messages.startService()
    await deferToThread(server.log.wait_for, "subscriber .* begins a session")
    relay.startService()
    await relay.publish(b"one")
    await collector.complete
    assert collector.data == [b"one"]
    assert relay.accepted == 1
    await relay.finish()
    await messages.stopService()
    await deferToThread(server.log.wait_for, "publisher .* disconnected: peer closed")


@pytest_twisted.ensureDeferred
async def test_messages_go_over_tcp() -> None:
    with Relay() as server:
        await exchange(tcp(server.publish_port), tcp(server.subscribe_port), server)


@pytest_twisted.ensureDeferred
async def test_messages_go_over_tls(authority: Authority) -> None:
    with Doors(authority.issue()) as server:
        await exchange(tls(server.publish_tls_port, authority), tls(server.subscribe_tls_port, authority), server)


@pytest_twisted.ensureDeferred
async def test_messages_go_over_unix_sockets(tmp_path: Path) -> None:
    publish, subscribe = str(tmp_path / "publish"), str(tmp_path / "subscribe")
    with Relay("--publish", f"unix:{publish}", "--subscribe", f"unix:{subscribe}") as server:
        await exchange(UNIXClientEndpoint(reactor, publish), UNIXClientEndpoint(reactor, subscribe), server)


@pytest_twisted.ensureDeferred
async def test_over_paths_that_are_cut_every_message_comes_once_and_in_order() -> None:
    sent = [b"%d" % number + bytes(number % 300) for number in range(3000)]
    up = RandomFaults(5, count=30, up=10_000, down=500, begin=0)
    down = RandomFaults(2, count=30, up=0, down=10_000, begin=0.2)
    with (
        Relay() as server,
        Proxy(server.publish_port, each=up) as publish,
        Proxy(server.subscribe_port, each=down) as subscribe,
    ):
        collector = Collector(len(sent))
        messages = Subscription(tcp(subscribe.port), collector.take, heartbeat=1, retry=soon())
        messages.startService()
        await deferToThread(server.log.wait_for, "subscriber .* begins a session")
        relay = Publication(
            tcp(publish.port), name="a", heartbeat=1, ack_within=1, max_unacknowledged=5000, retry=soon()
        )
        relay.startService()
        for message in sent:
            await relay.ready()
            relay.publish(message)
        await relay.finish()
        await collector.complete
        await messages.stopService()
    assert (relay.acknowledged, relay.uncertain) == (len(sent), 0)
    assert collector.data == sent
    assert up.kinds.total() > 20 and down.kinds.total() > 20, "hardly anything was cut"


@pytest_twisted.ensureDeferred
async def test_without_a_session_finishing_means_that_the_relay_has_read_everything() -> None:
    with Relay() as server:
        relay = Publication(tcp(server.publish_port), session=False)
        relay.startService()
        for _ in range(1000):
            relay.publish(bytes(1000))
        await relay.finish()
        await deferToThread(server.log.wait_for, "publisher .* disconnected: peer closed, 1,000 messages")


async def failure_of(endpoint: IStreamClientEndpoint) -> ClientError:
    """What a publication ends with."""
    relay = Publication(endpoint, retry=soon())
    relay.startService()
    with pytest.raises(ClientError) as raised:
        await relay.whenClosed()
    return raised.value


@pytest_twisted.ensureDeferred
async def test_what_is_wrong_with_the_other_side_is_one_exception_with_words(
    authority: Authority, stranger: Authority
) -> None:
    with Doors(authority.issue()) as server:
        assert isinstance(await failure_of(tcp(server.subscribe_port)), WrongPort)
        assert isinstance(await failure_of(tls(server.publish_port, authority)), TLSFailed)
        failure = await failure_of(tls(server.publish_tls_port, stranger))
        assert isinstance(failure, TLSFailed)
        assert "certificate verify failed" in str(failure)
        failure = await failure_of(
            wrapClientTLS(
                optionsForClientTLS("elsewhere.example", Certificate.loadPEM(authority.ca.read_bytes())),
                tcp(server.publish_tls_port),
            )
        )
        assert isinstance(failure, TLSFailed)
