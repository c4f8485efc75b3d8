"""Peers with sessions, written from `docs/protocol.md` alone: they import nothing of the relay or of its clients.

Each goes on over as many connections as it needs, without a pause, and checks all that it is told: an AssertionError
means that the relay broke a promise. What ends a connection is counted in `ends`, and is no error.
"""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from select import select
from struct import pack, unpack_from
from typing import Self

from tests.kit.process import DEADLINE, wait_until
from tests.kit.resets import reset
from tests.kit.session_wires import READ, Control, Part, TcpWire, Wire, control


class ResumingSubscriber:
    """A subscriber that goes on where it stopped."""

    def __init__(
        self,
        port: int,
        after: str,
        wire: Callable[[], Wire] = TcpWire,
        patience: float = 3.0,
        heartbeat: float = 1,
        room: int | None = None,
    ) -> None:
        """`after`: the position after which to begin. `patience`: seconds of silence, or without a welcome, that end
        a connection. `room`: bytes that the kernel is asked to take while nothing is read; None for its own choice.
        """
        self.epoch, _, number = after.partition("-")
        self.next = int(number) + 1
        """Number of the next message."""
        self.messages: list[tuple[int, bytes]] = []
        """Every message of the session, with its number."""
        self.lost: list[range] = []
        """The numbers that the relay said are gone."""
        self.ends: Counter[str] = Counter()
        """How connections ended."""
        self.byes: list[Control] = []
        self.heartbeats = self.gaps = self.dropped = 0
        """How many came; `dropped`: messages before a welcome."""
        self._port = port
        self._wire = wire
        self._patience = patience
        self._heartbeat = heartbeat
        self._room = room
        self._peer: socket.socket | None = None

    def move(self, port: int) -> None:
        """Connect to another port from the next connection on."""
        self._port = port

    def leave(self) -> None:
        """End the connection, from another thread: so it is asked at once whether it is done."""
        if self._peer is not None:
            with suppress(OSError):  # it has ended
                self._peer.shutdown(socket.SHUT_RDWR)

    def run(self, done: Callable[[], bool]) -> None:
        """Subscribe over one connection after the other. `done`: asked between two reads."""
        while not done():
            self.ends[self.connect_once(done)] += 1

    def connect_once(self, done: Callable[[], bool]) -> str:
        """Subscribe over one connection; returns how it ended."""
        try:
            with socket.socket() as peer:
                self._peer = peer
                if self._room is not None:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._room)
                peer.settimeout(self._patience)
                peer.connect(("127.0.0.1", self._port))
                return self._listen(peer, done)
        except TimeoutError:
            return "silence"
        except OSError:
            return "reset"

    def _listen(self, peer: socket.socket, done: Callable[[], bool]) -> str:
        wire, limit = self._wire(), time.monotonic() + self._patience
        welcomed = False
        peer.sendall(wire.hello(after=f"{self.epoch}-{self.next - 1}", heartbeat=self._heartbeat))
        while not done():
            data = peer.recv(READ)
            if not data:
                return "end"
            for part in wire.receive(data):
                if isinstance(part, dict) and part["type"] == "welcome":
                    assert not welcomed, "a second welcome"
                    welcomed = True
                if welcomed:
                    self._take(part)
                elif isinstance(part, dict) and part["type"] == "bye":
                    assert part["reason"] == "not ready", part
                    return "not ready"
                else:
                    assert isinstance(part, bytes), part
                    self.dropped += 1
            if not welcomed and time.monotonic() > limit:
                return "no welcome"
        return "done"

    def _take(self, part: Part) -> None:
        if isinstance(part, bytes):
            self.messages.append((self.next, part))
            self.next += 1
            return
        epoch, _, number = part["next"].partition("-")
        assert epoch == self.epoch, part
        lost = part.get("lost", 0)
        assert int(number) == self.next + lost, f"{part} when the next is {self.next}"
        if lost:
            self.lost.append(range(self.next, self.next + lost))
            self.next += lost
        match part["type"]:
            case "heartbeat":
                self.heartbeats += 1
            case "gap":
                self.gaps += 1
                assert lost, part
            case "bye":
                self.byes.append(part)
            case kind:
                assert kind == "welcome", part


class AcknowledgedPublisher:
    """A publisher with a name that sends numbered messages from 1 on, and goes on with what was not accepted."""

    def __init__(
        self,
        port: int,
        name: str,
        message: Callable[[int], bytes],
        window: int = 100,
        patience: float = 3.0,
        others: bool = False,
    ) -> None:
        """`message`: makes the message of a number. `window`: messages that may wait for their acknowledgement.

        `patience`: seconds of silence that end a connection. `others`: whether others publish under the name too, so
        that more can be accepted than was sent here.
        """
        self.accepted = self.sent = 0
        """Number of the last message that the relay said it has accepted; of the last that was ever sent."""
        self.acks = 0
        self.ends: Counter[str] = Counter()
        """How connections ended."""
        self._port = port
        self._last: float = math.inf
        self._name = name
        self._message = message
        self._window = window
        self._others = others
        self._patience = patience

    def move(self, port: int) -> None:
        """Connect to another port from the next connection on."""
        self._port = port

    def limit(self, last: int) -> None:
        """Send no message behind number `last`."""
        self._last = last

    def run(self, done: Callable[[], bool]) -> None:
        """Publish over one connection after the other until `done`, and until all that was sent is accepted."""
        while not (done() and self.accepted >= self.sent):
            self.ends[self.connect_once(done)] += 1

    def connect_once(self, done: Callable[[], bool]) -> str:
        """Publish over one connection; returns how it ended."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), self._patience) as peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self._talk(peer, done)
        except OSError:
            return "reset"

    def _talk(self, peer: socket.socket, done: Callable[[], bool]) -> str:
        wire, following = TcpWire(), 0  # number of the next message to send here; 0: no welcome yet
        out = control(relay=1, type="publish", name=self._name)
        while True:
            finishing = done()
            if following and finishing and self.accepted >= self.sent:
                return "done"
            while following and not finishing and following <= min(self.accepted + self._window, self._last):
                message = self._message(following)
                out += pack("!I", len(message)) + message
                self.sent = max(self.sent, following)
                following += 1
            if following and finishing and following <= self.sent:  # what was sent over earlier connections
                message = self._message(following)
                out += pack("!I", len(message)) + message
                following += 1
            readable, writable, _ = select([peer], [peer] if out else [], [], self._patience)
            if writable:
                out = out[peer.send(out) :]
            if not readable and not writable:
                return "silence"
            if readable:
                data = peer.recv(READ)
                if not data:
                    return "end"
                for part in wire.receive(data):
                    assert isinstance(part, dict), "a message to a publisher"
                    self._hear(part)
                    if part["type"] == "welcome":
                        assert not following, "a second welcome"
                        following = self.accepted + 1
                    if part["type"] == "bye":
                        return str(part["reason"])

    def _hear(self, said: Control) -> None:
        assert said["type"] in ("welcome", "ack", "heartbeat", "bye"), said
        accepted = said["accepted"]
        assert accepted >= self.accepted, f"{said} after {self.accepted}"
        assert self._others or accepted <= self.sent, f"{said} when {self.sent} were sent"
        assert said.get("known", True) or not accepted, said
        self.accepted = accepted
        self.acks += said["type"] == "ack"


def position(port: int) -> str:
    """The position of the last message that was published, from the subscriber port of a relay."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as peer:
        wire = TcpWire()
        peer.sendall(wire.hello())
        while data := peer.recv(READ):
            for part in wire.receive(data):
                if isinstance(part, dict):
                    epoch, _, number = part["next"].partition("-")
                    return f"{epoch}-{int(number) - 1}"
    raise AssertionError("no welcome")


def sized(number: int) -> bytes:
    """A message that says which one it is, some 100 bytes long, each of another length than its neighbours."""
    return pack("!Q", number) + b"f" * (number * 7919 % 201)


class PacedFlood:
    """`with PacedFlood(port, rate) as flood:` publishes `sized` messages from 1 on, so many a second, until the end."""

    def __init__(self, port: int, rate: int, message: Callable[[int], bytes] = sized) -> None:
        self.count = 0
        """How many were published; final after `stop`."""
        self._port = port
        self._rate = rate
        self._message = message
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), DEADLINE) as peer:
            begin = time.monotonic()
            while not self._stop.wait(0.002):
                due = int((time.monotonic() - begin) * self._rate)
                messages = [self._message(number + 1) for number in range(self.count, due)]
                peer.sendall(b"".join(pack("!I", len(message)) + message for message in messages))
                self.count = max(due, self.count)
            peer.shutdown(socket.SHUT_WR)
            assert peer.recv(1) == b""

    def stop(self) -> int:
        """Publish no more; returns how many there are, once the relay has read them all."""
        self._stop.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), "the relay does not read"
        return self.count

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def check_messages(subscriber: ResumingSubscriber, count: int) -> None:
    """See that what it got, and what it was told is lost, are together the messages from 1 to `count`, each once."""
    got = [number for number, _ in subscriber.messages]
    assert got == sorted(set(got))
    for number, message in subscriber.messages:
        assert message == sized(number), f"{unpack_from('!Q', message)[0]} is counted as {number}"
    lost = [number for gap in subscriber.lost for number in gap]
    assert sorted(got + lost) == list(range(1, count + 1))


def within(seconds: float, done: Callable[[], bool]) -> Callable[[], bool]:
    """`done`, which has to come true before the time is over."""
    end = time.monotonic() + seconds

    def checked() -> bool:
        assert time.monotonic() < end, f"not within {seconds:g} s"
        return done()

    return checked


class Witness:
    """`with Witness(port) as witness:` has a plain subscriber, without a session, that keeps the numbers of messages.

    Messages are `sized`, and are looked at whole.
    """

    def __init__(self, port: int) -> None:
        self.numbers: list[int] = []
        """Of what came so far, in order."""
        self._peer = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self._peer.settimeout(None)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        wire = TcpWire()
        while data := self._peer.recv(READ):
            for part in wire.receive(data):
                assert isinstance(part, bytes), "a control frame to one without a session"
                (number,) = unpack_from("!Q", part)
                assert part == sized(number)
                self.numbers.append(number)

    def wait_for(self, count: int) -> list[int]:
        """The numbers of all messages, once so many have come."""
        wait_until(lambda: len(self.numbers) >= count or not self._thread.is_alive(), f"{count} messages")
        return list(self.numbers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._peer.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        reset(self._peer)
