"""What is still known of a connection that is gone."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.cursor import Tally
from relay.wire.close_reason import CloseReason

REMEMBERED = 1000
"""Ended connections that each registry keeps, the last ones, for whoever asks why: less than 500 bytes each, and so at
most 2 MB for the four registries of a relay with a web port."""


@dataclass(frozen=True, slots=True)
class EndedConnection:
    """A connection that is gone. Times are seconds since 1970, UTC."""

    number: int
    """Given once, to each connection a larger one than to those before it."""
    role: str
    feed: str
    """How messages were written for it: `tcp`, `ws`, `events`; `tcp` of publishers."""
    peer: str
    """Who it was, as in the log."""
    since: float
    until: float
    reason: CloseReason
    tally: Tally
    """What it sent, or was given."""
    subject: str
    """Of the certificate that it showed; empty if it showed none."""
