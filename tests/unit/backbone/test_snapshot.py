"""Snapshots: a fold that was read back decides as the one that was written."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.backbone.fold import MAX_NAMES_SIZE, MAX_RELAYS, Fold
from relay.backbone.proposal import Claim
from relay.backbone.snapshot import BadSnapshot, decode_snapshot, encode_snapshot
from tests.kit.backbones import RELAY_B, Stream, contribution, proposal

NATS_MAX_PAYLOAD = 1024 * 1024


class SnapshotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = Stream()
        self.stream.append(proposal(1, Claim(1, ("CN=Größe", "é")), contribution(b"a", b"b", claim=1, first=1)))
        self.stream.append(proposal(1, Claim(4, ("", "x")), relay=RELAY_B))

    def test_it_is_read_as_it_was_written(self) -> None:
        data = encode_snapshot(self.stream.fold)
        self.assertEqual(encode_snapshot(decode_snapshot(data)), data)
        self.assertEqual(encode_snapshot(decode_snapshot(encode_snapshot(Fold()))), encode_snapshot(Fold()))

    def test_the_fold_goes_on_from_it(self) -> None:
        other = decode_snapshot(encode_snapshot(self.stream.fold))
        for number, first in ((2, 3), (3, 4), (3, 3), (4, 5)):
            payload = proposal(number, contribution(b"c", claim=1, first=first))
            self.stream.append(payload)
            other.decide(self.stream.fold.sequence, payload)
        self.assertEqual(encode_snapshot(other), encode_snapshot(self.stream.fold))

    def test_a_damaged_one_is_refused_at_every_byte(self) -> None:
        data = encode_snapshot(self.stream.fold)
        for at in range(len(data)):
            with self.assertRaises(BadSnapshot):
                decode_snapshot(data[:at])
            with self.assertRaises(BadSnapshot):
                decode_snapshot(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])

    def test_the_largest_fits_into_a_message_of_nats(self) -> None:
        self.assertLess(MAX_RELAYS * 16 + MAX_NAMES_SIZE + 100, NATS_MAX_PAYLOAD)
