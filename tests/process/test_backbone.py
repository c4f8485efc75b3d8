"""Relays on a real server of NATS: one order, names that go from relay to relay, restarts, and NATS that is away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from socket import create_connection
from struct import pack

import pytest

from tests.kit.fakes import frame
from tests.kit.mirrors import Mirror
from tests.kit.nats import Nats, needs_nats, ready
from tests.kit.numbered import numbers, reading
from tests.kit.numbered import publish as publish_numbers
from tests.kit.peers import receive, subscribers
from tests.kit.process import DEADLINE, TWISTD, Relay, children, lasting, wait_until
from tests.kit.session_peers import (
    AcknowledgedPublisher,
    ResumingSubscriber,
    check_messages,
    position,
    sized,
    within,
)
from tests.kit.web import relay, wait_for_metric

pytestmark = needs_nats
WEB = ("--web", "tcp:0:interface=127.0.0.1")


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


def options(nats: Nats, stream: str, size: str = "64MiB") -> tuple[str, ...]:
    return ("--backbone", nats.url(stream), "--backbone-size", size)


def publish(
    relay: Relay, name: str, upto: int, publisher: AcknowledgedPublisher | None = None
) -> AcknowledgedPublisher:
    """Publish up to message `upto` under `name`, and wait until all is accepted."""
    publisher = publisher or AcknowledgedPublisher(relay.publish_port, name, sized, window=upto)
    publisher.move(relay.publish_port)
    publisher.limit(upto)
    done = within(DEADLINE, lambda: publisher.sent >= upto)
    while publisher.accepted < upto:
        publisher.connect_once(done)
    return publisher


def subscribe(subscriber: ResumingSubscriber, relay: Relay, upto: int) -> None:
    """Have `subscriber` go on at `relay`, until it has message `upto`."""
    subscriber.move(relay.subscribe_port)
    subscriber.run(within(DEADLINE, lambda: subscriber.next > upto))


def test_a_mirror_and_workers_below_a_relay_have_the_order_of_the_stream(nats: Nats) -> None:
    shared = options(nats, "BELOW")
    with (
        Relay(*shared, "--workers", "1") as one,
        Relay(*shared) as two,
        Mirror(two.subscribe_port) as below,
        reading(one) as at_worker,
        reading(below) as at_mirror,
    ):
        publish(one, "one", 200)
        publish(two, "two", 200)
        for reader in (at_worker, at_mirror):
            wait_until(lambda reader=reader: len(reader.messages) >= 400, "all came")  # type: ignore[misc]
        assert at_worker.messages == at_mirror.messages
        assert (at_worker.epoch, at_worker.next) == (at_mirror.epoch, at_mirror.next)


def test_what_another_relay_publishes_waits_for_workers(nats: Nats) -> None:
    shared, count, size = options(nats, "FLOOD"), 400, 60_000  # three times what the buffer holds
    with (
        Relay(*shared) as one,
        # `block`, because on a busy machine the worker may be that much faster than the one who reads here
        relay(*shared, "--workers", "1", "--buffer", "8MiB", "--slow", "block") as (two, port),
        subscribers(two) as [subscriber],
        create_connection(("127.0.0.1", one.publish_port)) as publisher,
        ThreadPoolExecutor() as pool,
    ):
        [worker] = children(two.pid)
        messages = b"".join(frame(number.to_bytes(4) + bytes(size)) for number in range(count))
        os.kill(worker, signal.SIGSTOP)
        try:  # it is not stopped for longer than it must be: after five seconds it would be replaced
            publishing = pool.submit(publisher.sendall, messages)
            wait_for_metric(port, "relay_workers_held", 1)
        finally:
            os.kill(worker, signal.SIGCONT)
        for number in range(count):
            assert receive(subscriber, size + 8)[4:8] == number.to_bytes(4)
        publishing.result(DEADLINE)
        assert not two.log.find("overrun|upstream gap|Traceback")


def test_a_pull_goes_on_where_it_was_when_its_relay_is_killed_also_from_another_relay(
    nats: Nats, thorough: bool
) -> None:
    kills, count = (30, 60_000) if thorough else (2, 3_000)
    shared = options(nats, "PULL")
    with Relay("--buffer", "64MiB") as source, Relay(*shared) as two, reading(two) as reader, ExitStack() as stack:
        pull = ("--pull", f"session:tcp:127.0.0.1:{source.subscribe_port}")
        one = stack.enter_context(Relay(*shared, *pull))
        one.log.wait_for("goes on behind")
        sending = threading.Thread(target=publish_numbers, args=(source.publish_port, range(count), 0.05))
        sending.start()
        for _ in range(kills):
            enough = min(len(reader.messages) + 300, count)
            wait_until(lambda enough=enough: len(reader.messages) >= enough, "it goes on")  # type: ignore[misc]
            one.log.process.kill()
            one.log.wait_for_end()
            one = stack.enter_context(Relay(*shared, *pull))
        sending.join()
        wait_until(lambda: len(reader.messages) >= count, "all messages came", 2 * DEADLINE)
        with Relay(*shared, *pull) as three:
            one.log.wait_for("another relay of the backbone has taken it over; it ends here")
            three.log.wait_for("goes on behind")
            publish_numbers(source.publish_port, range(count, count + 100), 0)
            wait_until(lambda: len(reader.messages) >= count + 100, "the messages that came then")
    assert numbers(reader) == list(range(count + 100))


def web_port(relay: Relay) -> int:
    """The port of its web port."""
    return int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


def test_a_relay_without_a_backbone_imports_nothing_of_it() -> None:
    code = (
        "import sys, relay.daemon.entry; print([name for name in sys.modules if 'backbone.' in name or 'nats' in name])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert found.stdout == "[]\n"


def test_publishers_and_subscribers_go_from_relay_to_relay(nats: Nats) -> None:
    with Relay(*options(nats, "WALK")) as one, Relay(*options(nats, "WALK")) as two:
        subscriber = ResumingSubscriber(one.subscribe_port, position(one.subscribe_port))
        publisher = publish(one, "p", 100)
        subscribe(subscriber, two, 100)
        publish(two, "p", 200, publisher)
        subscribe(subscriber, one, 200)
        publish(one, "p", 300, publisher)
        subscribe(subscriber, two, 300)
    check_messages(subscriber, 300)
    assert not subscriber.lost


def test_a_relay_that_begins_knows_what_was_before_and_one_that_stops_loses_nothing(nats: Nats) -> None:
    with Relay(*options(nats, "BEGIN")) as one:
        subscriber = ResumingSubscriber(one.subscribe_port, position(one.subscribe_port))
        publisher = publish(one, "p", 1000)
    with Relay(*options(nats, "BEGIN")) as two:
        publish(two, "p", 1500, publisher)
        subscribe(subscriber, two, 1500)
        two.log.process.kill()
    with Relay(*options(nats, "BEGIN")) as three:
        three.log.wait_for("backbone: stream BEGIN, read up to its message .*, next message 1,501, epoch")
        publish(three, "p", 1600, publisher)
        subscribe(subscriber, three, 1600)
    check_messages(subscriber, 1600)
    assert not subscriber.lost


def test_what_silent_publishers_send_reaches_the_subscribers_of_all(nats: Nats) -> None:
    framing = ("--framing", "line")
    with (
        Relay(*options(nats, "LINES"), *framing) as one,
        Relay(*options(nats, "LINES"), *framing) as two,
        create_connection(("127.0.0.1", two.subscribe_port), DEADLINE) as subscriber,
    ):
        two.log.wait_for("subscriber .* connected")
        with create_connection(("127.0.0.1", one.publish_port), DEADLINE) as publisher:
            publisher.sendall(b"one\ntwo\n")
            one.log.wait_for("publisher .* connected")
        got = b""
        while got != b"one\ntwo\n":
            got += subscriber.recv(100)


def test_while_nats_is_away_publishers_wait_and_readiness_says_why(tmp_path: Path) -> None:
    with Nats(tmp_path) as nats, lasting(*options(nats, "AWAY"), *WEB) as relay:
        port = web_port(relay)
        wait_until(lambda: ready(port) == "ok", "ready")
        subscriber = ResumingSubscriber(relay.subscribe_port, position(relay.subscribe_port))
        publisher = publish(relay, "p", 10)
        nats.nodes[0].kill()
        relay.log.wait_for("publishers wait: the backbone cannot be reached")
        assert "the backbone cannot be reached" in ready(port)
        nats.nodes[0].start()
        relay.log.wait_for("publishers go on")
        wait_until(lambda: ready(port) == "ok", "ready again")
        publish(relay, "p", 20, publisher)
        subscribe(subscriber, relay, 20)
    check_messages(subscriber, 20)


def keep_sending(port: int) -> None:
    """Publish numbered messages until the connection ends."""
    with create_connection(("127.0.0.1", port), DEADLINE) as peer, suppress(OSError):
        for first in count(1, 500):
            messages = [sized(number) for number in range(first, first + 500)]
            peer.sendall(b"".join(pack("!I", len(message)) + message for message in messages))


def test_a_relay_that_stops_in_a_flood_hands_on_all_that_it_has_read_and_does_not_wait_for_more(nats: Nats) -> None:
    with Relay(*options(nats, "STOP"), "--drain-timeout", "20") as one, Relay(*options(nats, "STOP")) as two:
        subscriber = ResumingSubscriber(two.subscribe_port, position(two.subscribe_port))
        threading.Thread(target=keep_sending, args=(one.publish_port,), daemon=True).start()
        subscriber.run(within(DEADLINE, lambda: subscriber.next > 2000))
        begun = time.monotonic()
        assert one.stop() == 0
        assert time.monotonic() - begun < 10
        read = int(one.log.wait_for(r"publisher .* disconnected: .*?, ([0-9,]+) messages")[1].replace(",", ""))
        subscriber.run(within(DEADLINE, lambda: subscriber.next > read))
    check_messages(subscriber, read)


def started(*arguments: str) -> tuple[int, str]:
    """The status and the last line of a relay that cannot start."""
    ports = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1")
    ended = subprocess.run(
        [TWISTD, "-n", "--pidfile=", "relay", *ports, *arguments], capture_output=True, text=True, timeout=DEADLINE
    )
    return ended.returncode, ended.stderr.strip()


def test_what_does_not_fit_ends_the_start_with_a_line(nats: Nats) -> None:
    with Relay(*options(nats, "FITS")):
        for other, words in (
            (("--framing", "line"), "the stream FITS has the framing int32, and this relay line"),
            (("--max-message", "2MiB"), "and NATS takes 1,048,576: raise max_payload there"),
            (options(nats, "LARGE", "8192GiB"), "lower --backbone-size (8,796,093,022,208 bytes) here, or raise"),
        ):
            status, line = started(*options(nats, "FITS"), *other)
            assert status == 1
            assert line.startswith("relay cannot start: the backbone ")
            assert words in line
            assert "\n" not in line


def test_nobody_gets_in_without_the_credentials_that_nats_asks_for(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("opensesame\n")
    secret = ("--backbone-credentials", str(token))
    with (
        Nats(tmp_path, extra='authorization { token: "opensesame" }') as nats,
        Relay(*options(nats, "SECRET"), *secret) as relay,
    ):
        publish(relay, "p", 10)
        token.write_text("open_barley\n")
        nats.nodes[0].kill()
        nats.nodes[0].start()
        relay.log.wait_for("publishers wait: the backbone cannot be reached: ")


def test_a_subscriber_that_comes_from_a_relay_that_is_further_waits_until_this_one_is_as_far(nats: Nats) -> None:
    with Relay(*options(nats, "FURTHER")) as one, Relay(*options(nats, "FURTHER")) as two:
        subscriber = ResumingSubscriber(one.subscribe_port, position(one.subscribe_port))
        publisher = publish(one, "p", 50)
        subscribe(subscriber, one, 50)
        two.log.process.send_signal(signal.SIGSTOP)
        publish(one, "p", 150, publisher)
        subscribe(subscriber, one, 150)
        listening = threading.Thread(target=subscribe, args=(subscriber, two, 160), daemon=True)
        listening.start()
        two.log.process.send_signal(signal.SIGCONT)
        publish(one, "p", 160, publisher)
        listening.join(DEADLINE)
    check_messages(subscriber, 160)
    assert not subscriber.lost
