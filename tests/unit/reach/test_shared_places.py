"""Places below a backbone: counted by the fold, found by whoever goes on, and lost to whoever claims them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.config.values import Remote
from relay.peers.names import Names
from relay.reach.places import Place
from relay.reach.shared_places import SharedPlaces
from relay.wire.position import Position
from tests.kit.backbones import RELAY_A, RELAY_B, Member
from tests.kit.fakes import frames

HERE, THERE = Remote("tcp:a:1", True), Remote("tcp:b:1", True)


class Traveller:
    """A pull at a member of a backbone, which publishes what the test says."""

    role = "pull"

    def __init__(self, member: Member, remote: Remote = HERE) -> None:
        self.remote = remote
        self.member = member
        self.places = SharedPlaces(Names(), member.claims, member.order.names_of)
        self.place: Place | None = None
        self.resumed: list[Position | None] = []
        """Where it was told to go on."""
        self.ends = 0

    def replaced(self) -> None:
        self.ends += 1

    def resume(self) -> None:
        self.places.resume(self, self.then)

    def then(self, place: Place | None) -> None:
        self.place = place
        self.resumed.append(None if place is None else Position(place.epoch, place.accepted))

    def publish(self, epoch: str, first: int, *messages: bytes) -> None:
        """Publish messages that have the positions from `first` on at the other relay."""
        read = frames(*messages)
        last = Position(epoch, first + len(messages) - 1)
        self.place = self.places.advance(self, self.place, read, last)
        self.member.publish(read)


class SharedPlacesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream: list[bytes] = []
        self.one, self.two = self.member(RELAY_A), self.member(RELAY_B)

    def member(self, relay: bytes) -> Member:
        member = Member(relay)
        member.order.connected("nats://one:4222")
        member.pass_on(self.stream)
        return member

    def flow(self) -> None:
        for member in (self.one, self.two):
            member.pass_on(self.stream)
            member.read(self.stream)

    def resumed(self, member: Member, remote: Remote = HERE) -> Traveller:
        """One that goes on."""
        traveller = Traveller(member, remote)
        traveller.resume()
        self.flow()
        return traveller

    def test_who_has_never_been_there_begins_at_once(self) -> None:
        traveller = Traveller(self.one)
        traveller.resume()
        self.assertEqual(traveller.resumed, [None])

    def test_another_relay_goes_on_behind_what_was_accepted(self) -> None:
        first = self.resumed(self.one)
        first.publish("abc", 8, b"8", b"9")
        first.publish("abc", 10, b"10")
        self.flow()
        first.publish("abc", 11, b"11")
        self.one.connection.take()  # this one gets lost, with its relay
        second = Traveller(self.two)
        second.resume()
        self.assertEqual(second.resumed, [], "it is not sure yet")
        self.two.pass_on(self.stream)
        self.assertEqual(second.resumed, [Position("abc", 10)])
        second.publish("abc", 11, b"11")
        self.two.pass_on(self.stream)
        self.assertEqual(self.two.keeper.handed_out, [b"8", b"9", b"10", b"11"])
        self.assertEqual(self.resumed(self.two).resumed, [Position("abc", 11)])

    def test_what_is_late_of_the_relay_before_counts_no_more(self) -> None:
        first = self.resumed(self.one)
        first.publish("abc", 1, b"1")
        self.flow()
        first.publish("abc", 2, b"2")
        late = self.one.connection.take()
        second = self.resumed(self.two)
        second.publish("abc", 2, b"2")
        self.stream += late
        self.flow()
        self.assertEqual(self.two.keeper.handed_out, [b"1", b"2"])
        self.assertEqual((first.ends > 0, second.ends), (True, 0))

    def test_behind_a_gap_and_in_another_epoch_the_count_begins_anew(self) -> None:
        first = self.resumed(self.one)
        for epoch, number in (("abc", 1), ("abc", 2), ("abc", 7), ("abc", 8), ("def", 1)):
            first.publish(epoch, number, b"x")
            self.flow()
            self.assertEqual(self.resumed(self.two).resumed, [Position(epoch, number)])
            first.place = self.resumed(self.one).place
        self.assertEqual(len(self.one.keeper.handed_out), 5)

    def test_a_count_that_began_while_it_was_claimed_is_the_one_to_go_on_with(self) -> None:
        first = self.resumed(self.one)
        first.publish("abc", 1, b"1")
        self.flow()
        first.publish("abc", 5, b"5")  # behind a gap
        late = self.one.connection.take()
        second = Traveller(self.two)
        second.resume()
        self.stream += late
        for _ in range(2):
            self.two.pass_on(self.stream)
        self.assertEqual(second.resumed, [Position("abc", 5)])

    def test_each_remote_has_a_place_of_its_own(self) -> None:
        for remote, number in ((HERE, 3), (THERE, 9)):
            self.resumed(self.one, remote).publish("abc", number, b"x")
        self.flow()
        self.assertEqual(self.resumed(self.two, HERE).resumed, [Position("abc", 3)])
        self.assertEqual(self.resumed(self.two, THERE).resumed, [Position("abc", 9)])

    def test_a_place_that_was_left_is_told_nothing_more(self) -> None:
        traveller = Traveller(self.one)
        traveller.publish("abc", 1, b"1")
        self.flow()
        assert traveller.place is not None
        traveller.places.leave(traveller.place)
        self.resumed(self.two)
        self.assertEqual(traveller.ends, 0)

    def test_pushes_have_places_that_nobody_else_sees(self) -> None:
        places = SharedPlaces(Names(), self.one.claims, self.one.order.names_of)
        place = places.stand("push", HERE, Position("abc", 3))
        places.move(place, 7)
        self.assertEqual(places.find("push", HERE), Position("abc", 7))
        places.leave(place)
        self.assertEqual(self.one.connection.take(), [])
