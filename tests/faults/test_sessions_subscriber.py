"""Subscribers with sessions whose connections break all the time: each message comes once, in order, or is told lost.

They are not our clients: `tests/kit/session_peers.py` is written from the protocol alone. Only the flood publishes, so
that a message has its own number in it, and what the subscriber has counted can be compared with that.
"""

from __future__ import annotations

import time

import pytest

from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Proxy, RandomFaults
from tests.kit.session_peers import (
    PacedFlood,
    ResumingSubscriber,
    check_messages,
    position,
    within,
)
from tests.kit.session_wires import TcpWire, WebSocketWire

CUTS = 1000
"""How often a connection is cut with `--thorough`; a quarter of that without."""
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


@pytest.mark.parametrize("wire", WIRES)
def test_a_subscriber_that_is_cut_again_and_again_gets_every_message_once_and_in_order(
    wire: Wire, thorough: bool
) -> None:
    cuts = CUTS if thorough else CUTS // 4
    faults = RandomFaults(time.time_ns(), cuts, up=0, down=12_000)
    with Relay(*WEB, "--stall-timeout", "2") as relay, Proxy(port_of(relay, wire), each=faults) as path:
        subscriber = ResumingSubscriber(path.port, position(relay.subscribe_port), wire, PATIENCE)
        with PacedFlood(relay.publish_port, RATE) as flood:
            subscriber.run(within(6 * DEADLINE, lambda: faults.over and subscriber.heartbeats > 0))
            count = flood.stop()
        subscriber.run(within(DEADLINE, lambda: subscriber.next > count))
    print(faults.kinds, subscriber.ends, count)
    assert sum(subscriber.ends.values()) >= cuts
    assert not subscriber.lost
    check_messages(subscriber, count)


@pytest.mark.alone  # what fits into the buffer in time depends on the rate that is reached
@pytest.mark.parametrize("slow", ["disconnect", "skip"])
@pytest.mark.parametrize("wire", WIRES)
def test_with_a_buffer_that_is_too_small_what_is_told_lost_is_exactly_what_did_not_come(
    wire: Wire, slow: str, thorough: bool
) -> None:
    cuts = CUTS // 10 if thorough else CUTS // 40
    faults = RandomFaults(time.time_ns(), cuts, up=0, down=1_000_000)
    with (
        Relay(*WEB, "--buffer", "1MiB", "--slow", slow) as relay,
        Proxy(port_of(relay, wire), each=faults) as path,
    ):
        subscriber = ResumingSubscriber(path.port, position(relay.subscribe_port), wire, PATIENCE)
        with PacedFlood(relay.publish_port, 16 * RATE) as flood:
            subscriber.run(within(6 * DEADLINE, lambda: faults.over))
            count = flood.stop()
        subscriber.run(within(DEADLINE, lambda: subscriber.next > count))
    print(faults.kinds, subscriber.ends, count, sum(map(len, subscriber.lost)), subscriber.gaps)
    assert subscriber.lost
    check_messages(subscriber, count)
