"""What peers do to each other only after a while: two minutes of it."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

from tests.kit.fakes import frame
from tests.kit.flood import MIB, complete, flood, numbered
from tests.kit.healthy import MARK, Healthy
from tests.kit.peers import connection, receive, receive_all
from tests.kit.process import DEADLINE, Relay, roomy
from tests.kit.proxy import Fault, Proxy


def test_two_minutes_of_slow_and_silent_peers_end_those_alone_that_do_nothing() -> None:
    """Four subscribers read a steady 10 kB/s, with some 30 MB before them all the time, three of them with receive
    buffers that take them half a minute or more to read; a publisher needs 10 s for each message, and two are silent,
    one of them behind a black hole: all of these stay."""
    with (
        ThreadPoolExecutor() as pool,
        Relay("--stall-timeout", "60") as relay,
        Healthy(relay, p99=60.0) as healthy,  # what else happens on this machine meanwhile is not the relay's
        Proxy(relay.subscribe_port, down=Fault(rate=10_000)) as narrow,
        Proxy(relay.publish_port, up=Fault(hole=60)) as hole,
        connection(narrow.port) as behind_proxy,
        connection(relay.subscribe_port) as stuck,
        roomy(relay.subscribe_port, 2**18) as steady,
        roomy(relay.subscribe_port, 2**19) as steady_too,
        roomy(relay.subscribe_port, 2**20) as steady_as_well,
        connection(relay.publish_port) as _silent,
        connection(hole.port) as vanished,
        connection(hole.port) as half_message,
        connection(relay.publish_port) as dribbling,
    ):
        relay.log.wait_for("subscriber .* connected", 6)  # with the healthy one
        flood(relay.publish_port, 32 * MIB, size=1000)
        vanished.sendall(frame(b"x" * 56) * 2)
        half_message.sendall(frame(b"x" * 1000))
        draining = pool.submit(receive_all, behind_proxy)
        received = {peer: bytearray() for peer in (steady, steady_too, steady_as_well)}
        begin = time.monotonic()
        for tick in range(1200):
            time.sleep(max(0.0, begin + tick / 10 - time.monotonic()))
            for peer, data in received.items():
                data += receive(peer, 1000)
            if tick % 10 == 0:
                dribbling.sendall(frame(b"sl-o-w")[tick // 10 % 10 :][:1])
        healthy.stop()
        for data in received.values():
            got = [message for message in complete(bytes(data)) if not message.startswith(MARK)]
            assert len(got) > 0.9 * len(data) / 1004
            assert got == [numbered(number, 1000) for number in range(len(got))]
        cut = relay.log.find(r"subscriber 127\.0\.0\.1:(\d+) disconnected: stalled")
        assert [int(match[1]) for match in cut] == [stuck.getsockname()[1]], relay.log.text
        relay.log.wait_for("publisher .* disconnected: frame timeout, 0 messages, 0 bytes, 60 bytes of an incomplete")
        relay.log.wait_for("publisher .* disconnected: peer closed", 2)
        ended = [match[1] for match in relay.log.find("publisher .* disconnected: (.*?),")]
        assert sorted(ended) == ["frame timeout", "peer closed", "peer closed"], "the flood, and the healthy one"
        behind_proxy.shutdown(socket.SHUT_RDWR)
        assert len(draining.result(DEADLINE)) > 900_000
