"""Admission, and the limit of descriptors."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from relay.peers.admission import Admission, allowed_descriptors, raise_descriptor_limit
from relay.wire.close_reason import CloseReason


class AdmissionTests(SynchronousTestCase):
    def admit(self, admission: Admission, *hosts: str | None) -> None:
        """Whoever is not refused is admitted."""
        for host in hosts:
            self.assertIsNone(admission.refusal(host))
            admission.admit(host)

    def test_there_may_be_so_many_and_no_more(self) -> None:
        admission = Admission(max_connections=2)
        self.admit(admission, "192.0.2.1", None)
        self.assertIs(admission.refusal("192.0.2.1"), CloseReason.CONNECTION_LIMIT)
        admission.release(None)
        self.admit(admission, "192.0.2.1")
        self.assertEqual(admission.connections, 2)

    def test_one_address_may_have_so_many_and_does_not_take_them_from_others(self) -> None:
        admission = Admission(max_per_address=2)
        self.admit(admission, "192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1")
        self.assertIs(admission.refusal("192.0.2.1"), CloseReason.ADDRESS_LIMIT)
        admission.release("2001:db8::1")
        self.assertIs(admission.refusal("192.0.2.1"), CloseReason.ADDRESS_LIMIT)
        admission.release("192.0.2.1")
        self.admit(admission, "192.0.2.1")

    def test_a_host_is_one_however_many_addresses_it_has_and_however_they_are_written(self) -> None:
        for one, same, other in (
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::1"),
            ("2001:DB8::1", "2001:0db8:0:0:0:0:0:2", "2001:db9::1"),
            ("fe80::1%eth0", "fe80::2%eth0", "fe80:0:0:1::1%eth0"),
        ):
            admission = Admission(max_per_address=1)
            admission.admit(one)
            self.assertIs(admission.refusal(same), CloseReason.ADDRESS_LIMIT, same)
            self.assertIsNone(admission.refusal(other), other)
            admission.release(same)
            self.assertIsNone(admission.refusal(one), one)

    def test_peers_without_an_address_have_no_such_limit(self) -> None:
        self.admit(Admission(max_per_address=1), None, None, None)

    def test_to_ask_counts_nothing(self) -> None:
        admission = Admission(max_connections=1, max_per_address=1)
        for _ in range(3):
            self.assertIsNone(admission.refusal("192.0.2.1"))
        self.assertEqual((admission.connections, len(admission._per_address)), (0, 0))

    def test_addresses_that_are_gone_take_no_memory(self) -> None:
        admission = Admission()
        for number in range(1000):
            for host in (f"192.0.2.{number % 256}", f"2001:db8:0:{number:x}::1"):
                admission.admit(host)
                admission.release(host)
        self.assertEqual(len(admission._per_address), 0)


class DescriptorTests(SynchronousTestCase):
    def allow(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)
        self.patch(resource, "getrlimit", lambda which: self.limits)
        self.patch(resource, "setrlimit", lambda which, limits: setattr(self, "limits", limits))

    def raised(self, wanted: int) -> int:
        """Ask, which changes nothing, and raise the limit to the answer."""
        before = self.limits
        allowed = allowed_descriptors(wanted)
        self.assertEqual(self.limits, before)
        raise_descriptor_limit(allowed)
        return allowed

    def test_the_soft_limit_is_raised_as_far_as_wanted(self) -> None:
        self.allow(1024, 10**9)
        self.assertEqual(self.raised(5000), 5000)
        self.assertEqual(self.limits, (5000, 10**9))

    def test_the_hard_limit_is_respected(self) -> None:
        self.allow(1024, 4096)
        self.assertEqual(self.raised(5000), 4096)
        self.assertEqual(self.limits, (4096, 4096))

    def test_it_is_never_lowered(self) -> None:
        self.allow(8000, 10_000)
        self.assertEqual(self.raised(5000), 8000)
        self.assertEqual(self.limits, (8000, 10_000))

    def test_no_limit_is_enough(self) -> None:
        self.allow(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self.assertEqual(self.raised(5000), 5000)
        self.allow(1024, resource.RLIM_INFINITY)
        self.assertEqual(self.raised(5000), 5000)
        self.assertEqual(self.limits, (5000, resource.RLIM_INFINITY))
