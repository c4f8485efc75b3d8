"""Probes: connections that come and soon go without a word, as a load balancer's health checks do, some every second.

Each would be two lines in the log, 700,000 a day. So the end of one is logged at level debug. The next connection from
the same address is suspect: its beginning is logged when it is still there at the next sweep, or when it ends after it
has said something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.peers.connection import Connection

MOST = 1000
"""Addresses that are remembered: more than any load balancer has. Beyond, all are forgotten."""


class Probes:
    """Remembers the addresses from which probes came, and connections that may be probes."""

    def __init__(self) -> None:
        self._hosts: set[str | None] = set()  # None: a Unix socket
        self._suspects: dict[Connection, None] = {}

    def suspect(self, connection: Connection, host: str | None) -> bool:
        """Whether a connection that begins, from `host`, may be a probe: the last one from there was."""
        if host not in self._hosts:
            return False
        self._suspects[connection] = None
        return True

    def ended(self, connection: Connection, host: str | None, silent: bool) -> bool:
        """Note the end of a connection from `host`; `silent`: it came and went without a word. Returns `silent`."""
        self._suspects.pop(connection, None)
        if not silent:
            self._hosts.discard(host)
        elif len(self._hosts) < MOST:
            self._hosts.add(host)
        else:
            self._hosts = {host}
        return silent

    def sweep(self) -> tuple[Connection, ...]:
        """The suspects that are still there, and so are no probes."""
        found, self._suspects = tuple(self._suspects), {}
        return found
