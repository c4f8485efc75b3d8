"""A slow subscriber of one relay of a backbone, with `--slow block`: that relay waits for it, and no other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.nats import Nats, needs_nats
from tests.kit.process import DEADLINE, Relay
from tests.kit.slow import COUNT, Slow, publishing
from tests.kit.web import relay as web_relay
from tests.kit.web import wait_for_metric

BLOCKED = "relay_publishers_blocked"
LONG = 6.0
"""Seconds after which a link to NATS that says nothing would be given up, and proposals that do not come back."""


@needs_nats
@pytest.mark.parametrize("workers", [(), ("--workers", "1")], ids=["alone", "workers"])
def test_what_all_relays_publish_waits_for_a_slow_subscriber_and_nobody_loses_anything(
    tmp_path: Path, workers: tuple[str, ...], thorough: bool
) -> None:
    with Nats(tmp_path) as nats, ExitStack() as stack:
        shared = ("--backbone", nats.url(), "--backbone-size", "64MiB")
        one, port = stack.enter_context(web_relay(*shared, "--buffer", "2MiB", "--slow", "block", *workers))
        two = stack.enter_context(Relay(*shared))
        slow, beside, elsewhere = Slow(one, False, stack), Slow(one, True, stack), Slow(two, False, stack)
        pool = stack.enter_context(ThreadPoolExecutor())

        def read(subscriber: Slow, messages: int) -> None:
            while len(subscriber.numbers) < messages:
                assert subscriber.read(), f"it ended after {len(subscriber.numbers)} messages"

        with publishing(one) as here, publishing(two) as there:
            reading = pool.submit(read, beside, 2 * COUNT)
            there.result(DEADLINE)
            read(elsewhere, COUNT)
            wait_for_metric(port, BLOCKED, 1)
            time.sleep(LONG if thorough else 0)
            assert not reading.done()
            read(slow, 2 * COUNT)
            here.result(DEADLINE)
            reading.result(DEADLINE)
            read(elsewhere, 2 * COUNT)
        assert sorted(slow.numbers) == [number for number in range(COUNT) for _ in range(2)]
        assert slow.numbers == beside.numbers == elsewhere.numbers
        wait_for_metric(port, BLOCKED, 0)
        assert not one.log.find("cannot be reached|takes no proposals|overrun|upstream gap|Traceback")
        assert len(one.log.find("connected to the backbone")) == 1
