"""Peers with sessions, written from `docs/protocol.md` alone: they import nothing of the relay or of its clients.

Each goes on over as many connections as it needs, without a pause, and checks all that it is told: an AssertionError
means that the relay broke a promise. What ends a connection is counted in `ends`, and is no error.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from select import select
from struct import pack, unpack_from
from typing import Any, Protocol, Self
from urllib.parse import urlencode

from tests.kit.process import DEADLINE
from tests.kit.proxy import NONE, Fault

CONTROL = 0x80000000
Control = dict[str, Any]  # Any: what JSON has
Part = bytes | Control
"""A message, or a control frame."""
READ = 64 * 1024


def control(**values: object) -> bytes:
    """A control frame."""
    body = json.dumps(values).encode()
    return pack("!I", CONTROL + len(body)) + body


class TcpWire:
    """A session by TCP, as bytes."""

    def __init__(self) -> None:
        self._came = bytearray()

    def hello(self, **values: object) -> bytes:
        """What a subscriber sends first."""
        return control(relay=1, type="subscribe", **values)

    def receive(self, data: bytes) -> Iterator[Part]:
        """What is complete with these bytes."""
        came = self._came
        came += data
        at = 0
        while len(came) - at >= 4:
            (header,) = unpack_from("!I", came, at)
            end = at + 4 + (header & ~CONTROL)
            if len(came) < end:
                break
            body = bytes(came[at + 4 : end])
            at = end
            yield json.loads(body) if header & CONTROL else body
        del came[:at]


class WebSocketWire:
    """A session by WebSocket, as bytes."""

    def __init__(self) -> None:
        self._came = bytearray()
        self._opened = False

    def hello(self, **values: object) -> bytes:
        """The opening handshake; the query has the keys of the hello."""
        lines = (
            f"GET /ws?session&{urlencode(values)} HTTP/1.1",
            *("Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"),
            *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""),
        )
        return "\r\n".join(lines).encode()

    def receive(self, data: bytes) -> Iterator[Part]:
        """What is complete with these bytes. A close frame is nothing: the end of the stream follows."""
        self._came += data
        if not self._opened:
            head, end, rest = self._came.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._came, self._opened = rest, True
        while (found := self._frame()) is not None:
            opcode, payload = found
            assert opcode in (1, 2, 8), opcode
            if opcode == 2:
                yield payload
            elif opcode == 1:
                yield json.loads(payload)

    def _frame(self) -> tuple[int, bytes] | None:
        """The first frame and its opcode (RFC 6455, section 5.2); None if it is not complete."""
        came, begin = self._came, 2
        if len(came) < begin:
            return None
        size = came[1]
        if size >= 126:
            begin, form = (4, "!H") if size == 126 else (10, "!Q")
            if len(came) < begin:
                return None
            (size,) = unpack_from(form, came, 2)
        if len(came) < begin + size:
            return None
        assert came[0] & 0x80, "a fragment"
        opcode, payload = came[0] & 0x0F, bytes(came[begin : begin + size])
        del came[: begin + size]
        return opcode, payload


class Wire(Protocol):
    def hello(self, **values: object) -> bytes: ...

    def receive(self, data: bytes) -> Iterator[Part]: ...


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

    def run(self, done: Callable[[], bool]) -> None:
        """Subscribe over one connection after the other. `done`: asked between two reads."""
        while not done():
            self.ends[self.connect_once(done)] += 1

    def connect_once(self, done: Callable[[], bool]) -> str:
        """Subscribe over one connection; returns how it ended."""
        try:
            with socket.socket() as peer:
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
        self, port: int, name: str, message: Callable[[int], bytes], window: int = 100, patience: float = 3.0
    ) -> None:
        """`message`: makes the message of a number. `window`: messages that may wait for their acknowledgement.

        `patience`: seconds of silence that end a connection.
        """
        self.accepted = self.sent = 0
        """Number of the last message that the relay said it has accepted; of the last that was ever sent."""
        self.acks = 0
        self.ends: Counter[str] = Counter()
        """How connections ended."""
        self.others = False
        """Whether others publish under the name too, so that more can be accepted than was sent here."""
        self._port = port
        self._name = name
        self._message = message
        self._window = window
        self._patience = patience

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
            while following and not finishing and following <= self.accepted + self._window:
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
        assert self.others or accepted <= self.sent, f"{said} when {self.sent} were sent"
        assert said.get("known", True) or not accepted, said
        self.accepted = accepted
        self.acks += said["type"] == "ack"


class RandomFaults:
    """What happens to the connections through a proxy: to each something else, until `count` have had a fault."""

    def __init__(self, seed: int, count: int, up: int, down: int, begin: float = 0.1) -> None:
        """`up`, `down`: bytes after which a fault comes at most, in each direction. `begin`: how many of the faults
        are in the first 200 bytes, where the hello is, and the welcome."""
        print(f"seed {seed}")
        self._random = random.Random(seed)
        self._most = up, down
        self._begin = begin
        self._left = count
        self.kinds: Counter[str] = Counter()

    @property
    def over(self) -> bool:
        """Whether there are no more faults to come."""
        return not self._left

    def __call__(self) -> tuple[Fault, Fault]:
        if not self._left:
            return NONE, NONE
        self._left -= 1
        chance = self._random
        way = chance.randrange(2) if all(self._most) else self._most.index(0) ^ 1
        at = chance.randrange(200 if chance.random() < self._begin else self._most[way])
        kind = chance.choices(("cut", "reset", "hole"), (10, 10, 1))[0]
        small = chance.choice((0, 0, 0, chance.randrange(1, 50)))  # bytes at once
        fault = Fault(**{kind: at}, slice=small)
        self.kinds[f"{kind} {('up', 'down')[way]}"] += 1
        return (fault, NONE) if way == 0 else (NONE, fault)


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
