"""What peers can do by being slow, silent, rude or gone, each beside a healthy publisher and subscriber."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.logger import capturedLogs

from relay.core.budget import Budget
from relay.core.chores import at_once
from relay.core.hub import Hub
from relay.core.log import Log
from relay.net.listening import equip
from relay.net.tcp import SubscriberTransport
from relay.peers.subscriber import SubscriberFactory
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from relay.wire.framing import Buffer
from tests.kit.fakes import FakeIntake, accepted, frame, frames
from tests.kit.flood import MIB, flood, numbered, numbers, read_to
from tests.kit.healthy import Healthy, memory
from tests.kit.peers import CONNECTED, connection, receive, receive_all, subscribers, wait_until_attached
from tests.kit.process import DEADLINE, Relay, wait_until
from tests.kit.proxy import Fault, Proxy
from tests.kit.resets import reset

pytestmark = pytest.mark.alone

UNREAD = 512 * 1024
"""Bytes that the relay's kernel may hold for one that does not read: 256 KiB (--send-buffer) that it has not sent, and
what it has, which is what the peer's own kernel has room for: 64 KiB, as long as nothing is read."""


def unsent(port: int, peers: Iterable[socket.socket]) -> list[int]:
    """Bytes that the kernel holds for each of `peers` of a port of this machine, to be sent or acknowledged."""
    theirs = {f"0100007F:{peer.getsockname()[1]:04X}" for peer in peers}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [line for line in lines if line[1] == f"0100007F:{port:04X}" and line[2] in theirs]
    # The kernel writes a line twice if other connections come and go while it is read.
    return list({line[2]: int(line[4].split(":")[0], 16) for line in ours}.values())


# Subscribers


@pytest.mark.parametrize("count", [1, 200])
def test_subscribers_that_never_read_cost_the_buffer_once_and_little_of_the_kernel(count: int) -> None:
    with Relay() as relay, Healthy(relay), ExitStack() as stack:
        stuck = [stack.enter_context(connection(relay.subscribe_port)) for _ in range(count)]
        wait_until_attached(stuck)
        flood(relay.publish_port, 48 * MIB)
        held = sorted(unsent(relay.subscribe_port, stuck))
        assert len(held) == count
        assert 0 < held[0] <= held[-1] < UNREAD, f"{held[0]:,} to {held[-1]:,} bytes"
        assert not relay.log.find("subscriber .* disconnected")
        flood(relay.publish_port, 300 * MIB)
        relay.log.wait_for("subscriber .* disconnected: overrun", min(count, 10))
        assert sum(size > MIB // 8 for size in unsent(relay.subscribe_port, stuck)) == 0, "they are still there"
        for peer in stuck:
            assert len(receive_all(peer)) < UNREAD


def test_one_that_stops_and_recovers_just_inside_the_buffer_has_lost_nothing() -> None:
    buffer = 8 * MIB
    with (
        Relay("--buffer", "8MiB") as relay,
        Healthy(relay, buffer=buffer),
        subscribers(relay, 2) as [stops, stays_away],
    ):
        count = flood(relay.publish_port, buffer - 256 * 1024, size=1000)
        assert read_to(stops, count - 1, size=1000) == list(range(count))
        assert not relay.log.find("subscriber .* disconnected")
        flood(relay.publish_port, 2 * MIB, size=1000)
        relay.log.wait_for("subscriber .* disconnected: overrun")
        receive_all(stays_away)


def test_those_that_join_in_the_middle_of_a_flood_begin_with_a_whole_message_and_miss_none_from_there() -> None:
    total, size = 40 * MIB, 8192
    with Relay() as relay, Healthy(relay), subscribers(relay) as [watching], ThreadPoolExecutor() as pool:
        known = relay.log.count(CONNECTED)
        publishing = pool.submit(flood, relay.publish_port, total, size, 20e6)
        last = total // size - 1
        with ExitStack() as stack:
            rests = []
            for number in numbers(watching, size):
                if number % 600 == 599:
                    peer = stack.enter_context(connection(relay.subscribe_port))
                    rests.append((number, pool.submit(read_to, peer, last + 1, size)))
                if number == last:
                    break
            assert publishing.result(DEADLINE) == last + 1
            # The flood may have been over before the relay came to the newest of them: so there is one more message.
            wait_until(lambda: relay.log.count(CONNECTED) == known + len(rests), "all are attached")
            flood(relay.publish_port, size, size, first=last + 1)
            for before, rest in rests:
                received = rest.result(DEADLINE)
                assert before < received[0] <= last + 1
                assert received == list(range(received[0], last + 2))
        assert len(rests) == 8


def test_those_that_leave_in_the_middle_of_a_fan_out_take_nothing_from_the_others() -> None:
    total, size = 48 * MIB, 8192
    with Relay() as relay, Healthy(relay), subscribers(relay) as [stays], ThreadPoolExecutor() as pool:
        publishing = pool.submit(flood, relay.publish_port, total, size, 20e6)
        staying = pool.submit(read_to, stays, total // size - 1, size)
        for number in range(18):
            with connection(relay.subscribe_port) as leaves:
                receive(leaves, 100_000 + 7777 * number)
                if number % 2:
                    leaves.shutdown(socket.SHUT_RDWR)
                else:
                    reset(leaves)
        relay.log.wait_for("subscriber .* disconnected: (peer closed|connection lost)", 18)
        assert not publishing.done(), "they should leave in the middle"
        assert publishing.result(DEADLINE) == total // size
        assert staying.result(DEADLINE) == list(range(total // size))


def test_one_that_sends_garbage_and_a_hundred_megabytes_of_it_is_read_and_ignored() -> None:
    garbage = os.urandom(MIB)
    with Relay() as relay, Healthy(relay), subscribers(relay, 2) as [noisy, quiet]:
        for _ in range(100):
            noisy.sendall(garbage)
        flood(relay.publish_port, MIB)
        for peer in (noisy, quiet):
            assert read_to(peer, 15) == list(range(16))
        assert len(relay.log.find("sends data, which is thrown away")) == 1


def test_one_that_closed_its_sending_half_goes_on_receiving() -> None:
    with Relay() as relay, Healthy(relay), subscribers(relay) as [peer], ThreadPoolExecutor() as pool:
        peer.shutdown(socket.SHUT_WR)
        reading = pool.submit(read_to, peer, 799)
        assert flood(relay.publish_port, 50 * MIB) == 800
        assert reading.result(DEADLINE) == list(range(800))


def test_one_that_closed_its_sending_half_and_then_vanished_is_found_though_nothing_is_published() -> None:
    with Relay() as relay:
        with subscribers(relay) as [peer]:
            peer.shutdown(socket.SHUT_WR)
            with connection(relay.publish_port) as publisher:  # in a later turn than the end of the stream
                publisher.sendall(frame(b"one"))
                assert receive(peer, 7) == frame(b"one")
            reset(peer)
            relay.log.wait_for("subscriber .* disconnected: connection lost", timeout=5)
        with Healthy(relay):
            pass


# Publishers


def test_a_publisher_that_floods_while_nobody_subscribes_fills_nothing() -> None:
    with Relay() as relay:
        before = memory(relay.pid, "VmRSS")
        flood(relay.publish_port, 300 * MIB)
        assert memory(relay.pid, "VmHWM") - before < 10 * MIB
        with Healthy(relay):
            flood(relay.publish_port, MIB)


@pytest.mark.parametrize("size", [100, 64 * 1024])
def test_a_publisher_that_floods_does_not_delay_a_quiet_one(size: int) -> None:
    with Relay() as relay, Healthy(relay) as healthy:
        count = flood(relay.publish_port, 20 * MIB if size == 100 else 500 * MIB, size)
    assert healthy.found is not None
    assert healthy.found.others == count


def test_a_publisher_that_closed_its_sending_half_has_published_what_it_sent() -> None:
    with Relay() as relay, Healthy(relay), subscribers(relay) as [peer]:
        count = flood(relay.publish_port, 30 * MIB)  # it ends so, and reads the end of the stream
        assert read_to(peer, count - 1) == list(range(count))
        relay.log.wait_for(f"publisher .* disconnected: peer closed, {count:,} messages")


def test_a_publisher_that_vanishes_inside_a_message_is_let_go_and_the_message_with_it() -> None:
    with Relay("--frame-timeout", "1") as relay, Healthy(relay), subscribers(relay) as [peer]:
        whole, begun = frame(numbered(0, 1000)), frame(numbered(1, 1000))
        with (
            Proxy(relay.publish_port, up=Fault(hole=len(whole) + 500)) as proxy,
            connection(proxy.port) as publisher,
        ):
            publisher.sendall(whole + begun)
            relay.log.wait_for("publisher .* frame timeout, 1 messages, 1,004 bytes, 500 bytes of an incomplete mess")
        flood(relay.publish_port, 1000, size=1000)
        assert list(islice(numbers(peer, 1000), 2)) == [0, 0]


# A fault of ours


class Raising(SubscriberTransport):
    """A transport that fails with what is no error of a socket."""

    @property
    def send(self) -> Callable[[Buffer], int]:
        def fail(piece: Buffer) -> int:
            raise RuntimeError("a fault of ours")

        return fail


@pytest_twisted.ensureDeferred
async def test_a_transport_that_raises_ends_that_subscriber_alone() -> None:
    """In this process, because none of our transports does that."""
    running = cast(Any, reactor)  # Any: no interface has all that a reactor provides
    hub = Hub(Log(Int32.ends), Budget(MIB), FakeIntake(), call_soon=partial(running.callLater, 0), clock=time.monotonic)
    factory = SubscriberFactory(accepted("subscriber"), hub, publish="")
    ports = []
    for transport in (SubscriberTransport, Raising, SubscriberTransport):
        ports.append(running.listenTCP(0, factory, interface="127.0.0.1"))
        equip(ports[-1], transport=partial(transport, MIB, at_once), keepalive=0, exhausted=print)

    def subscribe_and_publish() -> None:
        with ExitStack() as stack:
            first, bad, last = (stack.enter_context(connection(port.getHost().port)) for port in ports)
            while blockingCallFromThread(running, lambda: hub.live) < 3:
                pass
            for _ in range(3):
                blockingCallFromThread(running, hub.publish, frames(b"one"))
            for peer in (first, last):
                assert receive(peer, 21) == frame(b"one") * 3
                reset(peer)
            assert receive_all(bad) == b""

    with capturedLogs() as events:
        await deferToThread(subscribe_and_publish)
    for port in ports:
        await port.stopListening()
    failures = [event["log_failure"] for event in events if "log_failure" in event]
    assert [str(failure.value) for failure in failures] == ["a fault of ours"]
    assert factory.registry.ended[CloseReason.ERROR] == 1
