"""Addresses of peers and ports: how they are written, and which networks they belong to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress

from relay.config.values import Network
from relay.wire.printable import escaped


def address_name(address: IAddress | None) -> str:
    """An address as the log writes it: `127.0.0.1:8001`, `[::1]:8001`, `unix:/run/relay.sock`.

    An address of any other kind is written as its `repr`.
    """
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if isinstance(address, UNIXAddress):
        return escaped(f"unix:{os.fsdecode(address.name)}") if address.name else "unix"
    if host is None or port is None:
        return escaped(repr(address))
    return escaped(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def is_ip_address(host: object) -> bool:
    """Whether `host` is an IP address as text: a PROXY header may carry anything.

    The zone of an IPv6 address (RFC 4007, section 11) has to be a name that an interface can have.
    """
    try:
        address = ip_address(str(host))
    except ValueError:
        return False
    zone = address.scope_id if isinstance(address, IPv6Address) else None
    return zone is None or re.fullmatch(r"[A-Za-z0-9_.@-]{1,15}", zone) is not None


def parse_host(host: str) -> IPv4Address | IPv6Address:
    """The IP address `host`. One of IPv4 is so even if a dual-stack socket shows it as IPv6 (`::ffff:192.0.2.1`)."""
    address = ip_address(host)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def within(host: str, networks: Iterable[Network]) -> bool:
    """Whether the IP address `host` belongs to one of the networks."""
    address = parse_host(host)
    return any(address in network for network in networks)
