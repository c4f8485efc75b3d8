"""How addresses are written, and which networks they belong to."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from relay.net.addresses import address_name, is_ip_address, within


class AddressTests(SynchronousTestCase):
    def test_any_address_has_a_name(self) -> None:
        for address, name in (
            (IPv4Address("TCP", "127.0.0.1", 8001), "127.0.0.1:8001"),
            (IPv6Address("TCP", "::1", 8001), "[::1]:8001"),
            (UNIXAddress(b"/run/relay.sock"), "unix:/run/relay.sock"),
            (UNIXAddress(b"/run/\n\x1b[31m\xff"), r"unix:/run/\n\x1b[31m\xff"),
            (UNIXAddress(None), "unix"),
            (HostnameAddress(b"relay.example", 1), repr(HostnameAddress(b"relay.example", 1))),
            (None, "None"),
        ):
            self.assertEqual(address_name(address), name)

    def test_an_ip_address_is_told_from_anything_else(self) -> None:
        for text, is_one in (
            *(("192.0.2.1", True), ("::1", True), ("fe80::1%eth0.12", True), ("fe80::1%2", True)),
            *(("relay.example", False), ("", False), (None, False)),
            *(
                ("::1%", False),
                ("::1%x\nforged", False),
                ("::1%\x1b[31m", False),
                ("::1%x y", False),
                ("::1%\u202e", False),
            ),
        ):
            self.assertIs(is_ip_address(text), is_one, text)

    def test_an_address_is_within_one_of_the_networks_or_not(self) -> None:
        networks = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
        for host, inside in (
            ("192.0.2.7", True),
            ("::ffff:192.0.2.7", True),
            ("2001:db8::1", True),
            ("198.51.100.7", False),
            ("::1", False),
        ):
            self.assertIs(within(host, networks), inside, host)
        self.assertFalse(within("192.0.2.7", ()))
