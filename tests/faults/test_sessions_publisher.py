"""Publishers with names whose connections break, or are replaced: each message is published once, in order.

They are not our clients: `tests/kit/session_peers.py` is written from the protocol alone. Message `n` of a name has `n`
in it, so that a plain subscriber sees what is missing, doubled or out of order.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Proxy, RandomFaults
from tests.kit.session_peers import AcknowledgedPublisher, Witness, sized, within

CUTS = 1000
"""How often a connection is cut with `--thorough`; a quarter of that without."""
REPLACED = 1000
PATIENCE = 0.25
"""Seconds: a publisher that waits for an ack gets it at once, so that silence is a fault."""


def test_a_publisher_that_is_cut_again_and_again_publishes_every_message_once_and_in_order(thorough: bool) -> None:
    cuts = CUTS if thorough else CUTS // 4
    faults = RandomFaults(time.time_ns(), cuts, up=20_000, down=2_000, begin=0.3)
    with (
        Relay() as relay,
        Witness(relay.subscribe_port) as witness,
        Proxy(relay.publish_port, each=faults) as path,
    ):
        relay.log.wait_for("subscriber .* connected")
        publisher = AcknowledgedPublisher(path.port, "sensor-7", sized, patience=PATIENCE)
        publisher.run(within(3 * DEADLINE, lambda: faults.over))
        got = witness.wait_for(publisher.sent)
    print(faults.kinds, publisher.ends, publisher.sent, publisher.acks)
    assert got == list(range(1, publisher.sent + 1))
    assert publisher.accepted == publisher.sent
    assert sum(publisher.ends.values()) >= cuts


def test_publishers_that_take_their_name_from_each_other_publish_no_message_twice() -> None:
    with Relay() as relay, Witness(relay.subscribe_port) as witness:
        relay.log.wait_for("subscriber .* connected")
        pair = [AcknowledgedPublisher(relay.publish_port, "sensor-7", sized, others=True) for _ in range(2)]
        done = within(2 * DEADLINE, lambda: min(each.ends["replaced"] for each in pair) >= REPLACED)
        with ThreadPoolExecutor() as pool:
            for running in [pool.submit(each.run, done) for each in pair]:
                running.result()
        accepted = max(each.accepted for each in pair)
        got = witness.wait_for(accepted)
    print([each.ends for each in pair], accepted)
    assert got == list(range(1, accepted + 1))
    assert accepted == max(each.sent for each in pair)
