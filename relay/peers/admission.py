"""Admission: how many connections there may be, in all and from one address, and the descriptors that they need.

A connection over a limit is accepted and closed at once, so that the peer learns of it and the kernel's queue of
connections to accept stays short for everybody else. A connection counts from its admission until it is gone.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address
from itertools import count

from relay.net.addresses import parse_host
from relay.wire.close_reason import CloseReason

MAX_CONNECTIONS = 65_536
"""Default limit of connections: containers may have a hard limit of 10^9 descriptors, but not the memory for them."""
RESERVE = 64
"""Descriptors kept free for ports, logs, pipes and whatever libraries open, and for the connections over a limit that
one turn accepts, all of which are closed in the next (`relay.net.listening.MAX_ACCEPTS`)."""
HOST_BITS = 64
"""Bits of an IPv6 address that tell the hosts of one network apart."""
MAX_WEB_CONNECTIONS = 500
"""Limit of connections to the web port, which do not count as other connections. It must suffice for a few browsers and
scrapers, none for long, and for subscribers that all come back at once, until their requests are read: with 100, 200 of
500 were refused."""


def allowed_descriptors(wanted: int) -> int:
    """Descriptors that this process may have: `wanted`, or less if the hard limit is lower, or a higher soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    return wanted if soft == resource.RLIM_INFINITY else max(soft, wanted)


def raise_descriptor_limit(limit: int) -> None:
    """Raise the soft limit of descriptors to `limit`, at most what `allowed_descriptors` says. A higher one stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def counted_as(host: str) -> str:
    """What a host counts as for the limit per address: one IPv4 address, or one /64 network of IPv6 (RFC 6177).

    A single host may use any address of its /64.
    """
    address = parse_host(host)
    return str(address if address.version == 4 else IPv6Address(int(address) >> HOST_BITS << HOST_BITS))


class Admission:
    """Counts connections, and says when there are too many."""

    def __init__(
        self, max_connections: int = MAX_CONNECTIONS, max_per_address: int = 0, numbers: Iterator[int] | None = None
    ) -> None:
        """`max_connections`: limit in all. `max_per_address`: limit from one address, 0 for none.

        `numbers`: for connections; None to begin with 1.
        """
        self.max_connections = max_connections
        self.max_per_address = max_per_address
        self.connections = 0
        self.numbers = numbers or count(1)
        """Numbers for connections, in the order in which they begin; each is given once."""
        self._per_address: Counter[str] = Counter()

    def refusal(self, host: str | None) -> CloseReason | None:
        """Why one more connection from `host` (None for a Unix socket) is too many now; None if it is not."""
        if self.connections >= self.max_connections:
            return CloseReason.CONNECTION_LIMIT
        if host is not None and 0 < self.max_per_address <= self._per_address[counted_as(host)]:
            return CloseReason.ADDRESS_LIMIT
        return None

    def admit(self, host: str | None) -> None:
        """Count a connection from `host`."""
        self.connections += 1
        if host is not None:
            self._per_address[counted_as(host)] += 1

    def release(self, host: str | None) -> None:
        """Count no longer a connection from `host` that was admitted and is gone."""
        self.connections -= 1
        if host is not None:
            counted = counted_as(host)
            self._per_address[counted] -= 1
            if not self._per_address[counted]:
                del self._per_address[counted]
