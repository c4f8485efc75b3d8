"""Faults of load: more peers, more connects and more bytes than anyone should bring. Bounded in seconds and bytes.

Where a test says nothing else, a healthy publisher and subscriber run beside the fault and notice nothing of it: every
message once, in order, whole, 99 of 100 within 100 ms (see `tests.kit.healthy`).
"""

from __future__ import annotations

import random
import signal
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from struct import Struct

import pytest

from tests.kit.crowd import Beside, Churn, Crowd, Flood, needs_descriptors, wait_for_descriptors
from tests.kit.fakes import frame
from tests.kit.healthy import HEALTHY_FRAME, MARK, descriptors, memory
from tests.kit.peers import connection, receive, refused, wait_for_message
from tests.kit.process import Relay, wait_until

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, which Linux has"),
]

IDLE = 4096
"""Bytes that the relay may need for a connection where nothing happens; it took 1,600."""
RESERVED = 64
"""Descriptors that a process needs besides."""
REFUSED = r"\w+ [\d.:]+ refused: [\w ]+$"


def test_ten_thousand_idle_subscribers_cost_little_and_all_of_it_comes_back() -> None:
    """The healthy pair has 10,000 neighbours, who are all sent what it publishes: beyond 1,000 its delay grows with
    their number, to ten times as much. They come and go while nothing is published."""
    count = 10_000
    needs_descriptors(count + 2 * RESERVED)
    with Relay() as relay:
        open_before = descriptors(relay.pid)
        left_over: list[int] = []
        for _ in range(3):
            before = memory(relay.pid, "RssAnon")
            with Crowd(relay.subscribe_port, count) as crowd:
                wait_until(lambda: descriptors(relay.pid) == open_before + count, "all are accepted")
                each = (memory(relay.pid, "RssAnon") - before) / count
                assert each < IDLE, f"{each:,.0f} bytes for each"
                with Beside(relay, p99=1.0) if not left_over else nullcontext():
                    wait_for_message(relay)
                found = crowd.leave()
            assert found["ended"] == 0
            assert found["least"] > (0 if left_over else 100 * HEALTHY_FRAME), "one was not sent what all were sent"
            wait_for_descriptors(relay, open_before)
            left_over.append(memory(relay.pid, "RssAnon") - before)
    # The allocator keeps what the first took, and the garbage collector comes when it likes; a leak comes every time.
    assert min(left_over[1:]) < IDLE * count // 5, f"{left_over} bytes more after each round"


def test_a_thousand_connects_and_disconnects_a_second_leave_nothing_behind() -> None:
    a_second, seconds = 1000, 10
    with Relay() as relay, Beside(relay):
        port = relay.subscribe_port
        open_before = descriptors(relay.pid)
        Churn(port, a_second, 0.5).run()  # what is kept for use again is there from now on
        wait_for_descriptors(relay, open_before)
        before = memory(relay.pid, "RssAnon")
        found = Churn(port, a_second, seconds).run()
        wait_for_descriptors(relay, open_before)
        grown = memory(relay.pid, "RssAnon") - before
        assert found["done"] > 0.9 * a_second * seconds, "this machine cannot do that many"
        assert grown < 4 * 10**6, f"{grown:,} bytes more than before"


def test_lines_that_peers_cause_are_limited_and_what_is_left_out_is_counted() -> None:
    a_second, seconds = 500, 2
    with Relay() as relay:
        found = Churn(relay.publish_port, a_second, seconds, says=True).run()
        line = r"publisher [\d.:]+ connected$"
        wait_until(lambda: relay.log.count(line) == found["done"], "every connection is told of or counted")
        told = len(relay.log.find("publisher .* connected"))
    # The relay's seconds begin at other times than ours, and the last connections may be accepted late.
    assert told <= 20 * (found["seconds"] + 3)
    assert told < found["done"] / 5


def test_a_storm_past_the_backlog_is_accepted_in_the_end() -> None:
    """While the relay is stopped, the kernel keeps 4,096 connections for it and drops the attempts of all others, who
    ask again every second. The healthy pair waits as long as the relay is stopped, and no longer."""
    count = 4096 + 1500
    needs_descriptors(count + 2 * RESERVED)
    with Relay() as relay:
        with Beside(relay, p99=10):
            open_before = descriptors(relay.pid)
            crowd = Crowd(relay.publish_port, count)
            relay.log.process.send_signal(signal.SIGSTOP)
            try:
                crowd.begin()
                crowd.lines.wait_for("^begun$")
                queued = waiting_to_be_accepted(relay.publish_port)
                relay.log.process.send_signal(signal.SIGCONT)
                crowd.lines.wait_for("^ready$")
                wait_until(lambda: descriptors(relay.pid) == open_before + count, "all are accepted")
                assert crowd.leave()["ended"] == 0
            finally:
                relay.log.process.send_signal(signal.SIGCONT)
                crowd.__exit__(None, None, None)
        assert queued < count, "there was room for all: that was no storm"
        with Beside(relay):  # as if nothing had been
            wait_for_message(relay)


def waiting_to_be_accepted(port: int) -> int:
    """How many connections wait to be accepted on a port, by the kernel's own count."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":  # it listens
            return int(fields[4].split(":")[1], 16)
    raise AssertionError(f"nobody listens on {port}")


def test_one_address_that_takes_all_the_slots_it_can_get_leaves_those_of_others() -> None:
    most, attempts = 20, 100
    with Relay("--max-connections", "50", "--max-per-address", str(most)) as relay, Beside(relay), ExitStack() as stack:
        holders = [stack.enter_context(connection(relay.subscribe_port, "127.0.0.2")) for _ in range(most)]
        assert all(refused(relay.subscribe_port, "127.0.0.2") for _ in range(attempts))
        wait_until(lambda: relay.log.count(REFUSED) == attempts, "all are counted")
        assert relay.log.find("refused: address limit$")
        wait_for_message(relay)  # of another address
        for holder in holders:
            receive(holder, 4)


def test_at_the_limit_a_new_connection_is_closed_at_once_and_those_that_are_there_go_on() -> None:
    most, attempts = 30, 300
    with Relay("--max-connections", str(most)) as relay, Beside(relay), ExitStack() as stack:
        # The healthy pair has two of the slots.
        holders = [stack.enter_context(connection(relay.subscribe_port, "127.0.0.2")) for _ in range(most - 2)]
        for holder in holders:
            receive(holder, 4)
        begin = time.monotonic()
        for number in range(attempts):
            assert refused(relay.publish_port if number % 2 else relay.subscribe_port)
        assert time.monotonic() - begin < attempts * 0.1
        wait_until(lambda: relay.log.count(REFUSED) == attempts, "all are counted")
        told = len(relay.log.find("refused: connection limit$"))
        assert told <= 20 * (time.monotonic() - begin + 2)
        for holder in holders:
            receive(holder, 4)
        holders[0].close()
        wait_until(lambda: not refused(relay.subscribe_port), "a slot is free again")


def test_two_hundred_publishers_at_once_keep_each_its_order() -> None:
    """Each writes its messages in pieces that begin and end anywhere, a piece of every publisher in turn."""
    publishers, count, stamp = 200, 100, Struct("!HI")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    streams = [
        memoryview(b"".join(frame(stamp.pack(name, number) + bytes(dice.randrange(500))) for number in range(count)))
        for name in range(publishers)
    ]
    with Relay() as relay, Beside(relay), ExitStack() as stack:
        subscriber = stack.enter_context(connection(relay.subscribe_port))
        receive(subscriber, 4)  # it is known
        reader = stack.enter_context(subscriber.makefile("rb", buffering=2**20))
        assert reader.read(HEALTHY_FRAME - 4)
        senders = [stack.enter_context(connection(relay.publish_port)) for _ in range(publishers)]
        while any(streams):
            for name, sender in enumerate(senders):
                size = dice.randrange(1, 4000)
                sender.sendall(streams[name][:size])
                streams[name] = streams[name][size:]
        seen = [0] * publishers
        while sum(seen) < publishers * count:
            message = reader.read(int.from_bytes(reader.read(4)))
            if message.startswith(MARK):
                continue
            name, number = stamp.unpack_from(message)
            assert number == seen[name], f"message {number} of publisher {name} came as its {seen[name]}th"
            assert not any(message[stamp.size :])
            seen[name] += 1


def test_one_publisher_that_floods_a_thousand_subscribers_keeps_nobody_waiting() -> None:
    """The quiet publisher's messages take less than 100 ms (it is the healthy one), and who connects meanwhile is
    accepted, attached and sent its first message in less than a second."""
    count, seconds = 1000, 2.0
    needs_descriptors(count + 2 * RESERVED)
    waits = []
    with Relay() as relay, Crowd(relay.subscribe_port, count) as crowd:
        wait_until(lambda: descriptors(relay.pid) > count, "all are accepted")
        with Beside(relay) as healthy, Flood(relay.publish_port) as flood:
            begin = time.monotonic()
            while time.monotonic() - begin < seconds:
                asked = time.monotonic()
                with connection(relay.subscribe_port) as newcomer:
                    receive(newcomer, 1)
                    waits.append(time.monotonic() - asked)
            beside = healthy.stop()
            sent = flood.leave()["sent"]
        found = crowd.leave()
    assert max(waits) < 1.0
    assert found["ended"] == 0
    assert sent <= found["least"] <= found["most"], "the flood did not reach everybody"
    assert beside.others > 1000, "there was no flood beside the healthy subscriber"
