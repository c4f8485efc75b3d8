"""Faults of the process: signals in the worst moment, a death without warning, and a second one on the same ports."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.crowd import BLOCK, Beside, Flood
from tests.kit.fakes import frame
from tests.kit.healthy import descriptors
from tests.kit.peers import MESSAGE, connection, receive, receive_all, slow_subscriber, subscribers
from tests.kit.process import DEADLINE, TWISTD, Relay, free_port, roomy, start, wait_until

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc, which Linux has"),
]


PATIENT = ("--drain-timeout", "20")
"""For those who read what they lack: how long they need for it depends on the machine."""


def read_to_the_end(peer: socket.socket, data: bytearray | None = None) -> bytearray:
    """All until the orderly end of the stream: a reset is an error here. It is in `data` as it comes."""
    data = bytearray() if data is None else data
    while part := peer.recv(2**20):
        data += part
    return data


def publish_and_read(relay: Relay, healthy: socket.socket, count: int) -> None:
    """Publish so many messages, and see to it that the relay has read them: a healthy subscriber gets all."""
    with connection(relay.publish_port) as publisher, ThreadPoolExecutor() as pool:
        sending = pool.submit(publisher.sendall, MESSAGE * count)
        assert receive(healthy, len(MESSAGE) * count) == MESSAGE * count
        sending.result(DEADLINE)


def test_sigterm_in_a_flood_ends_every_stream_after_the_same_whole_message() -> None:
    with (
        Relay(*PATIENT) as relay,
        subscribers(relay, 4) as peers,
        ThreadPoolExecutor() as pool,
        Flood(relay.publish_port) as flood,
    ):
        received = [bytearray() for _ in peers]
        reading = [pool.submit(read_to_the_end, peer, data) for peer, data in zip(peers, received, strict=True)]
        wait_until(lambda: len(received[0]) > 100 * len(BLOCK), "the flood is under way")
        begin = time.monotonic()
        relay.log.process.terminate()
        for each in reading:
            each.result(DEADLINE)
        for peer in peers:
            peer.close()
        assert relay.log.wait_for_end() == 0
        assert time.monotonic() - begin < 10.0, "it waited for the drain timeout"
        flood.leave()
    first, *others = received
    assert len(first) % (len(BLOCK) // 64) == 0, "the last message is not whole"
    repeated, rest = divmod(len(first), len(BLOCK))
    assert first == BLOCK * repeated + BLOCK[:rest]
    for other in others:
        assert other == first
    assert "Traceback" not in relay.log.text


def test_at_sigterm_one_that_lags_is_given_all_that_was_read_and_then_the_end() -> None:
    count = 16 * 1024  # 16 MiB
    with Relay(*PATIENT) as relay, subscribers(relay) as [healthy], slow_subscriber(relay) as slow:
        publish_and_read(relay, healthy, count)
        relay.log.process.terminate()
        relay.log.wait_for("1 subscribers lag: they have 20 s to read the rest")
        begin = time.monotonic()
        got = bytearray()
        while part := slow.recv(50_000):
            got += part
        assert time.monotonic() - begin < 10.0, "it waited for the drain timeout"
        assert got == MESSAGE * count
        assert read_to_the_end(healthy) == b""
        healthy.close()
        slow.close()
        assert relay.log.wait_for_end() == 0
        assert "Traceback" not in relay.log.text


def test_beside_one_that_never_reads_it_stops_within_the_drain_time_and_says_what_that_one_lacked() -> None:
    count, seconds = 16 * 1024, 1.0
    with (
        Relay("--drain-timeout", str(seconds)) as relay,
        subscribers(relay) as [healthy],
        slow_subscriber(relay) as stuck,
    ):
        publish_and_read(relay, healthy, count)
        begin = time.monotonic()
        relay.log.process.terminate()
        assert read_to_the_end(healthy) == b""
        healthy.close()
        assert relay.log.wait_for_end() == 0
        assert seconds <= time.monotonic() - begin < seconds + 5.0
        stuck_port = stuck.getsockname()[1]
        end = relay.log.wait_for(
            rf"{stuck_port} disconnected: shutdown, .*; it was ([\d,]+) messages, ([\d,]+) bytes, [\d.]+ s behind"
        )
        lacked = int(end[2].replace(",", ""))
        got = receive_all(stuck)  # what its kernel has still: a reset destroys what was on its way
        assert got == (MESSAGE * count)[: len(got)]
        assert 0 < lacked <= len(MESSAGE) * count - len(got)
        assert "Traceback" not in relay.log.text


def test_at_sigterm_a_subscriber_that_had_closed_its_sending_half_is_given_the_rest() -> None:
    count = 8 * 1024
    with Relay(*PATIENT) as relay, subscribers(relay) as [healthy], slow_subscriber(relay) as slow:
        slow.shutdown(socket.SHUT_WR)
        publish_and_read(relay, healthy, count)
        relay.log.process.terminate()
        relay.log.wait_for("1 subscribers lag")
        assert read_to_the_end(slow) == MESSAGE * count
        assert read_to_the_end(healthy) == b""
        healthy.close()
        assert relay.log.wait_for_end() == 0


def test_what_a_subscriber_sends_while_it_is_given_the_rest_does_not_destroy_it() -> None:
    """A socket that is closed while its peer still sends answers with a reset, and what was on its way is lost. So the
    subscriber sends when the kernel has the end of the stream for it, and itself has not read the last 64 KiB."""
    count, last = 8 * 1024, 64 * 1024
    with Relay(*PATIENT) as relay, subscribers(relay) as [healthy], slow_subscriber(relay) as slow:
        publish_and_read(relay, healthy, count)
        relay.log.process.terminate()
        relay.log.wait_for("1 subscribers lag")
        got = receive(slow, len(MESSAGE) * count - last)
        wait_until(lambda: finished(relay.subscribe_port, slow.getsockname()[1]), "the relay has ended its half")
        for _ in range(10):
            slow.sendall(b"noise")
        assert got + read_to_the_end(slow) == MESSAGE * count
        slow.sendall(b"and after the end")
        healthy.sendall(b"noise")
        assert read_to_the_end(healthy) == b""
        healthy.close()
        slow.close()
        assert relay.log.wait_for_end() == 0


def finished(port: int, peer: int) -> bool:
    """Whether the socket on `port` that is connected to `peer` has closed its half: it is in FIN_WAIT1, see proc(5)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, state, *_ = line.split()
        if here.endswith(f":{port:04X}") and there.endswith(f":{peer:04X}"):
            return state == "04"
    return False


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_subscriber_that_has_everything_in_its_kernel_and_reads_nothing_does_not_keep_the_relay_from_stopping(
    half_closed: bool,
) -> None:
    """Found by the fuzzer. Its socket is not writable while more than half of `--send-buffer` is unsent."""
    message = frame(b"x" * 9996)
    with (
        Relay("--drain-timeout", "0.5") as relay,
        roomy(relay.subscribe_port, 4096) as stuck,
        connection(relay.subscribe_port) as reading,
        connection(relay.publish_port) as publisher,
    ):
        if half_closed:
            stuck.shutdown(socket.SHUT_WR)
        relay.log.wait_for("subscriber .* connected", 2)
        for _ in range(20):  # 200 kB: more than 128 KiB, which is half, and less than 256
            publisher.sendall(message)
            assert receive(reading, len(message)) == message
        relay.log.process.terminate()
        try:
            assert relay.log.wait_for_end(10.0) == 0
        finally:
            relay.log.process.kill()


def test_a_second_sigterm_ends_it_at_once_with_status_0() -> None:
    with (
        Relay("--drain-timeout", "60") as relay,
        subscribers(relay) as [healthy],
        slow_subscriber(relay),
    ):
        publish_and_read(relay, healthy, 16 * 1024)
        relay.log.process.terminate()
        relay.log.wait_for("SIGTERM received, stopping")
        relay.log.wait_for("1 subscribers lag: they have 60 s to read the rest")
        begin = time.monotonic()
        relay.log.process.terminate()
        assert relay.log.wait_for_end() == 0
        assert time.monotonic() - begin < 10.0, "of 60"
        relay.log.wait_for("SIGTERM received again, stopping at once")
        assert "Traceback" not in relay.log.text


def test_signals_that_mean_nothing_do_no_harm() -> None:
    """SIGPIPE is what a write to a peer that is gone would bring; SIGUSR1 rotates the log, where that is a file."""
    with Relay() as relay, Beside(relay):
        for _ in range(50):
            for number in (signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH):
                relay.log.process.send_signal(number)
            with connection(relay.subscribe_port) as peer:
                receive(peer, 1)  # of a message that goes on: our end of it is a reset


def test_after_sigkill_a_new_one_has_the_same_ports_at_once_and_everybody_comes_back() -> None:
    """It takes no longer than any start: most of it is Python's."""
    publish, subscribe = (f"tcp:{free_port()}" for _ in range(2))
    with ExitStack() as stack:
        begin = time.monotonic()
        old = stack.enter_context(Relay(publish=publish, subscribe=subscribe))
        usual = time.monotonic() - begin
        before = descriptors(old.pid)
        peers = [stack.enter_context(connection(old.subscribe_port)) for _ in range(50)]
        wait_until(lambda: descriptors(old.pid) == before + len(peers), "all are accepted")
        with Beside(old):
            for peer in peers:
                receive(peer, 4)
        old.log.process.kill()
        killed = time.monotonic()
        assert old.log.wait_for_end() == -signal.SIGKILL
        for peer in peers:
            receive_all(peer)
        new = stack.enter_context(Relay(publish=publish, subscribe=subscribe))
        back = time.monotonic() - killed
        assert (new.publish_port, new.subscribe_port) == (old.publish_port, old.subscribe_port)
        again = [stack.enter_context(connection(new.subscribe_port)) for _ in peers]
        wait_until(lambda: descriptors(new.pid) == before + len(peers), "all are accepted")
        with Beside(new):
            for peer in again:
                receive(peer, 4)
    print(
        f"{back:.2f} s from the end of the old process to the ports of the new one, and {usual:.2f} s for its own start"
    )
    assert back < 3 * usual


@pytest.mark.parametrize("taken", ["publish", "subscribe"])
def test_one_that_finds_a_port_taken_harms_nobody(taken: str) -> None:
    with Relay() as relay, Beside(relay):
        ports = {"publish": f"tcp:{relay.publish_port}", "subscribe": f"tcp:{relay.subscribe_port}"}
        others = {role: "tcp:0" for role in ports if role != taken}
        command = [TWISTD, "-n", "--pidfile=", "relay"]
        for role, endpoint in {taken: ports[taken], **others}.items():
            command += [f"--{role}", f"{endpoint}:interface=127.0.0.1"]
        second = start(*command)
        assert second.wait_for_end() == 1
        assert len(second.find(f"relay cannot start: --{taken} {ports[taken]}:interface=127.0.0.1: port")) == 1
        assert "Traceback" not in second.text
