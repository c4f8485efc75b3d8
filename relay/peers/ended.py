"""What is still known of a connection that is gone."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.cursor import Tally
from relay.wire.close_reason import CloseReason

REMEMBERED = 1000
"""Ends that are kept for whoever asks why, the last of each role: less than 1 MB in all."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Times are seconds since 1970, UTC."""

    number: int
    role: str
    feed: str
    peer: str
    since: float
    until: float
    reason: CloseReason
    tally: Tally
    subject: str
    """Of the certificate that it showed."""
