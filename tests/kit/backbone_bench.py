"""Measures relays on a backbone beside nats-py alone, in the same run, on one server of NATS and on three.

    .venv/bin/python -m tests.kit.backbone_bench --seconds 5

Through-put: 1 KiB messages, published to one relay as fast as it takes them, and read at another; nats-py alone
publishes what is as large as a relay's proposals, and reads it back. Delay: 200 single messages a second. Fan-out: what
each further subscriber costs the relay in processor time, at 200 batches of 30 KiB a second: a relay reads each of them
at once, so that it is one delivery with a backbone and without.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import selectors
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from struct import pack, unpack_from

import nats
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from tests.kit.nats import Nats
from tests.kit.process import Relay

MESSAGE = 1024
BATCH = 256 * 1024
SINGLES = 600
RATE = 200.0
FAN_OUT = 200
"""Batches a second."""


async def alone(url: str, replicas: int, seconds: float) -> tuple[float, float]:
    """Bytes a second, and the median delay in seconds, of nats-py alone: one process that publishes and reads back."""
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(
        StreamConfig(name="ALONE", subjects=["alone"], storage=StorageType.FILE, num_replicas=replicas, max_bytes=2**30)
    )
    got, delays, window = 0, [], asyncio.Semaphore(16)
    inbox = client.new_inbox()

    async def arrived(message: Msg) -> None:
        nonlocal got
        if not message.reply.startswith("$JS.ACK"):
            if message.reply:
                await client.publish(message.reply)
        elif len(message.data) == BATCH:
            got += BATCH
            window.release()
        else:
            delays.append(time.monotonic() - unpack_from("!d", message.data)[0])

    await client.subscribe(inbox, cb=arrived, pending_bytes_limit=-1)
    config = ConsumerConfig(
        deliver_subject=inbox,
        deliver_policy=DeliverPolicy.NEW,
        ack_policy=AckPolicy.NONE,
        flow_control=True,
        idle_heartbeat=1.0,
        mem_storage=True,
        num_replicas=1,
    )
    await stream.add_consumer("ALONE", config)
    payload, begun = bytes(BATCH), time.monotonic()
    while time.monotonic() - begun < seconds:
        await window.acquire()
        await client.publish("alone", payload)
    rate = got / (time.monotonic() - begun)
    await asyncio.sleep(1)
    for _ in range(SINGLES):
        await client.publish("alone", pack("!d", time.monotonic()))
        await asyncio.sleep(1 / RATE)
    await asyncio.sleep(0.2)
    await stream.delete_stream("ALONE")
    await client.close()
    return rate, statistics.median(delays)


def connect(port: int) -> socket.socket:
    """A connection that sends at once."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def flood(publish: int, subscribe: int, seconds: float) -> float:
    """Bytes a second that come out at one port while another is flooded."""
    data = (pack("!I", MESSAGE) + bytes(MESSAGE)) * 64
    with connect(subscribe) as reader, connect(publish) as writer:
        time.sleep(0.3)
        end = time.monotonic() + seconds

        def write() -> None:
            while time.monotonic() < end:
                writer.sendall(data)

        thread = threading.Thread(target=write)
        thread.start()
        got, begun = 0, time.monotonic()
        while time.monotonic() < end:
            got += len(reader.recv(2**20))
        rate = got / (time.monotonic() - begun)
        reader.settimeout(2)
        try:
            while reader.recv(2**20):
                pass
        except TimeoutError:
            pass
        thread.join()
    return rate


def delay(publish: int, subscribe: int) -> tuple[float, float]:
    """The median delay of single messages, and that of the slowest hundredth, in seconds."""
    found = []
    with connect(subscribe) as reader, connect(publish) as writer:
        time.sleep(0.3)
        for _ in range(SINGLES):
            begun = time.monotonic()
            writer.sendall(pack("!Id", 8, begun))
            left = 12
            while left:
                left -= len(reader.recv(left))
            found.append(time.monotonic() - begun)
            time.sleep(1 / RATE)
    return statistics.median(found), statistics.quantiles(found, n=100)[98]


def busy(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fan_out(publish: int, subscribe: int, pid: int, subscribers: int, seconds: float) -> float:
    """Seconds of processor time for each second in which so many subscribers are given `FAN_OUT` batches."""
    data = (pack("!I", MESSAGE) + bytes(MESSAGE)) * 30
    chooser = selectors.DefaultSelector()
    peers = [connect(subscribe) for _ in range(subscribers)]
    for peer in peers:
        peer.setblocking(False)
        chooser.register(peer, selectors.EVENT_READ, peer)
    with connect(publish) as writer:
        time.sleep(0.5)
        begun, used, sent = time.monotonic(), busy(pid), 0
        while (passed := time.monotonic() - begun) < seconds:
            if sent < passed * FAN_OUT:
                writer.sendall(data)
                sent += 1
            for key, _ in chooser.select(0.002):
                key.data.recv(2**20)
        found = (busy(pid) - used) / seconds
    for peer in peers:
        peer.close()
    return found


def each(one: Relay, two: Relay, seconds: float) -> float:
    """Microseconds of processor time that one more subscriber of `two` costs for a batch that is published to `one`."""
    few, many = (
        fan_out(one.publish_port, two.subscribe_port, two.pid, subscribers, seconds) for subscribers in (1, 51)
    )
    return (many - few) / 50 / FAN_OUT * 1e6


def show(what: str, one: Relay, two: Relay, seconds: float) -> None:
    """Measure two relays, which may be one, and print what was found."""
    rate = flood(one.publish_port, two.subscribe_port, seconds)
    p50, p99 = (1000 * found for found in delay(one.publish_port, two.subscribe_port))
    cost = each(one, two, seconds)
    print(f"{what}: {rate / 1e6:.0f} MB/s; p50 {p50:.2f} ms, p99 {p99:.2f} ms; a delivery {cost:.1f} \N{MICRO SIGN}s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for servers in (1, 3):
        with tempfile.TemporaryDirectory() as folder, Nats(Path(folder), servers) as server:
            options = (
                "--backbone",
                server.url(),
                "--backbone-replicas",
                str(servers),
                "--backbone-size",
                "1GiB",
                "--slow",
                "block",
            )
            with Relay("--slow", "block") as lone, Relay(*options) as one, Relay(*options) as two:
                for _ in range(given.rounds):
                    show("one relay alone", lone, lone, given.seconds)
                    url = f"nats://127.0.0.1:{server.nodes[0].port}"
                    rate, p50 = asyncio.run(alone(url, servers, given.seconds))
                    print(f"{servers} servers, nats-py alone: {rate / 1e6:.0f} MB/s; p50 {1000 * p50:.2f} ms")
                    show(f"{servers} servers, two relays", one, two, given.seconds)


if __name__ == "__main__":
    main()
