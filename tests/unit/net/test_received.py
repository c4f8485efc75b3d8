"""What was received and waits: nothing lost, nothing twice, in order, and the peer is not read meanwhile."""

from __future__ import annotations

from typing import cast

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from relay.core.chores import TIME, Chores, at_once
from relay.net.received import Received
from relay.net.transport import AcceptedTransport
from tests.kit.fakes import Turns


class Link(StringTransport):
    """A transport that notes when it is told to pause or to resume."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")


class ReceivedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.turns, self.link = Turns(), Link()
        self.transport = cast(AcceptedTransport, self.link)
        self.taken: list[bytes] = []
        chores = Chores(lambda: None, self.turns.call_soon, lambda: self.now)
        self.lane = chores.lane()
        self.received = Received(self.lane, self.transport, self.take, most=4)

    def take(self, data: bytes) -> None:
        self.taken.append(data)

    def busy(self) -> None:
        """Use up the turn's time."""

        def work() -> None:
            self.now += TIME

        self.lane(work)

    def test_while_there_is_time_it_is_passed_on_at_once_and_the_peer_is_read_on(self) -> None:
        self.received.receive(b"one")
        self.assertEqual((self.taken, self.link.calls), ([b"one"], []))

    def test_much_is_passed_on_in_pieces(self) -> None:
        self.received.receive(b"1234567890")
        self.assertEqual(self.taken, [b"1234", b"5678", b"90"])

    def test_without_a_limit_it_is_passed_on_whole(self) -> None:
        Received(at_once, self.transport, self.take).receive(b"1234567890")
        self.assertEqual(self.taken, [b"1234567890"])

    def test_while_there_is_none_it_waits_and_the_peer_with_it(self) -> None:
        self.busy()
        self.received.receive(b"one")
        self.assertEqual((self.taken, self.link.calls, self.received.waits), ([], ["pause"], True))
        self.turns.run_all()
        self.assertEqual((self.taken, self.link.calls, self.received.waits), ([b"one"], ["pause", "resume"], False))

    def test_what_comes_while_something_waits_comes_after_it(self) -> None:
        self.busy()
        self.received.receive(b"1234")
        self.received.receive(b"567")
        self.turns.run_all()
        self.assertEqual((self.taken, self.link.calls), ([b"1234", b"567"], ["pause", "pause", "resume"]))

    def test_the_peer_is_read_again_before_the_bytes_are_passed_on_so_that_it_can_be_paused_then(self) -> None:
        def pause(data: bytes) -> None:
            self.link.pauseProducing()

        self.busy()
        Received(self.lane, self.transport, pause).receive(b"one")
        self.turns.run_all()
        self.assertEqual(self.link.calls, ["pause", "resume", "pause"])

    def test_who_wants_nothing_to_be_read_gets_what_waits_and_no_more(self) -> None:
        self.busy()
        self.received.receive(b"one")
        self.received.pause()
        self.turns.run_all()
        self.assertEqual((self.taken, self.link.calls), ([b"one"], ["pause", "pause"]))
        self.received.resume()
        self.assertEqual(self.link.calls, ["pause", "pause", "resume"])

    def test_the_peer_is_not_read_again_while_something_waits(self) -> None:
        self.received.pause()
        self.busy()
        self.received.receive(b"one")
        self.received.resume()
        self.assertEqual(self.link.calls, ["pause", "pause"])
        self.turns.run_all()
        self.assertEqual((self.taken, self.link.calls), ([b"one"], ["pause", "pause", "resume"]))

    def test_while_it_is_held_nothing_is_passed_on_and_the_peer_is_not_read(self) -> None:
        self.received.receive(b"1234")
        self.received.hold()
        self.received.receive(b"5678")
        self.turns.run_all()
        self.assertEqual((self.taken, self.link.calls), ([b"1234"], ["pause", "pause"]))
        self.received.go_on()
        self.turns.run_all()
        self.assertEqual((self.taken, self.link.calls), ([b"1234", b"5678"], ["pause", "pause", "resume"]))

    def test_who_takes_it_may_hold_the_rest(self) -> None:
        def take(data: bytes) -> None:
            self.take(data)
            held.hold()

        held = Received(self.lane, self.transport, take, most=4)
        held.receive(b"1234567890")
        self.assertEqual(self.taken, [b"1234"])
        held.go_on()
        self.assertEqual(self.taken, [b"1234", b"5678"])

    def test_of_a_connection_that_has_ended_nothing_is_passed_on(self) -> None:
        self.busy()
        self.received.receive(b"one")
        self.received.drop()
        self.turns.run_all()
        self.assertEqual(self.taken, [])
