"""The outbox: what goes out, when it is joined, and when it goes out again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.outbox import JOINED, MOST, MOST_PATIENCE, PATIENCE, WINDOW, Outbox
from relay.backbone.proposal import Claim, Contribution, decode
from relay.wire.framing import Frames
from tests.kit.backbones import RELAY_A, FakeClaimant, Member, Stream, messages_in
from tests.kit.fakes import frames

CLAIMANT = FakeClaimant(Member())


class OutboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.outbox = Outbox(RELAY_A, "int32", True, lambda: self.now)
        self.stream = Stream()

    def propose(self, *messages: bytes) -> list[bytes]:
        self.outbox.contribute(frames(*messages))
        return self.outbox.take()

    def test_while_there_is_room_everything_goes_out_at_once(self) -> None:
        (first,) = self.propose(b"a")
        (second,) = self.propose(b"b", b"c")
        self.assertEqual([decode(one).number for one in (first, second)], [1, 2])
        self.assertEqual(messages_in(decode(second).data), [b"b", b"c"])
        self.assertEqual((self.outbox.proposed, self.outbox.waiting), (2, 0))

    def test_while_there_is_none_what_waits_is_joined(self) -> None:
        sent = [one for number in range(MOST + 500) for one in self.propose(b"%d" % number)]
        self.assertEqual(len(sent), MOST)
        for payload in sent:
            self.stream.append(payload)
        self.outbox.folded(1)
        (joined,) = self.outbox.take()
        self.stream.append(joined)
        self.assertEqual(self.stream.handed_out, [b"%d" % number for number in range(MOST + 500)])
        self.assertEqual(self.outbox.waiting, 0)

    def test_what_is_joined_is_bounded_and_a_larger_piece_goes_alone(self) -> None:
        self.outbox.claim(1, ("", "x"))
        for _ in range(3):
            self.outbox.contribute(frames(bytes(JOINED - 1000)))
        self.outbox.contribute(frames(bytes(2 * JOINED)))
        sizes = [len(payload) for payload in self.outbox.take()]
        self.assertEqual(len(sizes), 4)
        self.assertLess(max(sizes[:3]), JOINED + 100)

    def test_the_window_is_bounded_in_bytes(self) -> None:
        for _ in range(2 * WINDOW // JOINED):
            self.propose(bytes(JOINED))
        self.assertLessEqual(self.outbox.in_flight, WINDOW + JOINED + 100)
        self.assertGreater(self.outbox.waiting, 0)

    def test_messages_of_one_publisher_that_follow_each_other_are_one_contribution(self) -> None:
        self.outbox.claim(3, ("", "x"))
        self.outbox.contribute(frames(b"a", b"b"), claim=3, first=1, publisher=CLAIMANT, sent=2)
        self.outbox.contribute(frames(b"c"), claim=3, first=3, publisher=CLAIMANT, sent=3)
        self.outbox.contribute(frames(b"d"))
        (payload,) = self.outbox.take()
        self.assertEqual(
            decode(payload).parts, [Claim(3, ("", "x")), Contribution(3, 1, 3, 15), Contribution(0, 0, 1, 5)]
        )
        proposed = self.outbox.folded(1)
        assert proposed is not None
        self.assertEqual(proposed.told, [(CLAIMANT, 3)])

    def test_raw_messages_go_with_their_lengths(self) -> None:
        outbox = Outbox(RELAY_A, "raw", False, lambda: self.now)
        outbox.contribute([Frames(b"ab", 1, 2), Frames(b"cde", 1, 3)])
        (payload,) = outbox.take()
        self.assertEqual(list(decode(payload).ends or ()), [2, 5])

    def test_what_is_away_too_long_is_proposed_again_and_less_and_less_often(self) -> None:
        self.propose(b"a")
        for patience in (PATIENCE, 2 * PATIENCE, MOST_PATIENCE, MOST_PATIENCE):
            self.now += patience - 0.1
            self.assertEqual(self.outbox.late(), [])
            self.now += 0.2
            self.assertEqual(len(self.outbox.late()), 1)
        self.outbox.folded(1)
        self.assertEqual(self.outbox.late(), [], "there is nothing to propose")

    def test_of_many_that_come_back_early_only_the_first_has_them_proposed_again(self) -> None:
        for message in (b"a", b"b", b"c"):
            self.propose(message)
        repeated = self.outbox.early(0)
        self.assertEqual([(decode(one).number, decode(one).attempt) for one in repeated], [(1, 1), (2, 1), (3, 1)])
        self.assertEqual(self.outbox.early(0), [])
        self.assertEqual(len(self.outbox.early(1)), 3)

    def test_nothing_but_the_oldest_can_be_folded(self) -> None:
        self.propose(b"a")
        self.propose(b"b")
        self.assertIsNone(self.outbox.folded(2))
        self.assertIsNotNone(self.outbox.folded(1))
        self.assertIsNotNone(self.outbox.folded(2))
        self.assertIsNone(self.outbox.folded(3))
        self.assertTrue(self.outbox.empty)

    def test_an_opening_goes_out_with_the_first_connection(self) -> None:
        self.outbox.open()
        self.assertEqual(self.outbox.take(), [])
        (payload,) = self.outbox.again()
        self.assertEqual((decode(payload).number, decode(payload).parts), (1, []))
        self.outbox.folded(1)
        self.assertEqual((self.outbox.in_flight, self.outbox.empty), (0, True))
