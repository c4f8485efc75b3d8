"""A proxy that stands between a peer and the relay, and does to their bytes what networks and other systems do.

    with Proxy(relay.subscribe_port, down=Fault(rate=10_000)) as proxy:
        slow = socket.create_connection(("127.0.0.1", proxy.port))

`up` is what happens to the bytes that the peer sends, `down` to those that it is sent; without a fault, bytes, the end
of a stream and a reset are passed on as they come. `each` chooses the two anew for every connection. One thread serves
all connections. It reads no more than it can
hold, and its receive buffers are small, so that the sender soon feels what is held back.
"""

from __future__ import annotations

import math
import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from select import select
from types import TracebackType

CHUNK = 64 * 1024
"""Bytes that are passed on at once, at most."""
HELD = 256 * 1024
"""Bytes that wait in one direction of one connection, at most: a delay limits the rate too, as a distance does."""
TICK = 0.02
"""Seconds between two pieces when only a rate is given."""


@dataclass(frozen=True)
class Fault:
    """What happens to the bytes of one direction. The last three count bytes from the beginning of a connection."""

    delay: float = 0.0
    """Seconds that every byte is late."""
    rate: float = math.inf
    """Bytes a second, at most."""
    slice: int = 0
    """Bytes passed on at once; 0: as many as there are. With a rate as well, there is a pause between two slices."""
    cut: float = math.inf
    """After so many bytes the stream ends in an orderly way (FIN), and the rest is thrown away."""
    reset: float = math.inf
    """After so many bytes both connections are reset (RST)."""
    hole: float = math.inf
    """After so many bytes nothing is passed on any more, nor read, and nothing is closed."""

    @property
    def piece(self) -> int:
        """Bytes passed on at once."""
        return self.slice or int(max(1, min(CHUNK, self.rate * TICK)))


NONE = Fault()


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
        most = self._most[way]
        at = chance.randrange(min(200, most) if chance.random() < self._begin else most)
        kind = chance.choices(("cut", "reset", "hole"), (10, 10, 1))[0]
        small = chance.choice((0, 0, 0, chance.randrange(1, 50)))  # bytes at once
        fault = Fault(**{kind: at}, slice=small)
        self.kinds[f"{kind} {('up', 'down')[way]}"] += 1
        return (fault, NONE) if way == 0 else (NONE, fault)


class Pipe:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, fault: Fault) -> None:
        self.source = source
        self.target = target
        self._fault = fault
        self._waiting: deque[tuple[float, bytes]] = deque()  # when it is due, and what; empty is the end
        self._held = 0
        self._passed = 0
        self._next = 0.0  # when the rate allows the next piece
        self._read_all = False
        self._cut = False
        self.ended = False
        """Whether the target has been told that nothing more comes."""
        self.hole = False
        """Whether nothing is read or passed on."""

    @property
    def reads(self) -> bool:
        return not self._read_all and not self.hole and self._held < HELD

    @property
    def due(self) -> float:
        """When something is to be passed on next."""
        return max(self._waiting[0][0], self._next) if self._waiting and not self.hole else math.inf

    def read(self, tap: Callable[[bytes], object]) -> None:
        data = self.source.recv(CHUNK)
        tap(data)
        self._read_all = not data
        if not self._cut:
            self._waiting.append((time.monotonic() + self._fault.delay, data))
            self._held += len(data)

    def write(self) -> None:
        """Pass on one piece; raises ConnectionResetError when it is time for a reset."""
        fault = self._fault
        when, data = self._waiting.popleft()
        if not data:
            self._end()
            return
        room = min(fault.cut, fault.reset, fault.hole) - self._passed
        sent = self.target.send(data[: int(min(fault.piece, room))]) if room else 0
        self._held -= sent
        self._passed += sent
        self._next = max(self._next, time.monotonic() - TICK) + sent / fault.rate
        if sent < len(data):
            self._waiting.appendleft((when, data[sent:]))
        if self._passed >= fault.reset:
            raise ConnectionResetError
        if self._passed >= fault.hole:
            self.hole = True
        elif self._passed >= fault.cut:
            self._cut = True
            self._waiting.clear()
            self._held = 0
            self._end()

    def _end(self) -> None:
        self.ended = True
        self.target.shutdown(socket.SHUT_WR)


class Proxy:
    """`with Proxy(port) as proxy:` passes on what connects to `proxy.port`, to that port; both are on 127.0.0.1."""

    def __init__(
        self,
        port: int,
        up: Fault = NONE,
        down: Fault = NONE,
        tap: Callable[[bytes], object] = lambda data: None,
        each: Callable[[], tuple[Fault, Fault]] | None = None,
    ) -> None:
        """`tap` is shown everything that is read, of both directions, in the proxy's own thread.

        `each`: returns `up` and `down` for one connection; asked when it begins, in the proxy's own thread.
        """
        self._to = ("127.0.0.1", port)
        self._faults = each or (lambda: (up, down))
        self._tap = tap
        self._listener = _small(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._woken, self._wake = socket.socketpair()
        self._links: list[tuple[Pipe, Pipe]] = []
        self._vanished = self._closed = False
        self._serving = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def vanish(self) -> None:
        """Make every connection a black hole in both directions: once this returns, nothing passes any more."""
        with self._serving:
            self._vanished = True
            for pipe in (pipe for link in self._links for pipe in link):
                pipe.hole = True
        self._wake.send(b"!")

    def heal(self) -> None:
        """From now on new connections are well again. Those that are black holes stay so."""
        self._vanished = False

    def _run(self) -> None:
        while not self._closed:
            now = time.monotonic()
            pipes = [pipe for link in self._links for pipe in link]
            readers = {pipe.source: pipe for pipe in pipes if pipe.reads}
            writers = {pipe.target: pipe for pipe in pipes if pipe.due <= now}
            later = min((pipe.due for pipe in pipes if pipe.due > now), default=math.inf)
            timeout = None if later == math.inf else later - now
            readable, writable, _ = select([self._listener, self._woken, *readers], writers, [], timeout)
            with self._serving:
                for link in tuple(self._links):
                    able = [pipe for pipe in link if not pipe.hole]
                    self._serve(
                        link, [p for p in able if p.source in readable], [p for p in able if p.target in writable]
                    )
                if self._listener in readable:
                    self._accept()
            if self._woken in readable:
                self._woken.recv(CHUNK)
        for link in tuple(self._links):
            self._drop(link)

    def _serve(self, link: tuple[Pipe, Pipe], readable: list[Pipe], writable: list[Pipe]) -> None:
        try:
            for pipe in readable:
                pipe.read(self._tap)
            for pipe in writable:
                pipe.write()
        except OSError:
            for pipe in link:
                pipe.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._drop(link)
        else:
            if all(pipe.ended for pipe in link):
                self._drop(link)

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        server = _small(socket.socket())
        try:
            server.connect(self._to)
        except ConnectionRefusedError:
            peer.close()
            server.close()
            return
        for end in (peer, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = self._faults()
        self._links.append((Pipe(peer, server, up), Pipe(server, peer, down)))
        for pipe in self._links[-1]:
            pipe.hole = self._vanished

    def _drop(self, link: tuple[Pipe, Pipe]) -> None:
        self._links.remove(link)
        for pipe in link:
            pipe.source.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All connections end, and so does the thread."""
        self._closed = True
        self._wake.send(b"!")
        self._thread.join()
        for end in (self._listener, self._woken, self._wake):
            end.close()


def _small(end: socket.socket) -> socket.socket:
    """With a small receive buffer; to be called before it is connected."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
    return end
