"""What a delivery costs, counted and not timed: work per message or per subscriber that creeps in fails here."""

from __future__ import annotations

import gc
import socket
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType

from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from relay.core.budget import Budget
from relay.core.chores import at_once
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.pending import Pending
from relay.net.tcp import PublisherTransport, SubscriberTransport
from relay.peers.intake import Intake
from relay.peers.publisher import Publisher, PublisherFactory
from relay.peers.subscriber import SubscriberFactory
from relay.wire.counted import Int32
from relay.wire.framing import Framing
from relay.wire.framings import FRAMINGS
from tests.kit.fakes import FakeIntake, Turns, accepted, frame


def calls(action: Callable[[], object]) -> Counter[str]:
    """The functions that are called while `action` runs, Python's and C's (a system call is one of those)."""
    found: Counter[str] = Counter()

    def profile(where: FrameType, event: str, function: object) -> None:
        if event == "call":
            found[where.f_code.co_qualname] += 1
        elif event == "c_call":
            found[getattr(function, "__qualname__", repr(function))] += 1

    gc.collect()
    gc.disable()  # others may be called back when it runs
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    del found["setprofile"]
    return found


class CostTests(SynchronousTestCase):
    """A hub with real sockets for its subscribers, and no reactor in between."""

    def start(self, subscribers: int, framing: type[Framing] = Int32) -> None:
        self.turns = Turns()
        self.hub = Hub(
            Log(framing.ends),
            Budget(2**26),
            FakeIntake(),
            call_soon=self.turns.call_soon,
            clock=lambda: 0.0,
            pending=Pending(framing.self_delimiting),
        )
        self.factory = PublisherFactory(accepted("publisher"), self.hub, Intake(lambda: 0.0), lambda: framing(2**17))
        accepting = SubscriberFactory(accepted("subscriber"), self.hub, "")
        self.peers: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for _ in range(subscribers):
                self.peers.append(socket.create_connection(listening.getsockname()))
                connection, address = listening.accept()
                subscriber = accepting.buildProtocol(None)
                made = partial(SubscriberTransport, 2**18, at_once)
                transport = made(connection, subscriber, address, None, 1, MemoryReactorClock())
                subscriber.makeConnection(transport)
                self.addCleanup(self.peers[-1].close)
                self.addCleanup(connection.close)

    def publisher(self) -> Publisher:
        publisher = self.factory.buildProtocol(None)
        publisher.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 1)))
        return publisher

    def turn(self, *reads: bytes) -> Counter[str]:
        """The calls of one turn in which so many publishers are read once each."""
        publishers = [self.publisher() for _ in reads]

        def exchange() -> None:
            for publisher, data in zip(publishers, reads, strict=True):
                publisher.dataReceived(data)
            self.turns.run()

        exchange()  # what is done for the first time only is not counted
        return calls(exchange)

    def test_a_subscriber_more_is_one_system_call_more_and_no_function_of_ours(self) -> None:
        self.start(subscribers=10)
        few = self.turn(frame(b"x" * 100) * 20)
        self.start(subscribers=30)
        many = self.turn(frame(b"x" * 100) * 20)
        self.assertEqual(many - few, Counter({"socket.send": 20}))

    def test_publishers_and_messages_in_a_turn_cost_subscribers_nothing(self) -> None:
        self.start(subscribers=10)
        found = self.turn(*[frame(b"x" * 100) * 20] * 5)
        self.assertEqual(found["socket.send"], 10)

    def test_messages_of_one_length_cost_no_call_each(self) -> None:
        for name, framing in FRAMINGS.items():
            self.start(subscribers=1, framing=framing)
            few = self.turn(framing.frame(b"x" * 12) * 100)
            self.start(subscribers=1, framing=framing)
            many = self.turn(framing.frame(b"x" * 12) * 1000)
            self.assertLess((many - few).total(), 60, name)

    def test_a_publisher_that_is_read_costs_so_many_calls_and_no_more(self) -> None:
        self.start(subscribers=0)
        one, two = self.turn(frame(b"x")), self.turn(frame(b"x"), frame(b"x"))
        self.assertLessEqual((two - one).total(), 25)

    def test_a_read_is_one_system_call(self) -> None:
        self.start(subscribers=1)
        left, right = socket.socketpair()
        self.addCleanup(left.close)
        self.addCleanup(right.close)
        address = ("127.0.0.1", 1)
        hub = self.hub
        made = partial(PublisherTransport, hub.pace.begin_read, hub.pace.end_read, at_once)
        transport = made(left, self.publisher(), address, None, 1, MemoryReactorClock())
        right.sendall(frame(b"x" * 100) * 20)
        found = calls(transport.doRead)
        self.assertEqual({name: times for name, times in found.items() if "recv" in name}, {"socket.recv_into": 1})
