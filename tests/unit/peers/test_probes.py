"""Who comes and goes without a word is remembered by its address, of which there are not too many."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Tally
from relay.peers.connection import Connection
from relay.peers.probes import MOST, Probes
from tests.kit.connections import PEER
from tests.kit.fakes import accepted


class Guest(Connection):
    tally = Tally(0, 0, 0)


class ProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.probes = Probes()
        self.guest = Guest(accepted("guest"), PEER)

    def test_nobody_is_suspect_at_first(self) -> None:
        self.assertFalse(self.probes.suspect(self.guest, "192.0.2.1"))

    def test_an_address_is_suspect_after_a_probe_until_somebody_there_speaks(self) -> None:
        self.assertTrue(self.probes.ended(self.guest, "192.0.2.1", silent=True))
        self.assertTrue(self.probes.suspect(self.guest, "192.0.2.1"))
        self.assertFalse(self.probes.suspect(self.guest, "192.0.2.2"))
        self.assertFalse(self.probes.ended(self.guest, "192.0.2.1", silent=False))
        self.assertFalse(self.probes.suspect(self.guest, "192.0.2.1"))

    def test_a_suspect_that_stays_is_named_once(self) -> None:
        self.probes.ended(self.guest, None, silent=True)
        self.probes.suspect(self.guest, None)
        self.assertEqual((self.probes.sweep(), self.probes.sweep()), ((self.guest,), ()))

    def test_one_that_is_gone_is_not(self) -> None:
        self.probes.ended(self.guest, None, silent=True)
        self.probes.suspect(self.guest, None)
        self.probes.ended(self.guest, None, silent=True)
        self.assertEqual(self.probes.sweep(), ())

    def test_not_more_addresses_are_remembered_than_any_load_balancer_has(self) -> None:
        for number in range(MOST + 1):
            self.probes.ended(self.guest, str(number), silent=True)
        suspect = sum(self.probes.suspect(self.guest, str(number)) for number in range(MOST + 1))
        self.assertEqual(suspect, 1)
