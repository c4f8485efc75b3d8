"""Sessions in any order of events, against peers that count as the protocol says, and know nothing else.

Connections break at any byte. What a peer has been told must be true at that moment, and what it has counted must be
what the relay has counted.
"""

from __future__ import annotations

from collections import OrderedDict
from struct import pack, unpack_from

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from relay.core.budget import Budget
from relay.core.history import History
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.slow import SLOW_POLICIES, SlowPolicy
from relay.peers.intake import Intake
from relay.peers.publisher import PublisherFactory
from relay.peers.subscriber import SubscriberFactory
from relay.wire.counted import Int32
from tests.kit.connections import PEER, FakeTransport
from tests.kit.fakes import FakeIntake, FakeSubscriber, Turns, accepted, frame, frames
from tests.kit.session_wires import Control, Part, TcpWire
from tests.kit.sessions import EPOCH, Timers, hello, make_sessions

MOST = 4
"""Peers that are there at once."""
WHOLE = [1000, 1000]
"""More bytes than a hello has. Twice, so that most hellos arrive whole."""
NAMES = 1
"""Names that are remembered without a connection: fewer than there are, so that some are forgotten."""
BUFFER = 128 * 1024
"""Bytes: small, so that subscribers often lack what the log has no more."""


class Stream:
    """What a transport was given, split into frames as it comes."""

    def __init__(self, transport: FakeTransport) -> None:
        self._transport = transport
        self._wire = TcpWire()
        self._at = 0

    def read(self, most: int | None = None) -> list[Part]:
        """The frames that are complete and were not read before, of the first `most` bytes only if given."""
        data = self._transport.value()[self._at : most]
        self._at += len(data)
        return list(self._wire.receive(data))


class PublishingPeer:
    """One connection of a publisher with a name."""

    def __init__(self, machine: PublisherMachine, name: str) -> None:
        self.name = name
        self.publisher = machine.factory.buildProtocol(PEER)
        self.transport = FakeTransport()
        self.publisher.makeConnection(self.transport)
        self.out = bytearray(hello("publish", name=name, heartbeat=1))
        self.said = Stream(self.transport)
        self.welcomed = self.over = False
        """Whether it has had its welcome, and its last word."""
        self.accepted = self.last = 0
        """Number of the last message that was accepted, as it was told; of the last that it has to send."""


class PublisherMachine(RuleBasedStateMachine):
    """Publishers with names, whose message `n` since the relay knows the name has that number in it."""

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.turns, self.timers = Turns(), Timers()
        intake = Intake(lambda: self.now)
        hub = Hub(Log(Int32.ends), Budget(2**20), intake, call_soon=self.turns.call_soon, clock=lambda: self.now)
        sessions = make_sessions(hub, self.turns.call_soon, lambda: self.now, self.timers, names=NAMES)
        self.factory = PublisherFactory(accepted("publisher"), hub, intake, lambda: Int32(40), sessions)
        self.witness = FakeSubscriber(hub)
        self.peers: list[PublishingPeer] = []
        self.lives = dict.fromkeys("abc", 0)
        """How often each name was new."""
        self.holders: dict[str, PublishingPeer] = {}
        self.free: OrderedDict[str, None] = OrderedDict()
        """Names that are remembered without a connection, the one longest unseen first."""

    def published(self, name: str) -> int:
        """How many messages of a name were published in its present life; those of all names have to be in order."""
        data, counts = bytes(self.witness.received), dict[bytes, int]()
        while data:
            (size,) = unpack_from("!I", data)
            message, data = data[4 : 4 + size], data[4 + size :]
            life, number = message[:-4], int.from_bytes(message[-4:])
            counts[life] = counts.get(life, 0) + 1
            assert number == counts[life], f"message {number} of {life!r} came as number {counts[life]}"
        return counts.get(self.life(name), 0)

    def life(self, name: str) -> bytes:
        return b"%b%d:" % (name.encode(), self.lives[name])

    @precondition(lambda self: len(self.peers) < MOST)
    @rule(name=st.sampled_from("abc"), size=st.sampled_from([0, *WHOLE]))
    def connect(self, name: str, size: int) -> None:
        self.peers.append(PublishingPeer(self, name))
        self.send(self.peers[-1], size, 0)

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), size=st.one_of(st.integers(1, 200), st.sampled_from(WHOLE)), count=st.integers(0, 12))
    def send_some(self, data: st.DataObject, size: int, count: int) -> None:
        self.send(data.draw(st.sampled_from(self.peers)), size, count)

    def send(self, peer: PublishingPeer, size: int, count: int) -> None:
        """Some bytes of what a peer has to say arrive: its hello, and then messages that go on where it was told."""
        if peer.welcomed:
            for number in range(peer.last + 1, peer.last + 1 + count):
                peer.out += frame(self.life(peer.name) + pack("!I", number))
            peer.last += count
        before = peer.publisher.session
        known = peer.name in self.holders or peer.name in self.free
        peer.publisher.dataReceived(bytes(peer.out[:size]))
        del peer.out[:size]
        if before is None and peer.publisher.session is not None:
            self.welcome(peer, known)

    def welcome(self, peer: PublishingPeer, known: bool) -> None:
        older = self.holders.pop(peer.name, None)
        if older is not None:
            self.listen(older)
            assert older.over, "it was not told that it is replaced"
        self.free.pop(peer.name, None)
        self.holders[peer.name] = peer
        self.lives[peer.name] += not known
        [said] = peer.said.read()
        assert isinstance(said, dict) and said["type"] == "welcome"
        assert said["known"] == known
        peer.accepted = peer.last = said["accepted"]
        peer.welcomed = True
        assert peer.accepted == self.published(peer.name), "it says another number than were published"

    def listen(self, peer: PublishingPeer) -> None:
        """Read what a peer was told, all of which has to be true already."""
        for said in peer.said.read():
            assert isinstance(said, dict) and not peer.over
            assert peer.accepted <= said["accepted"] <= self.published(peer.name), said
            peer.accepted = said["accepted"]
            peer.over = said["type"] == "bye"

    @rule()
    def turn(self) -> None:
        self.turns.run()
        self.listen_to_all()

    def listen_to_all(self) -> None:
        for peer in self.peers:
            if peer.welcomed:
                self.listen(peer)

    @rule(seconds=st.sampled_from([0.001, 0.01, 1.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.timers.advance(seconds)
        self.turns.run_all()
        self.listen_to_all()

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), full=st.booleans())
    def fill_or_drain(self, data: st.DataObject, full: bool) -> None:
        """A peer stops reading what it is told, or goes on."""
        peer = data.draw(st.sampled_from(self.peers))
        peer.transport.full = full
        if not full and peer.transport.producer is not None:
            peer.transport.drain()

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        """The relay ends a connection, as it does with all when it stops."""
        data.draw(st.sampled_from(self.peers)).publisher.drain()
        self.listen_to_all()

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        peer = data.draw(st.sampled_from(self.peers))
        self.peers.remove(peer)
        peer.publisher.connectionLost()
        if self.holders.get(peer.name) is peer:
            del self.holders[peer.name]
            self.free[peer.name] = None
            while len(self.free) > NAMES:
                self.free.popitem(last=False)

    def teardown(self) -> None:
        """Whoever has a name is told in the end that all it has sent is accepted."""
        if not hasattr(self, "peers"):
            return
        self.now += 1
        self.turns.run_all()
        for name, peer in self.holders.items():
            peer.transport.full = False
            if peer.transport.producer is not None:
                peer.transport.drain()
            self.listen(peer)
            assert peer.accepted == self.published(name)


def sized(number: int) -> bytes:
    """A message that says which one it is, up to 3 KB long."""
    return pack("!I", number).ljust(4 + number * 997 % 3000, b"f")


class SubscribingPeer:
    """A subscriber, over one connection after the other."""

    def __init__(self) -> None:
        self.next: int | None = None
        """Number of the next message; None before the first welcome."""
        self.first = 0
        self.got: list[int] = []
        self.lost: list[int] = []
        self.transport: FakeTransport | None = None

    def connect(self, factory: SubscriberFactory, **start: object) -> None:
        self.subscriber = factory.buildProtocol(PEER)
        self.transport = FakeTransport()
        self.subscriber.makeConnection(self.transport)
        self.said = Stream(self.transport)
        self.welcomed = self.over = False
        after = {} if self.next is None else {"after": f"{EPOCH}-{self.next - 1}"}
        self.out = bytearray(hello("subscribe", heartbeat=1, **after or start))

    def say(self, size: int) -> None:
        """Some bytes of the hello arrive, and noise behind it."""
        if self.subscriber.reason is None and size:
            self.subscriber.dataReceived(bytes(self.out[:size]) or b"noise")
            del self.out[:size]

    def read(self, most: int | None = None) -> None:
        """Count what has come."""
        for part in self.said.read(most):
            assert not self.over, "something follows a bye"
            if isinstance(part, dict):
                self.hear(part)
            elif self.welcomed:
                assert self.next is not None
                assert part == sized(self.next), f"{unpack_from('!I', part)} came as {self.next}"
                self.got.append(self.next)
                self.next += 1

    def hear(self, said: Control) -> None:
        epoch, _, text = said["next"].partition("-")
        number, lost = int(text), said.get("lost", 0)
        assert epoch == EPOCH
        if said["type"] == "welcome":
            assert not self.welcomed, "two welcomes"
            self.welcomed = True
        if self.next is None:
            assert (said["type"], lost) == ("welcome", 0)
            self.first = self.next = number
        assert number == self.next + lost, f"{said} when the next is {self.next}"
        self.lost += range(self.next, number)
        self.next = number
        self.over = said["type"] == "bye"

    def take_all(self, turns: Turns) -> None:
        """Take everything that there is."""
        assert self.transport is not None
        self.transport.full = False
        turns.run_all()
        while self.transport.producer is not None and self.transport.held:
            self.transport.drain()
            turns.run_all()
        self.read()

    def lose(self) -> None:
        self.subscriber.connectionLost()
        self.transport = None


class SubscriberMachine(RuleBasedStateMachine):
    """Subscribers that resume, while others lag, and the log keeps little."""

    slow: SlowPolicy

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.turns, self.timers = Turns(), Timers()
        log, soon = Log(Int32.ends), self.turns.call_soon
        self.hub = Hub(log, Budget(BUFFER), FakeIntake(), call_soon=soon, clock=lambda: self.now, slow=self.slow)
        self.history = History(self.hub)
        sessions = make_sessions(self.hub, self.turns.call_soon, lambda: self.now, self.timers, self.history)
        self.factory = SubscriberFactory(accepted("subscriber"), self.hub, "tcp:8001", sessions)
        self.count = 0
        self.peers: list[SubscribingPeer] = []

    @property
    def connected(self) -> list[SubscribingPeer]:
        return [peer for peer in self.peers if peer.transport is not None]

    @rule(numbers=st.integers(1, 80))
    def publish(self, numbers: int) -> None:
        self.hub.publish(frames(*(sized(self.count + number) for number in range(1, numbers + 1))))
        self.count += numbers

    @rule(turns=st.integers(1, 3))
    def turn(self, turns: int) -> None:
        for _ in range(turns):
            self.turns.run()

    @precondition(lambda self: len(self.peers) < MOST)
    @rule(start=st.one_of(st.none(), st.integers(0, 300)), size=st.sampled_from([0, *WHOLE]))
    def join(self, start: int | None, size: int) -> None:
        peer = SubscribingPeer()
        peer.connect(self.factory, **({} if start is None else {"replay": start}))
        peer.say(size)
        self.peers.append(peer)

    @precondition(lambda self: len(self.connected) < len(self.peers))
    @rule(data=st.data(), size=st.sampled_from([0, *WHOLE]))
    def come_back(self, data: st.DataObject, size: int) -> None:
        peer = data.draw(st.sampled_from([peer for peer in self.peers if peer.transport is None]))
        peer.connect(self.factory)
        peer.say(size)

    @precondition(lambda self: self.connected)
    @rule(data=st.data(), size=st.integers(1, 120))
    def say(self, data: st.DataObject, size: int) -> None:
        data.draw(st.sampled_from(self.connected)).say(size)

    @precondition(lambda self: self.connected)
    @rule(data=st.data())
    def stop_reading(self, data: st.DataObject) -> None:
        peer = data.draw(st.sampled_from(self.connected))
        assert peer.transport is not None
        peer.transport.full = True

    @precondition(lambda self: self.connected)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """A peer takes what its transport holds, and goes on reading."""
        peer = data.draw(st.sampled_from(self.connected))
        assert peer.transport is not None
        peer.transport.full = False
        if peer.transport.producer is not None:
            peer.transport.drain()
        peer.read()

    @precondition(lambda self: self.connected)
    @rule(data=st.data(), missing=st.integers(0, 5000))
    def lose(self, data: st.DataObject, missing: int) -> None:
        """A connection breaks, and the last bytes of what was sent do not arrive."""
        peer = data.draw(st.sampled_from(self.connected))
        assert peer.transport is not None
        peer.read(max(0, len(peer.transport.value()) - missing))
        peer.lose()

    @rule(seconds=st.sampled_from([0.2, 1.0, 1.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.timers.advance(seconds)
        self.hub.sweep(seconds)
        self.history.sweep(seconds)

    def teardown(self) -> None:
        """When all have come back and read everything, each has got, or was told lost, each message from its first."""
        if not hasattr(self, "peers"):
            return
        for peer in self.peers:
            if peer.transport is not None:
                peer.read()
                peer.lose()
            peer.connect(self.factory)
            peer.say(1000)
            peer.take_all(self.turns)
            assert peer.welcomed and peer.next == self.count + 1, (peer.next, self.count)
            assert peer.got == sorted(set(peer.got))
            assert sorted(peer.got + peer.lost) == list(range(peer.first, self.count + 1))


class SessionModelTests(SynchronousTestCase):
    def check(self, machine: type[RuleBasedStateMachine], **values: object) -> None:
        made = type(f"Checked{machine.__name__}", (machine,), values)
        run_state_machine_as_test(made, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))

    def test_publishers_are_told_what_is_true(self) -> None:
        self.check(PublisherMachine)

    def test_subscribers_that_are_disconnected_are_told_what_they_lost(self) -> None:
        self.check(SubscriberMachine, slow=SLOW_POLICIES["disconnect"])

    def test_subscribers_that_skip_are_told_what_they_lost(self) -> None:
        self.check(SubscriberMachine, slow=SLOW_POLICIES["skip"])
