"""Hosts that the web port answers for, and others."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.web.host import misdirected, without_host
from relay.web.request import Request

SAFE = [
    *("127.0.0.1", "127.0.0.1:8003", "192.0.2.7:80", "[::1]", "[::1]:8003", "[fe80::1%25eth0]", "[2001:DB8::1]:1"),
    *("localhost", "localhost:8003", "LocalHost", "localhost.:8003"),
]
FOREIGN = [
    *("evil.example", "evil.example:8003", "localhost.evil.example", "127.0.0.1.evil.example", "evil", "0x7f000001"),
    *("2130706433", "127.1", "[127.0.0.1", "::1", "127.0.0.1:8003:1", "127.0.0.1:", "user@127.0.0.1", "127.0.0.1/x"),
    *("", " ", "[]", "[evil.example]", "localhost:x", "localhost evil", "relay.example.evil"),
]
NAMED = ("relay.example", "map-1")


def asked(*hosts: str, version: str = "HTTP/1.1") -> Request:
    return Request(version=version, headers=tuple((b"hOST", host.encode()) for host in hosts))


class HostTests(SynchronousTestCase):
    def test_addresses_and_localhost_are_safe_because_nobody_can_have_them_resolve_elsewhere(self) -> None:
        for host in SAFE:
            self.assertIsNone(misdirected(asked(host), ()), host)

    def test_others_are_refused_in_words_unless_they_are_named(self) -> None:
        for host in (*FOREIGN, *NAMED):
            found = misdirected(asked(host), ())
            assert found is not None, host
            self.assertEqual(found.status, 421)
            self.assertIn(f"{host!r}: --web-host".encode(), found.body)
        for host in (*NAMED, "Relay.Example:8003", "relay.example."):
            self.assertIsNone(misdirected(asked(host), NAMED), host)
        for host in FOREIGN:
            self.assertIsNotNone(misdirected(asked(host), NAMED), host)

    def test_what_does_not_print_is_no_part_of_the_words(self) -> None:
        found = misdirected(asked("\x1b[31m" + "x" * 5000), ())
        assert found is not None
        self.assertTrue(found.body.decode().rstrip("\n").isprintable())
        self.assertLess(len(found.body), 400)

    def test_a_request_has_one_host_and_only_an_old_one_may_have_none(self) -> None:
        for request, status in (
            (asked("localhost"), None),
            (asked(), 400),
            (asked("localhost", "localhost"), 400),
            (asked(version="HTTP/1.0"), None),
            (asked("localhost", "evil.example", version="HTTP/1.0"), 400),
        ):
            found = without_host(request)
            self.assertEqual(found and found.status, status)
