"""A fuzzer for both sides of a relay: `python -m tests.kit.fuzz --seconds 600 --seed 7`.

Random publishers and random subscribers, all in one thread, talk to a real relay: each step one of them does something
that a peer may do, or should not. Beside them an oracle subscribes from the beginning and always reads. Whatever the
others do, it has to get everything that a publisher completely sent, once, in order and whole, and nothing else; and
every other subscriber the same from its first message on. What is sent is in `tests.kit.ledger`.

The steps follow from the seed. When the kernel takes and brings bytes does not, so that a run cannot be repeated
exactly.
"""

from __future__ import annotations

import argparse
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.kit.healthy import descriptors, memory
from tests.kit.ledger import FramedLedger, Ledger, RawLedger, Reader
from tests.kit.process import DEADLINE, Relay
from tests.kit.resets import reset

PUBLISHERS = 12
SUBSCRIBERS = 12
BUFFER = 4 * 2**20
IN_FLIGHT = 2**20
"""Bytes that are on their way to the oracle, about: it must not overrun, and others shall."""
LIFE = 8.0
"""Seconds after which a peer has to end: less than the relay's timeouts."""


class Case(NamedTuple):
    """How the relay is started."""

    framing: str
    slow: str
    replay: int = 0

    @property
    def options(self) -> tuple[str, ...]:
        return ("--framing", self.framing, "--slow", self.slow, "--replay", str(self.replay), "--buffer", str(BUFFER))


CASES = (
    Case("int32", "disconnect"),
    Case("int32", "skip"),
    Case("int32", "block"),
    Case("line", "disconnect"),
    Case("raw", "disconnect"),
    Case("int32", "disconnect", replay=50),
    Case("line", "skip"),
    Case("line", "block"),
    Case("raw", "skip"),
    Case("raw", "block"),
)


@dataclass
class Done:
    """What happened in a run."""

    messages: int = 0
    bytes: int = 0
    to_others: int = 0
    """Bytes that the other subscribers got."""
    steps: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        steps = ", ".join(f"{count:,} {name}" for name, count in sorted(self.steps.items()))
        return f"{self.messages:,} messages, {self.bytes:,} bytes, {self.to_others:,} to others; {steps}"


class Peer:
    def __init__(self, port: int, small: bool = False) -> None:
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.until = time.monotonic() + LIFE

    def reset(self) -> None:
        reset(self.socket)

    def receive(self, size: int) -> bytes | None:
        """What there is, up to `size` bytes; None where there is nothing, and nothing at all for the end."""
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""


class Publisher(Peer):
    """Sends what its source produces, and ends in one of these ways."""

    def __init__(self, port: int, ledger: Ledger, chance: random.Random) -> None:
        super().__init__(port)
        self.chance = chance
        self.ledger = ledger
        self.source = ledger.source()
        self.outbox = bytearray()
        self.ending = ""
        self.counted = 0  # bytes of the outbox that are the source's; what is behind them nobody may see

    def produce(self) -> None:
        if not self.ending and len(self.outbox) < IN_FLIGHT // 4:
            more = self.source.produce(self.chance)
            self.outbox += more
            self.counted += len(more)

    def end(self, how: str) -> None:
        """Decide how it will end, once the rest is sent."""
        if self.ending:
            return
        if how == "half":
            self.outbox += self.source.begun(self.chance)
        elif how == "bad":
            bad = self.source.bad(self.chance)
            self.outbox += bad
            how = how if bad else "wait"
        self.ending = how

    def send(self, size: int) -> None:
        """Hand on as much of the outbox, unless too much is on its way already."""
        if self.ledger.owed > IN_FLIGHT:
            return
        try:
            taken = self.socket.send(self.outbox[:size]) if self.outbox else 0
        except BlockingIOError:
            return
        except ConnectionError:
            assert self.ending == "bad", "the relay cut a publisher that did nothing wrong"
            assert not self.counted, "the relay cut a publisher before it did something wrong"
            self.outbox.clear()
            return
        del self.outbox[:taken]
        ours = min(taken, self.counted)
        self.counted -= ours
        self.source.sent(ours)

    def finished(self) -> bool:
        """Go on with the end; whether it is over."""
        if self.ending == "reset" and self.source.may_reset:
            self.reset()
            self.source.end(exact=False)
            return True
        if not self.ending or self.outbox:
            return False
        if self.ending == "bad":
            pass  # the relay ends it
        elif self.ending == "close" and self.source.may_reset:
            self.socket.close()
            self.source.end(exact=True)
            return True
        elif self.ending != "waiting":
            self.socket.shutdown(socket.SHUT_WR)
            self.ending = "waiting"
        if self.receive(1) is None:
            return False
        self.socket.close()
        self.source.end(exact=True)
        return True


class Subscriber(Peer):
    def __init__(self, port: int, reader: Reader, small: bool = False) -> None:
        super().__init__(port, small)
        self.small = small
        self.reader = reader

    def read(self, size: int) -> bool:
        """Whether the connection goes on."""
        data = self.receive(size)
        if data:
            self.reader.feed(data)
        return data != b""

    def garbage(self, size: int) -> None:
        with suppress(OSError):  # it may have closed that half, or be cut already
            self.socket.send(bytes(size))


class Fuzz:
    """One run against one relay."""

    def __init__(self, relay: Relay, case: Case, chance: random.Random) -> None:
        self.relay = relay
        self.case = case
        self.chance = chance
        self.done = Done()
        self.ledger: Ledger = RawLedger() if case.framing == "raw" else FramedLedger(case.framing)
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self.oracle = Subscriber(relay.subscribe_port, self.ledger.reader(oracle=True))
        relay.log.wait_for("subscriber .* connected")
        self.descriptors = descriptors(relay.pid)
        self.memory = memory(relay.pid, "VmRSS")

    def run(self, seconds: float) -> Done:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.step()
            self.look()
        self.finish()
        self.done.messages = self.ledger.messages
        self.done.bytes = self.oracle.reader.received
        return self.done

    def step(self) -> None:
        """One peer does one thing."""
        chance = self.chance
        which = chance.random()
        if which < 0.002:
            self.count("bursts of connections")
            for _ in range(chance.randrange(2, 20)):
                one = self.publish()
                one.produce()
                one.send(2**16)
                one.end(chance.choice(("close", "wait", "half", "reset")))
        elif which < 0.02 and len(self.publishers) < PUBLISHERS:
            self.count("publishers")
            self.publish()
        elif which < 0.05 and len(self.subscribers) < SUBSCRIBERS:
            self.count("subscribers")
            self.subscribe()
        elif which < 0.5 and self.publishers:
            self.use_publisher(chance.choice(self.publishers))
        elif self.subscribers:
            self.use_subscriber(chance.choice(self.subscribers))

    def count(self, what: str) -> None:
        self.done.steps[what] += 1

    def publish(self) -> Publisher:
        self.publishers.append(Publisher(self.relay.publish_port, self.ledger, self.chance))
        return self.publishers[-1]

    def subscribe(self) -> None:
        gaps = self.case.slow == "skip"
        reader = self.ledger.reader(oracle=False, gaps=gaps, replay=self.case.replay)
        self.subscribers.append(Subscriber(self.relay.subscribe_port, reader, self.chance.random() < 0.5))

    def use_publisher(self, one: Publisher) -> None:
        chance = self.chance
        what = chance.random()
        if what < 0.3:
            one.produce()
        elif what < 0.97:
            one.send(chance.choice((1, 2, 3, 5, 100, chance.randrange(1, 5000), 2**18, 2**18)))
        else:
            how = chance.choice(("wait", "close", "half", "bad", "reset"))
            self.count(f"publishers {how}")
            one.end(how)

    def use_subscriber(self, one: Subscriber) -> None:
        chance = self.chance
        what = chance.random()
        if what < 0.9:
            if not one.read(chance.choice((1, 10, 1000, 2**16, 2**20, 2**20))):
                self.count("subscribers cut")
                assert self.case.slow == "disconnect", "a subscriber was cut"
                self.leave(one, reset=False)
        elif what < 0.95:
            one.garbage(chance.randrange(1, 10_000))
        elif what < 0.97:
            with suppress(OSError):  # it did so before, or is cut
                one.socket.shutdown(socket.SHUT_WR)
        elif what < 0.98:
            self.count("subscribers that left")
            self.leave(one, reset=chance.random() < 0.5)

    def leave(self, one: Subscriber, reset: bool) -> None:
        self.subscribers.remove(one)
        if reset:
            one.reset()
        one.socket.close()
        one.reader.close()
        self.done.to_others += one.reader.received

    def look(self) -> None:
        """The oracle reads, and who is at the end of its life ends."""
        for _ in range(8):
            if self.oracle.socket.fileno() < 0 or (data := self.oracle.receive(2**20)) is None:
                break
            assert data, "the relay cut the oracle"
            self.oracle.reader.feed(data)
        now = time.monotonic()
        for publisher in tuple(self.publishers):
            if now > publisher.until:
                publisher.end("wait")
                publisher.send(2**18)
            if publisher.finished():
                self.publishers.remove(publisher)
        for subscriber in tuple(self.subscribers):
            if now > subscriber.until:
                self.leave(subscriber, reset=False)

    def finish(self) -> None:
        """Everybody ends, and what is on its way arrives."""
        for publisher in self.publishers:
            publisher.end("wait")
        for subscriber in [one for one in self.subscribers if one.small]:
            self.leave(subscriber, reset=True)  # it would need long for all that waits for it
        deadline = time.monotonic() + DEADLINE
        while self.publishers:
            assert time.monotonic() < deadline, "publishers are not read to their end"
            for publisher in self.publishers:
                publisher.send(2**18)
            for subscriber in tuple(self.subscribers):
                if not subscriber.read(2**20):
                    self.leave(subscriber, reset=False)
            self.look()
        for subscriber in tuple(self.subscribers):
            self.leave(subscriber, reset=True)
        while descriptors(self.relay.pid) > self.descriptors:
            assert time.monotonic() < deadline, "descriptors are left behind"
            self.look()
        grown = memory(self.relay.pid, "VmHWM") - self.memory
        assert grown < BUFFER + 60 * 10**6, f"{grown:,} bytes more than before"
        self.relay.log.process.terminate()
        self.oracle.socket.setblocking(True)
        self.oracle.socket.settimeout(DEADLINE)
        while data := self.oracle.receive(2**20):
            self.oracle.reader.feed(data)
        self.oracle.socket.close()
        self.ledger.check_end()


def play(case: Case, seed: str, seconds: float) -> Done:
    """One relay, fuzzed for so long, and what has to be true of it at the end."""
    with Relay("--drain-timeout", "20", *case.options) as relay:
        try:
            done = Fuzz(relay, case, random.Random(seed)).run(seconds)
            assert relay.log.wait_for_end() == 0
            assert "Traceback" not in relay.log.text
        except AssertionError as error:
            raise AssertionError(f"{case}, seed {seed!r}: {error}\n{relay.log.text[-5000:]}") from error
    return done


def plays(seed: int, seconds: float, cases: tuple[Case, ...] = CASES) -> Iterator[tuple[Case, Done]]:
    """Fuzz each case in turn, for so long together."""
    for number, case in enumerate(cases):
        yield case, play(case, f"{seed} {number}", seconds / len(cases))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kit.fuzz", description="Fuzz a relay from both sides.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long, all cases together")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    for case, done in plays(options.seed, options.seconds):
        print(f"{case.framing} {case.slow} replay {case.replay}: {done}", flush=True)


if __name__ == "__main__":
    main()
