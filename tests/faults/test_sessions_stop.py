"""A relay that stops (SIGTERM) while messages come: both roles are told so, and what was acknowledged arrives."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from struct import pack, unpack_from

import pytest

from tests.kit.flood import complete
from tests.kit.peers import connection, receive_all
from tests.kit.process import DEADLINE, Relay, wait_until
from tests.kit.proxy import Fault, Proxy
from tests.kit.session_peers import AcknowledgedPublisher, ResumingSubscriber, position

NAMES = [f"sensor-{number}" for number in range(4)]
SLOW = 1e6
"""Bytes a second of a subscriber that lags when the relay stops, and still reads what it lacks in time."""


def message(who: int, number: int) -> bytes:
    """Message `number` of a publisher."""
    return pack("!BQ", who, number).ljust(100, b"f")


def by_publisher(messages: list[bytes]) -> list[list[int]]:
    """The numbers of the messages that came from each publisher, in order."""
    found: list[list[int]] = [[] for _ in NAMES]
    for each in messages:
        who, number = unpack_from("!BQ", each)
        assert each == message(who, number)
        found[who].append(number)
    return found


def never() -> bool:
    return False


@pytest.mark.parametrize("options", [(), ("--slow", "block", "--buffer", "1MiB")], ids=["read", "held"])
def test_at_a_stop_sessions_are_told_so_and_what_was_acknowledged_has_arrived(options: tuple[str, ...]) -> None:
    with (
        Relay("--drain-timeout", "20", *options) as relay,
        Proxy(relay.subscribe_port, down=Fault(rate=SLOW)) as path,
        connection(relay.subscribe_port) as silent,
        ThreadPoolExecutor(20) as pool,
    ):
        begin = position(relay.subscribe_port)
        subscribers = [ResumingSubscriber(port, begin, patience=DEADLINE) for port in (relay.subscribe_port, path.port)]
        publishers = [
            AcknowledgedPublisher(relay.publish_port, name, partial(message, who), patience=DEADLINE)
            for who, name in enumerate(NAMES)
        ]
        witness = pool.submit(receive_all, silent)
        listening = [pool.submit(each.connect_once, never) for each in subscribers]
        relay.log.wait_for("subscriber .* begins a session", 3)
        talking = [pool.submit(each.connect_once, never) for each in publishers]
        wait_until(lambda: all(each.acks > 50 for each in publishers), "they publish")
        if options:
            relay.log.wait_for("publishers wait: the slowest subscriber is .* behind")
        relay.log.process.send_signal(signal.SIGTERM)
        assert [each.result(DEADLINE) for each in talking] == ["shutdown"] * len(NAMES)
        assert [each.result(DEADLINE) for each in listening] == ["end"] * 2
        silent.close()
        assert relay.log.wait_for_end() == 0
        accepted = [list(range(1, each.accepted + 1)) for each in publishers]
        assert by_publisher(list(complete(witness.result(DEADLINE)))) == accepted
        for subscriber in subscribers:
            assert by_publisher([each for _, each in subscriber.messages]) == accepted
            assert not subscriber.lost
            [bye] = subscriber.byes
            assert bye["reason"] == "shutdown" and bye["retry"] > 0
    assert "Traceback" not in relay.log.text
