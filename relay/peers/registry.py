"""The connections of one role and one feed: the open ones, and what is remembered of ended ones."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from relay.config.values import Network
from relay.core.chores import Lane, at_once
from relay.core.cursor import Tally
from relay.core.state import State
from relay.core.timing import SWEEP, Every
from relay.net.addresses import within
from relay.peers.admission import Admission
from relay.peers.ended_connection import REMEMBERED, EndedConnection
from relay.peers.probes import Probes
from relay.peers.rate_limited_log import RateLimitedLog
from relay.wire.close_reason import CloseReason

if TYPE_CHECKING:
    from relay.peers.connection import Connection

TCP = "tcp"
"""The feed of connections whose messages are framed as publishers send them, whatever the transport."""


class Registry:
    """Keeps connections from when they are accepted until they are gone, and counts them."""

    def __init__(
        self,
        role: str,
        admission: Admission,
        lines: RateLimitedLog,
        now: Callable[[], float] = time.time,
        feed: str = TCP,
        cuts: Lane = at_once,
    ) -> None:
        """Start without connections.

        `role`: the word for the log. `admission`: counts connections against the limits. `lines`: logs what peers do.
        `now`: wall-clock time, in seconds since 1970, UTC. `feed`: the word for how messages are written. `cuts`:
        where cutting connections takes its turn.
        """
        self.role = role
        self.feed = feed
        self.cuts = cuts
        self.admission = admission
        self.lines = lines
        self.now = now
        self.allowed: tuple[Network, ...] = ()
        """Networks to accept peers from; empty for any. Not checked for Unix sockets, which have file permissions."""
        self.handshake_timeout = 5.0
        """Seconds that a TLS handshake may take; 0 for no limit."""
        self.probes = Probes()
        """Who comes and goes without a word."""
        self.open: dict[Connection, None] = {}
        """Open connections, oldest first. (A dict for its order; the values mean nothing.)"""
        self.ended: Counter[CloseReason] = Counter()
        """How many connections have ended, by reason."""
        self.handshakes: dict[Connection, float] = {}
        """Connections in their TLS handshake, and the seconds that it has taken."""
        self.handshakes_completed = 0
        self.exchanged = Tally(0, 0, 0)
        """What ended connections sent or were given, in all."""
        self.latest: deque[EndedConnection] = deque(maxlen=REMEMBERED)
        """The connections that ended last, oldest first."""

    def refusal(self, host: str | None) -> CloseReason | None:
        """Why a connection from `host` (None for a Unix socket) is not admitted now; None if it is."""
        if host is not None and self.allowed and not within(host, self.allowed):
            return CloseReason.ADDRESS_NOT_ALLOWED
        return self.admission.refusal(host)

    def remove(self, connection: Connection, reason: CloseReason) -> None:
        """Take a connection that ended for `reason` off the open ones, and count it."""
        del self.open[connection]
        self.ended[reason] += 1

    def remember(self, connection: Connection, reason: CloseReason) -> None:
        """Record a connection that has ended."""
        tally = connection.tally
        self.exchanged += tally
        self.latest.append(
            EndedConnection(
                number=connection.number,
                role=self.role,
                feed=self.feed,
                peer=connection.peer,
                since=connection.since,
                until=self.now(),
                reason=reason,
                tally=tally,
                name=connection.name,
                in_session=connection.in_session,
                subject=connection.subject,
            )
        )

    def register(self, every: Every) -> None:
        """Have `sweep` called every `SWEEP` seconds."""
        every(SWEEP, self.sweep)

    def sweep(self, passed: float) -> None:
        """Cut connections whose TLS handshake takes too long. `passed`: seconds since the last sweep.

        While a peer waits for us to look at what it sent, no time passes for it.
        """
        for connection in self.probes.sweep():
            connection.announce()
        for connection, waited in tuple(self.handshakes.items()):
            if connection.waits_for_us:
                continue
            self.handshakes[connection] = waited + passed
            if 0 < self.handshake_timeout <= waited and connection.state is State.HANDSHAKE:
                connection.abort(CloseReason.HANDSHAKE_TIMEOUT, f"it took more than {self.handshake_timeout:g} s")
