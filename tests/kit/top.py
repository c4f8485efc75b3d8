"""What a relay's metrics might say to the tester's live view."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tester.top.figures import Scrape, read

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
VALUES: dict[str, float] = {
    'relay_build_info{version="1.2"}': 1,
    "relay_start_time_seconds": 1000,
    'relay_connections{role="publisher"}': 2,
    'relay_connections{role="subscriber"}': 7,
    "relay_connections_limit": 100,
    "relay_published_messages_total": 50,
    "relay_published_bytes_total": 5000,
    "relay_delivered_messages_total": 300,
    "relay_delivered_bytes_total": 30_000,
    "relay_skipped_messages_total": 4,
    'relay_subscribers{state="live"}': 5,
    'relay_subscribers{state="lagging"}': 0,
    "relay_lag_max_messages": 0,
    "relay_lag_max_bytes": 0,
    "relay_lag_max_seconds": 0,
    "relay_buffer_used_bytes": 2**20,
    "relay_buffer_needed_bytes": 2**19,
    "relay_buffer_limit_bytes": 4 * 2**20,
    "relay_publishers_blocked": 0,
    "relay_publishers_blocked_seconds_total": 1.5,
    'relay_connections_closed_total{role="publisher",reason="overrun"}': 1,
    'relay_connections_closed_total{role="subscriber",reason="overrun"}': 2,
}


def metrics(values: dict[str, float] | None = None) -> str:
    """What a relay's `/metrics` would say: `VALUES`, but for these."""
    return "".join(f"{name} {value}\n" for name, value in {**VALUES, **(values or {})}.items())


def scrape(at: float = 0.0, **changes: Any) -> Scrape:  # Any: of a field
    return replace(read(metrics(), at), **changes)
