"""Slow subscribers of workers, and slow workers, as real processes: `--slow` means there what it means without."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tests.kit.fakes import frame
from tests.kit.peers import connection, receive, subscribers
from tests.kit.process import DEADLINE, Relay, children, wait_until
from tests.kit.slow import COUNT, Slow, publishing
from tests.kit.web import metric, wait_for_metric
from tests.kit.web import relay as web_relay

BUFFER = ("--buffer", "1MiB")  # a sixth of what is published
BLOCKED, HELD = "relay_publishers_blocked", "relay_workers_held"


def test_each_policy_is_for_subscribers_of_a_worker_what_it_says_and_a_reload_changes_it(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"

    def change(policy: str) -> None:
        file.write_text(f'slow = "{policy}"\n')
        os.kill(relay.pid, signal.SIGHUP)
        relay.log.wait_for(f"reloaded; changed: slow {policy}")

    file.write_text('slow = "skip"\n')
    with web_relay("--workers", "1", *BUFFER, "--config", str(file)) as (relay, port):
        for policy, check in (("skip", _skips), ("block", _blocks), ("disconnect", _disconnects)):
            if policy != "skip":
                change(policy)
            with ExitStack() as stack:
                silent, session = Slow(relay, False, stack), Slow(relay, True, stack)
                with publishing(relay) as published:
                    check(port, published, silent, session)
        assert not relay.log.find("Traceback|upstream gap")


def _skips(port: int, published: Future[None], silent: Slow, session: Slow) -> None:
    published.result(DEADLINE)
    for one in (silent, session):
        one.read_until(COUNT - 1)
        assert len(one.numbers) < COUNT
        assert one.numbers == sorted(set(one.numbers))
    missing = [(after - before - 1, after) for before, after in pairwise([-1, *session.numbers]) if after > before + 1]
    assert (session.lost, silent.lost) == (missing, [])


def _blocks(port: int, published: Future[None], silent: Slow, session: Slow) -> None:
    wait_for_metric(port, BLOCKED, 1)
    before = metric(port, f"{HELD}_seconds_total")
    assert (metric(port, BLOCKED), metric(port, HELD)) == (1, 0)  # it is not the worker that they wait for
    assert not published.done()
    with ThreadPoolExecutor() as pool:
        for reading in [pool.submit(one.read_until, COUNT - 1) for one in (silent, session)]:
            reading.result(DEADLINE)
    published.result(DEADLINE)
    assert (silent.numbers, session.numbers) == (list(range(COUNT)), list(range(COUNT)))
    assert metric(port, f"{HELD}_seconds_total") - before < 1
    wait_for_metric(port, BLOCKED, 0)


def _disconnects(port: int, published: Future[None], silent: Slow, session: Slow) -> None:
    published.result(DEADLINE)
    for one in (silent, session):
        while one.read():
            pass
        assert one.numbers == list(range(len(one.numbers)))
        assert len(one.numbers) < COUNT
    wait_for_metric(port, 'relay_connections_closed_total{feed="tcp",reason="overrun",role="subscriber"}', 2)


def test_who_stalls_holds_the_others_of_its_worker_for_the_stall_timeout_and_they_lose_nothing() -> None:
    options = (*BUFFER, "--slow", "block", "--stall-timeout", "1")
    with Relay("--workers", "1", *options) as relay, ExitStack() as stack:
        _, later, healthy = (Slow(relay, False, stack) for _ in range(3))
        with publishing(relay) as published:
            begun = time.monotonic()
            while len(relay.log.find("worker 1. subscriber .* disconnected: stalled")) < 2:
                assert healthy.read(8192)
                if time.monotonic() - begun < 1.2:  # so the two together take longer than one may
                    later.read(8192)
                time.sleep(0.1)
            healthy.read_until(COUNT - 1)
            published.result(DEADLINE)
        assert healthy.numbers == list(range(COUNT))
        assert not relay.log.find("Traceback|upstream gap|worker 1 disconnected")


def test_at_a_stop_one_that_blocks_publishers_keeps_nothing_from_others_of_its_worker() -> None:
    options = ("--buffer", "2MiB", "--slow", "block", "--drain-timeout", "1")
    with Relay("--workers", "1", *options) as relay, ExitStack() as stack:
        Slow(relay, False, stack)
        healthy = Slow(relay, False, stack)
        with publishing(relay) as published, ThreadPoolExecutor() as pool:
            reading = pool.submit(lambda: [None for _ in iter(healthy.read, False)])
            relay.log.wait_for("publishers wait: the slowest subscriber")
            relay.log.process.terminate()
            accepted = relay.log.wait_for(r"publisher .* disconnected: shutdown, ([\d,]+) messages")[1]
            reading.result(DEADLINE)
            published.exception(DEADLINE)  # or none, if its own kernel had taken everything
        assert healthy.numbers == list(range(int(accepted.replace(",", ""))))
        assert relay.log.wait_for_end() == 0


def test_a_flood_beyond_the_pace_of_workers_makes_publishers_wait_and_nobody_loses_anything() -> None:
    count, size = 1200, 60_000  # more than workers may be behind, and what kernels hold
    with web_relay("--workers", "2") as (relay, port), subscribers(relay, 4) as peers, ThreadPoolExecutor() as pool:
        pids = children(relay.pid)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            publisher = connection(relay.publish_port)
            done = pool.submit(publisher.sendall, b"".join(frame(bytes(size)) for _ in range(count)))
            wait_for_metric(port, HELD, 1)
            assert metric(port, BLOCKED) == 1
            assert not done.done()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        for reading in [pool.submit(receive, peer, count * (size + 4)) for peer in peers]:
            assert reading.result(DEADLINE) == frame(bytes(size)) * count
        done.result(DEADLINE)
        publisher.close()
        wait_until(lambda: metric(port, BLOCKED) == 0, "publishers go on")
        assert metric(port, f"{HELD}_seconds_total") > 0
        assert not relay.log.find("overrun|Traceback|upstream gap|has ended by|does not answer")
