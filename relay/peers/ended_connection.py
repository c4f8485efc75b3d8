"""What is remembered about a connection that is gone."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.cursor import Tally
from relay.wire.close_reason import CloseReason

REMEMBERED = 1000
"""Most recently ended connections kept per registry, to tell why they ended: less than 750 bytes each, and so at most
3 MB for the four registries of a relay with a web port."""


@dataclass(frozen=True, slots=True)
class EndedConnection:
    """A connection that is gone. Times are seconds since 1970, UTC."""

    number: int
    """Unique; a connection that began later has a larger number."""
    role: str
    feed: str
    """How messages were written for the peer: `tcp`, `ws` or `events`; always `tcp` for a publisher."""
    peer: str
    """Who the peer was, as in the log."""
    since: float
    until: float
    reason: CloseReason
    tally: Tally
    """What a publisher sent, or a subscriber was given."""
    name: str
    """What the peer called itself in its hello; empty if it did not."""
    in_session: bool
    """Whether it had a session."""
    subject: str
    """Subject of the certificate that the peer showed (RFC 4514); empty without one."""
