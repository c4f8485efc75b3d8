"""Admission: how many connections there may be, in all and from one address, and the descriptors that they need.

Whoever is over a limit is accepted and closed at once, so that it learns of it, and the queue of those who wait to be
accepted stays short for everybody else. A connection counts from when it is admitted until it is gone.
"""

from __future__ import annotations

import resource
from collections import Counter
from itertools import count

from relay.wire.close_reason import CloseReason

MAX_CONNECTIONS = 65_536
"""Connections by default, at most: a hard limit of descriptors can be 10^9 (containers), memory cannot."""
RESERVE = 64
"""Descriptors kept for ports, logs, pipes and what libraries open."""
MAX_WEB_CONNECTIONS = 500
"""Connections to the web port, which are no part of the others: a few browsers and scrapers, none for long; and
subscribers who all come back at once, until their requests were read: with 100, 200 of 500 were refused."""


def allowed_descriptors(wanted: int) -> int:
    """How many files this process could have open: `wanted`, less if the system does not allow it, more if it does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    return wanted if soft == resource.RLIM_INFINITY else max(soft, wanted)


def raise_descriptor_limit(limit: int) -> None:
    """Let this process have `limit` files open, at most what `allowed_descriptors` says; a higher limit stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


class Admission:
    """Counts the connections of both roles, and says when there are too many."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS, max_per_address: int = 0) -> None:
        """`max_per_address`: 0 for no such limit."""
        self.max_connections = max_connections
        self.max_per_address = max_per_address
        self.connections = 0
        self.numbers = count(1)
        """Names for connections, each given once in a run, in the order of their beginnings."""
        self._per_address: Counter[str] = Counter()

    def refusal(self, host: str | None) -> CloseReason | None:
        """Why one more connection from `host` is too many now; None if it is not. A Unix socket has no host: None."""
        if self.connections >= self.max_connections:
            return CloseReason.CONNECTION_LIMIT
        if host is not None and 0 < self.max_per_address <= self._per_address[host]:
            return CloseReason.ADDRESS_LIMIT
        return None

    def admit(self, host: str | None) -> None:
        """Count a connection from that address."""
        self.connections += 1
        if host is not None:
            self._per_address[host] += 1

    def release(self, host: str | None) -> None:
        """A connection that was admitted is gone."""
        self.connections -= 1
        if host is not None:
            self._per_address[host] -= 1
            if not self._per_address[host]:
                del self._per_address[host]
