"""Turns a relay's metrics into the figures that a person wants to know.

A relay counts from its start. What it does now is the difference between two scrapes, unless it was restarted between
them. Labels that are not asked for are summed over, so that a metric may get new labels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class NotARelayError(ValueError):
    """The text is not that of a relay's metrics or connections."""


@dataclass(frozen=True, slots=True)
class Flow:
    """An amount of messages and bytes, or their rates per second."""

    messages: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Sessions:
    """What a relay tells of its sessions; all 0 if it knows none. Totals are since its start."""

    subscribers: int = 0
    publishers: int = 0
    resumed: int = 0
    """Subscribers that went on where they had stopped."""
    incomplete: int = 0
    """Those of `resumed` that had lost something, or may have."""
    lost: float = 0
    """Messages that subscribers were told they have lost."""
    acks: int = 0
    names: int = 0
    """Names of publishers that are known."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a relay tells of the others that it connects to; all 0 without one. Totals are since its start."""

    remotes: int = 0
    connected: int = 0
    """Those of `remotes` to which there is a connection that works."""
    messages: float = 0
    lost: float = 0
    """Messages that were lost in between."""
    behind: float = 0
    """Seconds that a mirror is behind at most; 0 for a relay that is none."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What a relay tells of its journal. Sizes are in bytes."""

    used: float
    limit: float
    oldest: int
    """Position of its oldest message."""
    since: float
    """When that was published, in seconds since 1970, UTC."""
    unsynced: float
    readers: int
    """Subscribers that lack messages which only the journal has."""
    held: bool
    """Whether publishers wait for it."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a relay tells of its backbone. Totals are since its start; times are in seconds."""

    behind: int
    """Messages of the stream that it has not read yet."""
    window: int
    """Proposals that are on their way."""
    waiting: float
    """Bytes that wait for room to be proposed."""
    trips: int
    """Proposals that have come back."""
    trip_seconds: float
    """What all of those took together."""
    away: bool
    """Whether NATS cannot be reached, or takes nothing."""
    held: bool
    """Whether publishers wait for it."""


@dataclass(frozen=True, slots=True)
class Workers:
    """What a relay tells of the processes that take its subscribers, if there are some."""

    count: int = 0
    up: int = 0
    """How many accept connections."""
    replaced: int = 0
    """How many have ended since its start, and were replaced."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """A relay at one moment. Totals are since its start; sizes are in bytes, times in seconds."""

    at: float
    """When it was made, by a monotonic clock of this program."""
    version: str
    started: float
    """When the relay was started, in seconds since 1970, UTC."""
    published: Flow
    delivered: Flow
    skipped: float
    """Messages that subscribers lost."""
    publishers: int
    subscribers: int
    most_connections: int
    live: int
    lagging: int
    furthest: Flow
    """The most messages, and the most bytes, that a subscriber lacks."""
    furthest_seconds: float
    """The age of the oldest message that a subscriber lacks."""
    used: float
    """Memory that the buffer uses."""
    needed: float
    """Memory for what subscribers have yet to be given."""
    limit: float
    """Memory that the buffer may use."""
    blocked: str
    """What publishers wait for, in words; empty while they are read."""
    blocked_seconds: float
    """Time during which publishers were not read."""
    ended: int
    """Connections that have ended."""
    sessions: Sessions = Sessions()
    reach: Reach = Reach()
    workers: Workers = Workers()
    journal: Journal | None = None
    backbone: Backbone | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What a relay did between two scrapes, per second."""

    published: Flow
    delivered: Flow
    blocked: float
    """The share of the time during which publishers were not read, from 0 to 1."""
    round_trip: float | None = None
    """How long a proposal took to come back, on average, in seconds; None if none did."""


def read(text: str, at: float) -> Scrape:
    """The figures in `text`, the response of `/metrics`; `at`: when it came, in seconds. Raises NotARelayError."""
    try:
        return _scrape(_Samples(text), at)
    except (ValueError, LookupError, TypeError) as error:  # Prometheus' parser raises all of these
        raise NotARelayError(str(error)) from None


def rates(before: Scrape, after: Scrape) -> Rates | None:
    """What happened between two scrapes; None if no time passed, or if the relay was restarted between them."""
    seconds = after.at - before.at
    if seconds <= 0 or not same_run(before, after):
        return None
    return Rates(
        published=_per(seconds, before.published, after.published),
        delivered=_per(seconds, before.delivered, after.delivered),
        blocked=min((after.blocked_seconds - before.blocked_seconds) / seconds, 1.0),
        round_trip=_round_trip(before.backbone, after.backbone),
    )


def _round_trip(before: Backbone | None, after: Backbone | None) -> float | None:
    if before is None or after is None or after.trips <= before.trips:
        return None
    return (after.trip_seconds - before.trip_seconds) / (after.trips - before.trips)


def same_run(before: Scrape, after: Scrape) -> bool:
    """Whether both scrapes are of one run of the relay: it has the same start, and no total has decreased."""
    return before.started == after.started and all(
        now >= then for then, now in zip(_totals(before), _totals(after), strict=True)
    )


def _totals(scrape: Scrape) -> tuple[float, ...]:
    published, delivered = scrape.published, scrape.delivered
    return (
        *(published.messages, published.bytes, delivered.messages, delivered.bytes),
        *(scrape.skipped, scrape.blocked_seconds, scrape.ended),
        *(scrape.sessions.resumed, scrape.sessions.lost, scrape.sessions.acks),
    )


def _per(seconds: float, before: Flow, after: Flow) -> Flow:
    return Flow((after.messages - before.messages) / seconds, (after.bytes - before.bytes) / seconds)


class _Samples:
    """The samples of a scrape, by name. Raises ValueError, LookupError or TypeError for any other text."""

    def __init__(self, text: str) -> None:
        self._found: dict[str, list[Sample]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._found[sample.name].append(sample)

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def label(self, name: str, label: str) -> str:
        """The value of `label` in the only sample called `name`."""
        (sample,) = self._found[name]
        return sample.labels[label]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of all samples called `name` that have these labels. There must be a sample called `name`."""
        samples = self._found[name]
        if not samples:
            raise NotARelayError(f"no {name}")
        found = sum(sample.value for sample in samples if labels.items() <= sample.labels.items())
        if not math.isfinite(found):
            raise NotARelayError(f"{name}: {found}")
        return found

    def number(self, name: str) -> int:
        """How many samples are called `name`."""
        return len(self._found[name])

    def count(self, name: str, **labels: str) -> int:
        """The same sum as `sum`, for metrics with whole numbers."""
        return int(self.sum(name, **labels))


def _scrape(samples: _Samples, at: float) -> Scrape:
    return Scrape(
        at=at,
        version=samples.label("relay_build_info", "version"),
        started=samples.sum("relay_start_time_seconds"),
        published=Flow(samples.sum("relay_published_messages_total"), samples.sum("relay_published_bytes_total")),
        delivered=Flow(samples.sum("relay_delivered_messages_total"), samples.sum("relay_delivered_bytes_total")),
        skipped=samples.sum("relay_skipped_messages_total"),
        publishers=samples.count("relay_connections", role="publisher"),
        subscribers=samples.count("relay_connections", role="subscriber"),
        most_connections=samples.count("relay_connections_limit"),
        live=samples.count("relay_subscribers", state="live"),
        lagging=samples.count("relay_subscribers", state="lagging"),
        furthest=Flow(samples.sum("relay_lag_max_messages"), samples.sum("relay_lag_max_bytes")),
        furthest_seconds=samples.sum("relay_lag_max_seconds"),
        used=samples.sum("relay_buffer_used_bytes"),
        needed=samples.sum("relay_buffer_needed_bytes"),
        limit=samples.sum("relay_buffer_limit_bytes"),
        blocked=_blocked(samples),
        blocked_seconds=samples.sum("relay_publishers_blocked_seconds_total"),
        ended=samples.count("relay_connections_closed_total"),
        sessions=_sessions(samples) if "relay_sessions" in samples else Sessions(),
        reach=_reach(samples) if "relay_reach_connected" in samples else Reach(),
        workers=_workers(samples) if "relay_worker_up" in samples else Workers(),
        journal=_journal(samples) if "relay_journal_bytes" in samples else None,
        backbone=_backbone(samples) if "relay_backbone_behind" in samples else None,
    )


def _blocked(samples: _Samples) -> str:
    if not samples.sum("relay_publishers_blocked"):
        return ""
    for whom in ("journal", "backbone", "workers"):
        if f"relay_{whom}_held" in samples and samples.sum(f"relay_{whom}_held"):
            return f"the {whom}"
    return "a subscriber"


def _journal(samples: _Samples) -> Journal:
    return Journal(
        used=samples.sum("relay_journal_bytes"),
        limit=samples.sum("relay_journal_limit_bytes"),
        oldest=samples.count("relay_journal_oldest_position"),
        since=samples.sum("relay_journal_oldest_time_seconds"),
        unsynced=samples.sum("relay_journal_unsynced_bytes"),
        readers=samples.count("relay_journal_readers"),
        held=samples.sum("relay_journal_held") > 0,
    )


def _backbone(samples: _Samples) -> Backbone:
    return Backbone(
        behind=samples.count("relay_backbone_behind"),
        window=samples.count("relay_backbone_window"),
        waiting=samples.sum("relay_backbone_waiting_bytes"),
        trips=samples.count("relay_backbone_round_trip_seconds_count"),
        trip_seconds=samples.sum("relay_backbone_round_trip_seconds_sum"),
        away=samples.sum("relay_backbone_away") > 0,
        held=samples.sum("relay_backbone_held") > 0,
    )


def _workers(samples: _Samples) -> Workers:
    return Workers(
        count=samples.number("relay_worker_up"),
        up=samples.count("relay_worker_up"),
        replaced=samples.count("relay_workers_replaced_total"),
    )


def _reach(samples: _Samples) -> Reach:
    return Reach(
        remotes=samples.number("relay_reach_connected"),
        connected=samples.count("relay_reach_connected"),
        messages=samples.sum("relay_reach_messages_total"),
        lost=samples.sum("relay_reach_lost_messages_total"),
        behind=samples.sum("relay_reach_behind_seconds") if samples.number("relay_reach_behind_seconds") else 0,
    )


def _sessions(samples: _Samples) -> Sessions:
    resumed = samples.count("relay_sessions_resumed_total")
    return Sessions(
        subscribers=samples.count("relay_sessions", role="subscriber"),
        publishers=samples.count("relay_sessions", role="publisher"),
        resumed=resumed,
        incomplete=resumed - samples.count("relay_sessions_resumed_total", outcome="complete"),
        lost=samples.sum("relay_session_lost_messages_total"),
        acks=samples.count("relay_acks_sent_total"),
        names=samples.count("relay_publisher_names"),
    )
