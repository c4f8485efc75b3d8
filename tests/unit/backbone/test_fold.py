"""The fold: what it takes, what it ignores, and that it depends on nothing but the stream."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.fold import SNAPSHOT_MESSAGES, SNAPSHOT_SIZE, Claimed, Fold, Verdict
from relay.backbone.proposal import Claim, Contribution
from tests.kit.backbones import RELAY_A, RELAY_B, Stream, contribution, proposal

SENSOR = ("", "sensor-7")


class FoldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = Stream()
        self.fold = self.stream.fold

    def test_proposals_of_one_relay_count_in_the_order_of_their_numbers(self) -> None:
        verdicts = [
            self.stream.append(proposal(number, contribution(b"%d" % number))).verdict for number in (1, 3, 2, 2, 3)
        ]
        self.assertEqual(verdicts, [Verdict.FOLDED, Verdict.EARLY, Verdict.FOLDED, Verdict.REPEATED, Verdict.FOLDED])
        self.assertEqual(self.stream.handed_out, [b"1", b"2", b"3"])
        self.assertEqual(self.fold.next, 4)

    def test_relays_do_not_wait_for_each_other(self) -> None:
        self.stream.append(proposal(1, contribution(b"a"), relay=RELAY_A))
        self.stream.append(proposal(1, contribution(b"b"), relay=RELAY_B))
        self.stream.append(proposal(2, contribution(b"c"), relay=RELAY_A))
        self.assertEqual(self.stream.handed_out, [b"a", b"b", b"c"])

    def test_a_relay_that_was_never_heard_of_begins_with_its_first_proposal(self) -> None:
        self.assertEqual(self.stream.append(proposal(2, contribution(b"x"))).verdict, Verdict.EARLY)

    def test_a_proposal_that_counts_as_a_whole_is_one_batch(self) -> None:
        decision = self.stream.append(proposal(1, contribution(b"a"), Claim(1, SENSOR), contribution(b"b", b"c")))
        self.assertEqual([batch.messages for batch in decision.batches], [3])

    def test_a_claim_tells_what_was_accepted_before(self) -> None:
        first = self.stream.append(proposal(1, Claim(1, SENSOR), contribution(b"a", b"b", claim=1, first=1)))
        self.assertEqual(first.claims, [Claimed(1, SENSOR, False, 0, None)])
        second = self.stream.append(proposal(1, Claim(1, SENSOR), relay=RELAY_B))
        self.assertEqual(second.claims, [Claimed(1, SENSOR, True, 2, (RELAY_A, 1))])

    def test_what_is_sent_under_an_older_claim_counts_no_more(self) -> None:
        self.stream.append(proposal(1, Claim(1, SENSOR), contribution(b"a", claim=1, first=1)))
        self.stream.append(proposal(1, Claim(1, SENSOR), contribution(b"b", claim=1, first=1), relay=RELAY_B))
        late = self.stream.append(proposal(2, contribution(b"x"), contribution(b"b", claim=1, first=2)))
        self.assertEqual((late.verdict, late.stale), (Verdict.FOLDED, [1]))
        self.stream.append(proposal(3, contribution(b"y")))
        self.assertEqual(self.stream.handed_out, [b"a", b"b", b"x", b"y"])
        self.assertEqual(self.fold.names[SENSOR].count, 2)

    def test_a_contribution_that_does_not_go_on_is_ignored(self) -> None:
        self.stream.append(proposal(1, Claim(1, SENSOR), contribution(b"b", claim=1, first=2)))
        self.stream.append(proposal(2, contribution(b"a", b"b", claim=1, first=1)))
        self.stream.append(proposal(3, contribution(b"b", claim=1, first=2)))
        self.assertEqual(self.stream.handed_out, [b"a", b"b"])

    def test_names_of_different_certificates_are_different(self) -> None:
        self.stream.append(proposal(1, Claim(1, ("CN=a", "x")), contribution(b"1", claim=1, first=1)))
        decision = self.stream.append(proposal(2, Claim(2, ("CN=b", "x"))))
        self.assertEqual(decision.claims[0][2:], (False, 0, None))

    def test_what_is_ignored_of_raw_messages_takes_its_ends_with_it(self) -> None:
        parts = (
            (Contribution(0, 0, 2, 5), b"abcde"),
            (Contribution(9, 1, 1, 2), b"xx"),
            (Contribution(0, 0, 1, 3), b"fgh"),
        )
        decision = self.stream.fold.decide(1, proposal(1, *parts, framing="raw", ends=[2, 5, 7, 10]))
        self.assertEqual(
            [(bytes(batch.data), batch.messages, batch.ends) for batch in decision.batches],
            [(b"abcde", 2, array("I", [2, 5])), (b"fgh", 1, array("I", [3]))],
        )

    def test_the_first_proposal_decides_the_framing_and_names_the_epoch(self) -> None:
        self.assertEqual(self.fold.epoch, "")
        self.stream.append(b"no proposal")
        self.stream.append(proposal(1, framing="line"))
        self.assertEqual((self.fold.epoch, self.fold.framing), (RELAY_A.hex()[:12], "line"))
        other = self.stream.append(proposal(1, contribution(b"x"), relay=RELAY_B))
        self.assertEqual(other.verdict, Verdict.FOREIGN)
        self.assertEqual((self.fold.epoch, self.fold.next), (RELAY_A.hex()[:12], 1))

    def test_a_snapshot_is_due_now_and_then(self) -> None:
        piece = contribution(bytes(SNAPSHOT_SIZE // 4))
        due = [self.stream.append(proposal(number, piece)).snapshot for number in range(1, 9)]
        self.assertEqual(sum(due), 2)
        decision = self.fold.decide(SNAPSHOT_MESSAGES, proposal(9))
        self.assertTrue(decision.snapshot)

    def test_names_and_relays_are_bounded_and_the_longest_unused_goes_first(self) -> None:
        self.stream.fold = fold = Fold(max_relays=2, max_names_size=70)
        for number, name in enumerate(("a", "b", "a", "c"), 1):
            self.stream.append(proposal(number, Claim(number, ("", name))))
        self.assertEqual(list(fold.names), [("", "a"), ("", "c")])
        self.assertEqual(fold.names_size, 66)
        for relay in (RELAY_B, b"relay-c-"):
            self.stream.append(proposal(1, relay=relay))
        self.assertEqual(list(fold.relays), [RELAY_B, b"relay-c-"])

    @given(st.lists(st.binary(max_size=60) | st.integers(1, 4)))
    def test_whatever_stands_in_the_stream_is_decided(self, found: list[bytes | int]) -> None:
        fold = Fold()
        for sequence, one in enumerate(found, 1):
            fold.decide(sequence, proposal(one, Claim(1, SENSOR)) if isinstance(one, int) else one)
