"""Admission, and the limit of descriptors."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from relay.peers.limits import Limits, raise_descriptor_limit
from relay.wire.close_reason import CloseReason


class LimitsTests(SynchronousTestCase):
    def test_there_may_be_so_many_and_no_more(self) -> None:
        limits = Limits(max_connections=2)
        self.assertIsNone(limits.admit("192.0.2.1"))
        self.assertIsNone(limits.admit(None))
        self.assertIs(limits.admit("192.0.2.1"), CloseReason.CONNECTION_LIMIT)
        limits.release(None)
        self.assertIsNone(limits.admit("192.0.2.1"))
        self.assertEqual(limits.connections, 2)

    def test_one_address_may_have_so_many_and_does_not_take_them_from_others(self) -> None:
        limits = Limits(max_per_address=2)
        for host in ("192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1"):
            self.assertIsNone(limits.admit(host))
        self.assertIs(limits.admit("192.0.2.1"), CloseReason.ADDRESS_LIMIT)
        limits.release("2001:db8::1")
        self.assertIs(limits.admit("192.0.2.1"), CloseReason.ADDRESS_LIMIT)
        limits.release("192.0.2.1")
        self.assertIsNone(limits.admit("192.0.2.1"))

    def test_peers_without_an_address_have_no_such_limit(self) -> None:
        limits = Limits(max_per_address=1)
        self.assertEqual([limits.admit(None) for _ in range(3)], [None] * 3)

    def test_addresses_that_are_gone_take_no_memory(self) -> None:
        limits = Limits()
        for number in range(1000):
            limits.admit(str(number))
            limits.release(str(number))
        self.assertEqual(len(limits._per_address), 0)


class DescriptorTests(SynchronousTestCase):
    def allow(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)
        self.patch(resource, "getrlimit", lambda which: self.limits)
        self.patch(resource, "setrlimit", lambda which, limits: setattr(self, "limits", limits))

    def test_the_soft_limit_is_raised_as_far_as_wanted(self) -> None:
        self.allow(1024, 10**9)
        self.assertEqual(raise_descriptor_limit(5000), 5000)
        self.assertEqual(self.limits, (5000, 10**9))

    def test_the_hard_limit_is_respected(self) -> None:
        self.allow(1024, 4096)
        self.assertEqual(raise_descriptor_limit(5000), 4096)
        self.assertEqual(self.limits, (4096, 4096))

    def test_it_is_never_lowered(self) -> None:
        self.allow(8000, 10_000)
        self.assertEqual(raise_descriptor_limit(5000), 8000)
        self.assertEqual(self.limits, (8000, 10_000))

    def test_no_limit_is_enough(self) -> None:
        self.allow(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        self.assertEqual(raise_descriptor_limit(5000), 5000)
        self.allow(1024, resource.RLIM_INFINITY)
        self.assertEqual(raise_descriptor_limit(5000), 5000)
