"""Subscribers with sessions whose connections break all the time: each message comes once, in order, or is told lost.

They are not our clients: `tests/kit/session_peers.py` is written from the protocol alone. Only the flood publishes, so
that a message has its own number in it, and what the subscriber has counted can be compared with that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from struct import unpack_from

import pytest

from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Proxy
from tests.kit.session_peers import (
    PacedFlood,
    RandomFaults,
    ResumingSubscriber,
    TcpWire,
    WebSocketWire,
    position,
    sized,
)

CUTS = 1000
RATE = 5000
"""Messages a second, some 0.5 MB: far below half a buffer, so that the relay keeps history."""
PATIENCE = 0.25
"""Seconds: messages come all the time, so that a connection on which nothing comes is broken."""
WEB = ("--web", "tcp:0:interface=127.0.0.1")
WIRES = [pytest.param(TcpWire, id="tcp"), pytest.param(WebSocketWire, id="websocket")]
Wire = type[TcpWire] | type[WebSocketWire]


def port_of(relay: Relay, wire: Wire) -> int:
    if wire is TcpWire:
        return relay.subscribe_port
    return int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


def check(subscriber: ResumingSubscriber, count: int) -> None:
    """See that what it got, and what it was told is lost, are together the messages from 1 to `count`, each once."""
    got = [number for number, _ in subscriber.messages]
    assert got == sorted(set(got))
    for number, message in subscriber.messages:
        assert message == sized(number), f"{unpack_from('!Q', message)[0]} is counted as {number}"
    lost = [number for gap in subscriber.lost for number in gap]
    assert sorted(got + lost) == list(range(1, count + 1))


def within(seconds: float, done: Callable[[], bool]) -> Callable[[], bool]:
    """`done`, which has to come true before the time is over."""
    end = time.monotonic() + seconds

    def checked() -> bool:
        assert time.monotonic() < end, f"not within {seconds:g} s"
        return done()

    return checked


@pytest.mark.parametrize("wire", WIRES)
def test_a_subscriber_that_is_cut_a_thousand_times_gets_every_message_once_and_in_order(wire: Wire) -> None:
    faults = RandomFaults(time.time_ns(), CUTS, up=0, down=12_000)
    with Relay(*WEB) as relay, Proxy(port_of(relay, wire), each=faults) as path:
        subscriber = ResumingSubscriber(path.port, position(relay.subscribe_port), wire, PATIENCE)
        with PacedFlood(relay.publish_port, RATE) as flood:
            subscriber.run(within(3 * DEADLINE, lambda: faults.over and subscriber.heartbeats > 0))
            count = flood.stop()
        subscriber.run(within(DEADLINE, lambda: subscriber.next > count))
    print(faults.kinds, subscriber.ends, count)
    assert sum(subscriber.ends.values()) >= CUTS
    assert not subscriber.lost
    check(subscriber, count)


@pytest.mark.parametrize("slow", ["disconnect", "skip"])
@pytest.mark.parametrize("wire", WIRES)
def test_with_a_buffer_that_is_too_small_what_is_told_lost_is_exactly_what_did_not_come(wire: Wire, slow: str) -> None:
    faults = RandomFaults(time.time_ns(), CUTS // 10, up=0, down=1_000_000)
    with (
        Relay(*WEB, "--buffer", "1MiB", "--slow", slow) as relay,
        Proxy(port_of(relay, wire), each=faults) as path,
    ):
        subscriber = ResumingSubscriber(path.port, position(relay.subscribe_port), wire, PATIENCE)
        with PacedFlood(relay.publish_port, 16 * RATE) as flood:
            subscriber.run(within(3 * DEADLINE, lambda: faults.over and subscriber.heartbeats > 0))
            count = flood.stop()
        subscriber.run(within(DEADLINE, lambda: subscriber.next > count))
    print(faults.kinds, subscriber.ends, count, sum(map(len, subscriber.lost)), subscriber.gaps)
    assert subscriber.lost
    check(subscriber, count)
