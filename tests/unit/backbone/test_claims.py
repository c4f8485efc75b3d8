"""Publishers with sessions below a backbone: when they are welcomed, acknowledged and ended."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.kit.backbones import RELAY_A, RELAY_B, FakeClaimant, Member


class ClaimsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream: list[bytes] = []
        self.here, self.there = Member(RELAY_A), Member(RELAY_B)
        for member in (self.here, self.there):
            member.order.connected("nats://one:4222")
            member.pass_on(self.stream)

    def begin(self, member: Member, name: str) -> FakeClaimant:
        publisher = FakeClaimant(member, name)
        publisher.begin()
        return publisher

    def test_one_with_a_name_is_welcomed_when_its_claim_is_folded(self) -> None:
        publisher = self.begin(self.here, "p")
        self.assertEqual(publisher.told, [])
        self.here.pass_on(self.stream)
        self.assertEqual(publisher.told, [(False, 0), 0])

    def test_what_it_sent_is_acknowledged_when_that_has_come_back_and_once_for_all(self) -> None:
        publisher = self.begin(self.here, "p")
        self.here.pass_on(self.stream)
        publisher.send(b"a", b"b")
        publisher.send(b"c")
        self.assertEqual(publisher.told[2:], [])
        self.here.pass_on(self.stream)
        self.assertEqual((publisher.told[2:], self.here.keeper.handed_out), ([3], [b"a", b"b", b"c"]))

    def test_one_without_a_name_is_welcomed_at_once(self) -> None:
        publisher = self.begin(self.here, "")
        publisher.send(b"a")
        self.here.pass_on(self.stream)
        self.assertEqual(publisher.told, [0, 1])
        self.assertEqual(self.here.fold.names, {})

    def test_another_relay_goes_on_where_the_name_stands(self) -> None:
        first = self.begin(self.here, "p")
        first.send(b"a", b"b")
        self.here.pass_on(self.stream)
        first.send(b"late")
        second = self.begin(self.there, "p")
        self.there.pass_on(self.stream)
        self.assertEqual(second.told, [(True, 2), 2])
        self.here.pass_on(self.stream)
        self.assertEqual(first.told[2:], [2, "replaced"])
        second.send(b"late")
        self.there.pass_on(self.stream)
        self.assertEqual((second.told[2:], self.there.keeper.handed_out), ([3], [b"a", b"b", b"late"]))

    def test_what_an_older_connection_has_sent_goes_before_the_claim(self) -> None:
        first = self.begin(self.here, "p")
        self.here.pass_on(self.stream)
        first.sent += 1
        self.here.claims.publishing(first, [])
        second = self.begin(self.here, "p")
        self.here.pass_on(self.stream)
        self.assertEqual((first.told[2:], second.told), (["replaced"], [(True, 0), 0]))

    def test_who_is_gone_is_told_nothing(self) -> None:
        publisher = self.begin(self.here, "p")
        publisher.send(b"a")
        self.here.claims.forget(publisher)
        self.here.claims.forget(publisher)
        publisher.send(b"b")
        self.here.pass_on(self.stream)
        self.assertEqual((publisher.told, self.here.keeper.handed_out), ([], [b"a", b"b"]))

    def test_other_names_are_not_the_folds(self) -> None:
        publisher = FakeClaimant(self.here)
        publisher.accepted = 5
        self.here.claims.contribute(("pull", "x"), publisher)
        self.here.flush()
        self.here.pass_on(self.stream)
        self.assertEqual(self.here.fold.names, {})

    def test_what_is_accepted_is_what_was_told(self) -> None:
        self.assertEqual(self.here.claims.accepted(FakeClaimant(self.here), 7), 7)
