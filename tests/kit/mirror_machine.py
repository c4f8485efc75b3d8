"""A mirror of a naive relay that forgets, skips, loses its end and restarts: what its subscribers are given is checked.

Each message has one before it, in the log in which it was published. A subscriber is right if the messages that it has
are such a chain, but for what it was told is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from twisted.internet.error import ConnectionDone

from relay.wire.answer import Gap, SubscriberWelcome
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import FakeSubscriber
from tests.kit.journaled_mirrors import JournaledMirrorCase
from tests.kit.remotes import RemoteCase
from tests.kit.sessions import parts

MOST = 4
"""Messages that the relay says a mirror can keep."""


class Source:
    """The relay that is mirrored."""

    def __init__(self) -> None:
        self.epochs = [Epoch("e0", 1)]
        self.log: dict[int, bytes] = {}
        self.before: dict[bytes, bytes] = {}
        """The message before each, or nothing, for all that were ever published."""
        self.next = 1
        self.oldest = 1
        self._made = 0

    def publish(self) -> bytes:
        self._made += 1
        message = b"%d" % self._made
        self.before[message] = self.log.get(self.next - 1, b"")
        self.log[self.next] = message
        self.next += 1
        return message

    def begin_epoch(self, lost: int) -> None:
        """A new epoch begins, behind the last message but `lost`: none of those that were there when it started."""
        self.next = max(self.oldest, self.epochs[-1].first, self.next - lost)
        self.epochs.append(Epoch(f"e{len(self.epochs)}{self._made}", self.next))

    def restart(self) -> None:
        """All is forgotten."""
        self.epochs = [Epoch(f"r{len(self.epochs)}{self._made}", 1)]
        self.log, self.next, self.oldest = {}, 1, 1

    def welcome(self, after: Position | None) -> SubscriberWelcome:
        """The answer to a mirror's hello."""
        lost: int | None = 0
        ahead = 0
        if after is None:
            first = max(self.oldest, self.next - MOST)
        else:
            names = [one.name for one in self.epochs]
            if after.epoch not in names:
                first, lost = self.oldest, None
            else:
                following = [*self.epochs[names.index(after.epoch) + 1 :], Epoch("", self.next)][0].first
                ahead = max(0, after.number + 1 - following)
                wanted = after.number + 1 - ahead
                first = max(wanted, self.oldest)
                lost = first - wanted
        position = Position(self.epochs[-1].name, first)
        return SubscriberWelcome(
            position, self.oldest, lost, 40, "relay", ahead, epochs=tuple(self.epochs), behind=self.next - first
        )


@dataclass
class Session:
    """A subscriber with a session at the mirror, which comes back whenever it was ended."""

    got: list[bytes] = field(default_factory=list)
    position: Position | None = None
    """Of the last message that it has; None before the first welcome."""
    peer: FakeSubscriber | None = None
    read: int = 0
    """Messages of `peer` that were looked at."""
    told: tuple[int | None, int] = (0, 0)
    """What welcomes said is lost since the last message, and how far the session was ahead; None if nobody knows."""


class MirrorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.source = Source()
        self.sessions = [Session()]
        self.begin()
        self.welcome()
        self.come_back()

    def make_case(self) -> RemoteCase:
        """A mirror starts."""
        case = RemoteCase()
        case.setUp()
        case.mirror()
        return case

    def begin(self) -> None:
        self.case = self.make_case()
        self.silent: list[tuple[FakeSubscriber, list[bytes]]] = []
        self.sent = 0  # the position that the mirror is sent next
        self.greeted = 0  # connections that were welcomed

    # The relay that is mirrored

    @property
    def connected(self) -> bool:
        wire = self.case.wire
        return len(self.case.server.wires) == self.greeted and not wire.ended and wire.producerState == "producing"

    @rule()
    def welcome(self) -> None:
        """The mirror is welcomed, if it has connected."""
        wire = self.case.wire
        if len(self.case.server.wires) == self.greeted or wire.ended or wire.producerState != "producing":
            return
        self.greeted = len(self.case.server.wires)
        hello = read_hello(wire.take()[0])
        assert isinstance(hello, SubscriberHello)
        answer = self.source.welcome(hello.after)
        self.sent = answer.next.number
        wire.say(answer)

    @rule(count=st.integers(1, 4))
    def pass_on(self, count: int) -> None:
        """Messages are published, and the mirror is sent all that it lacks."""
        self.publish(count)
        self.send(self.source.next)

    @rule(most=st.integers(1, 6))
    def send(self, most: int) -> None:
        """The mirror is sent some of what it lacks."""
        if self.connected:
            first, self.sent = self.sent, min(self.source.next, self.sent + most)
            self.case.wire.say(*[self.source.log[number] for number in range(first, self.sent)])
            self.look()

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        for _ in range(count):
            self.source.publish()

    @rule(count=st.integers(1, 3))
    def skip(self, count: int) -> None:
        """The mirror was too slow, and is told what it does not get."""
        if self.connected:
            self.publish(count)
            count = min(count, self.source.next - self.sent)
            self.sent += count
            self.case.wire.say(Gap(count, Position(self.source.epochs[-1].name, self.sent)))

    @rule(meanwhile=st.integers(0, 3), forgotten=st.integers(0, 3), again=st.booleans())
    def cut(self, meanwhile: int, forgotten: int, again: bool) -> None:
        """The connection ends; it comes again at once or later."""
        if not self.case.wire.ended:
            self.case.wire.end(ConnectionDone())
        self.case.clock.advance(31)
        self.publish(meanwhile)
        self.source.oldest = min(self.source.next, self.source.oldest + forgotten)
        if again:
            self.welcome()

    @rule(lost=st.integers(0, 3), all_of_it=st.booleans(), meanwhile=st.integers(0, 3), again=st.booleans())
    def crash(self, lost: int, all_of_it: bool, meanwhile: int, again: bool) -> None:
        """The relay comes back in a new epoch: without its last messages, or without any."""
        if all_of_it:
            self.source.restart()
        else:
            self.source.begin_epoch(lost)
        self.cut(meanwhile, 0, again)

    # At the mirror

    @rule()
    def restart(self) -> None:
        """The mirror is killed and started again."""
        self.look()
        for session in self.sessions:
            session.peer = None
        self.begin()
        self.welcome()

    @rule()
    def listen(self) -> None:
        """A silent subscriber comes."""
        self.silent.append((FakeSubscriber(self.case.hub), []))

    @rule()
    def join(self) -> None:
        if len(self.sessions) < 3:
            self.sessions.append(Session())

    @rule()
    def come_back(self) -> None:
        """Sessions that were ended come back, if the mirror lets them."""
        self.look()
        starts, hub = self.case.sessions.starts, self.case.hub
        for session in self.sessions:
            hello = SubscriberHello(after=session.position)
            if session.peer is not None or starts.early(hello):
                continue
            start = starts.find(hello)
            first = starts.first(start)
            session.peer, session.read = FakeSubscriber(hub), 0
            session.peer.counts = True
            if session.position is not None:
                self.tell(session, start.lost(first), start.ahead)
            session.position = Position(starts.epoch, first - 1)
            hub.move(session.peer.subscription, first, b"")
        self.look()

    def tell(self, session: Session, lost: int | None, ahead: int) -> None:
        """A welcome says so. Of messages that a session was told are lost, some may be none any more."""
        before, back = session.told
        if before is None or lost is None:
            session.told = (None, 0)
        else:
            again = min(before, ahead)
            session.told = (before - again + lost, back + ahead - again)

    def back(self, message: bytes, count: int) -> bytes:
        """The message that is so many before this one."""
        for _ in range(count):
            message = self.source.before[message]
        return message

    def settle(self) -> None:
        """Let happen what is due."""
        self.case.turns.run_all()

    def look(self) -> None:
        """All have read what they were given, and it is right."""
        self.settle()
        for peer, got in self.silent:
            found = list(parts(bytes(peer.received)))
            self.check_chain(got, [one for one in found if isinstance(one, bytes)])
        for session in self.sessions:
            if session.peer is not None:
                self.read(session, session.peer)

    def read(self, session: Session, peer: FakeSubscriber) -> None:
        found = [one for one in parts(bytes(peer.received)) if isinstance(one, bytes)]
        for message in found[session.read :]:
            assert message not in session.got, "a message comes twice"
            lost, ahead = session.told
            if lost is not None and session.got:
                last = self.back(session.got[-1], ahead)
                assert self.back(message, lost + 1) == last, f"{last!r}, {session.told} is told, {message!r}"
            session.told = (0, 0)
            session.got.append(message)
            assert session.position is not None
            session.position = Position(session.position.epoch, session.position.number + 1)
        session.read = len(found)
        if peer.reason is not None:
            session.peer = None

    def check_chain(self, got: list[bytes], found: list[bytes]) -> None:
        for message in found[len(got) :]:
            assert not got or self.source.before[message] == got[-1], "a silent subscriber missed something"
            got.append(message)

    def teardown(self) -> None:
        self.look()


class JournaledMirrorMachine(MirrorMachine):
    """A mirror with a journal, whose machine may go down too. What is on disk is such a chain as well."""

    case: JournaledMirrorCase

    def make_case(self) -> RemoteCase:
        case = JournaledMirrorCase()
        case.buffer = 4 * 1024  # four batches are kept, so that others are read from disk
        case.setUp()
        return case

    def settle(self) -> None:
        self.case.settle()

    @rule(seed=st.none() | st.integers(0, 1 << 16), threads=st.booleans())
    def restart(self, seed: int | None, threads: bool) -> None:
        """The mirror is killed, or, with a `seed`, its machine goes down; it is started again.

        `threads`: whether they have ended what they were about before.
        """
        if threads:
            self.look()
        for session in self.sessions:
            if session.peer is not None:
                self.read(session, session.peer)
            session.peer = None
        if seed is None:
            self.case.disk.kill()
        else:
            self.case.boot = bytes([self.case.boot[0] ^ 1, *self.case.boot[1:]])
            self.case.disk.cut_power(Random(seed))
        self.case.begin()
        self.silent, self.sent, self.greeted = [], 0, 0
        self.welcome()

    @rule(count=st.integers(2, 12))
    def pass_on_many(self, count: int) -> None:
        """Many messages, one at a time: more than memory keeps."""
        self.welcome()
        for _ in range(count):
            self.settle()
            self.pass_on(1)

    @rule(count=st.integers(0, 3))
    def threads_run(self, count: int) -> None:
        for _ in range(min(count, len(self.case.threads.due))):
            self.case.threads.due.pop(0)()

    @rule(seconds=st.sampled_from([0.01, 1.0]))
    def time_passes(self, seconds: float) -> None:
        self.case.clock.advance(seconds)
        self.case.journal.sweep(1.0)

    @rule()
    def what_is_on_disk_is_what_was_published(self) -> None:
        self.look()
        found = self.case.recorded()
        for (first, before), (second, message) in pairwise(found):
            assert (second, self.source.before[message]) == (first + 1, before)
        assert [first for first, _ in found[-1:]] in ([], [self.case.hub.log.next - 1])
        assert not self.case.journal.own
