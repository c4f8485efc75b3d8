"""Workers that are killed one after the other, under a crowd: nobody is refused, and sessions lose nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections import Counter
from collections.abc import Callable

from tests.kit.process import DEADLINE, Relay, children
from tests.kit.session_peers import PacedFlood, position, sized
from tests.kit.session_wires import READ, TcpWire
from tests.kit.web import metric, relay

LOST = 'relay_connections_closed_total{feed="tcp",reason="worker lost",role="subscriber"}'


class Peer:
    """A subscriber that comes back at once whenever its connection ends."""

    def __init__(self, port: int, ends: Counter[str]) -> None:
        """`ends`: counts how connections of all peers ended."""
        self.connected = False
        self._port = port
        self._ends = ends

    async def run(self) -> None:
        """Subscribe until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    await self.listen(reader, writer)
                finally:
                    self.connected = False
                    writer.close()
            except ConnectionRefusedError:
                self._ends["refused"] += 1
            except OSError:
                self._ends["reset"] += 1
            else:
                self._ends["end"] += 1

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until the end, without a word."""
        while await reader.read(READ):
            self.connected = True


class Resuming(Peer):
    """One with a session, which goes on where it stopped."""

    def __init__(self, port: int, ends: Counter[str], after: str) -> None:
        super().__init__(port, ends)
        self.epoch, _, number = after.partition("-")
        self.next = int(number) + 1

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, welcomed = TcpWire(), False
        writer.write(wire.hello(after=f"{self.epoch}-{self.next - 1}"))
        while data := await reader.read(READ):
            self.connected = True
            for part in wire.receive(data):
                if isinstance(part, dict):
                    welcomed = True
                    assert not part.get("lost"), part
                    assert part["next"] == f"{self.epoch}-{self.next}", f"{part} when the next is {self.next}"
                elif welcomed:
                    assert part == sized(self.next), self.next
                    self.next += 1


async def until(true: Callable[[], bool], what: str) -> None:
    for _ in range(int(4 * DEADLINE / 0.05)):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(what)


async def crowd(running: Relay, count: int, kills: int, flood: PacedFlood, after: str) -> Counter[str]:
    """So many peers, of which half have sessions, while workers are killed, one a second. Returns how they ended."""
    ends: Counter[str] = Counter()
    silent = [Peer(running.subscribe_port, ends) for _ in range(count // 2)]
    sessions = [Resuming(running.subscribe_port, ends, after) for _ in range(count - count // 2)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run()) for one in (*silent, *sessions)]
        await until(lambda: all(one.connected for one in (*silent, *sessions)), "all are there")
        for _ in range(kills):
            os.kill(children(running.pid)[0], signal.SIGKILL)
            await asyncio.sleep(1)
        await until(lambda: all(one.connected for one in (*silent, *sessions)), "all have come back")
        last = await asyncio.to_thread(flood.stop)
        await until(lambda: all(one.next > last for one in sessions), "sessions have everything")
        for task in tasks:
            task.cancel()
    return ends


def test_nobody_is_refused_and_sessions_lose_nothing(thorough: bool) -> None:
    count, kills, rate = (1000, 60, 20) if thorough else (100, 3, 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    try:
        with relay("--workers", "3") as (running, port):
            after = position(running.subscribe_port)
            with PacedFlood(running.publish_port, rate) as flood:
                ends = asyncio.run(crowd(running, count, kills, flood, after))
            lost = metric(port, LOST)
            print(f"{flood.count} messages, {kills} workers killed; ends: {dict(ends)}; worker lost: {lost:,.0f}")
            assert not ends["refused"]
            assert lost > 0
            assert len(running.log.find("has ended by SIGKILL")) == kills
            assert not running.log.find("Traceback")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
