"""The metrics: what stands in docs/operations.md, in the forms that Prometheus reads, with the relay's own numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from relay import __version__
from relay.core.cursor import Lag, Tally
from relay.observe.metrics import LAGS, Metrics
from relay.observe.stats import Role, Snapshot
from relay.wire.close_reason import CloseReason

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
ENDS = dict.fromkeys(CloseReason, 0) | {CloseReason.OVERRUN: 4}
NOW = Snapshot(
    roles=(
        Role("publisher", "tcp", 2, 3, dict.fromkeys(CloseReason, 0), 0, 1),
        Role("subscriber", "tcp", 5, 9, ENDS, 7, 0),
    ),
    most_connections=100,
    published=Tally(10, 1000, 0),
    delivered=Tally(40, 4000, 6),
    held=1512,
    buffer=2**20,
    oldest=3,
    next=11,
    live=2,
    lagging=3,
    lags=(0.02, 7.0, 4000.0),
    furthest=Lag(8, 800, 4000.0),
    blocked=True,
    blocked_seconds=1.5,
    reloaded=2,
    reloads_failed=1,
    left_out=12,
    turns=(5, 0, 2, 0, 1, 0, 0, 1),
    turn_seconds=1.75,
    started=1_000_000_000.0,
)


def scrape(now: Snapshot = NOW, accept: str = "") -> tuple[str, str]:
    body, kind = Metrics(lambda: now, lambda: 1)(accept)
    return body.decode(), kind


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the text form, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    return samples(scrape()[0])[name, frozenset(labels.items())]


def test_the_table_of_metrics_is_that_of_the_relay() -> None:
    suffixes = {"counter": "_total", "info": "_info"}
    kinds = {"info": "gauge", "gaugehistogram": "gauge histogram"}
    found = []
    for family in Metrics(lambda: NOW, lambda: 1).collect():
        labels = {label for sample in family.samples for label in sample.labels}
        name = family.name + suffixes.get(family.type, "")
        found.append((f"`{name}`", kinds.get(family.type, family.type), labels, family.documentation))
    section = re.search(r"^## Metrics\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section[1].splitlines()
        if line.startswith("| `relay_")
    ]
    assert [(row[0], row[1], set(re.findall("`(.*?)`", row[2])), row[3]) for row in rows] == found


def test_they_are_the_relays_numbers() -> None:
    assert value("relay_build_info", version=__version__) == 1
    assert value("relay_start_time_seconds") == NOW.started
    assert (
        value("relay_connections", role="publisher", feed="tcp"),
        value("relay_connections", role="subscriber", feed="tcp"),
    ) == (2, 5)
    assert value("relay_connections_opened_total", role="subscriber", feed="tcp") == 9
    assert value("relay_connections_closed_total", role="subscriber", feed="tcp", reason="overrun") == 4
    assert value("relay_tls_handshakes_total", role="subscriber", result="completed") == 7
    assert value("relay_tls_handshakes_total", role="publisher", result="failed") == 1
    assert (value("relay_connections_limit"), value("relay_web_connections")) == (100, 1)
    assert (value("relay_published_messages_total"), value("relay_published_bytes_total")) == (10, 1000)
    assert (value("relay_delivered_messages_total"), value("relay_delivered_bytes_total")) == (40, 4000)
    assert value("relay_skipped_messages_total") == 6
    assert (value("relay_buffer_used_bytes"), value("relay_buffer_limit_bytes")) == (1512, 2**20)
    assert (value("relay_oldest_position"), value("relay_next_position")) == (3, 11)
    assert (value("relay_subscribers", state="live"), value("relay_subscribers", state="lagging")) == (2, 3)
    assert (value("relay_lag_max_messages"), value("relay_lag_max_bytes")) == (8, 800)
    assert value("relay_lag_max_seconds") == 4000
    assert (value("relay_publishers_blocked"), value("relay_publishers_blocked_seconds_total")) == (1, 1.5)
    assert (value("relay_reloads_total", result="succeeded"), value("relay_reloads_total", result="failed")) == (2, 1)
    assert value("relay_log_lines_left_out_total") == 12
    assert [value("relay_turn_seconds_bucket", le=le) for le in ("0.001", "0.01", "1.0", "+Inf")] == [5, 7, 8, 9]
    assert (value("relay_turn_seconds_count"), value("relay_turn_seconds_sum")) == (9, 1.75)


def test_every_reason_is_there_for_each_role_before_it_happens() -> None:
    for role in ("publisher", "subscriber"):
        for reason in CloseReason:
            assert (
                "relay_connections_closed_total",
                frozenset({("role", role), ("feed", "tcp"), ("reason", reason.value)}),
            ) in samples(scrape()[0])


def test_buckets_hold_all_that_lag_no_more() -> None:
    def buckets(lags: tuple[float, ...]) -> list[float]:
        found = samples(scrape(replace(NOW, lags=lags))[0])
        return [
            found["relay_lag_seconds_bucket", frozenset({("le", bound)})]
            for bound in (*(str(float(bound)) for bound in LAGS), "+Inf")
        ]

    assert buckets(()) == [0] * (len(LAGS) + 1)
    assert buckets(LAGS) == [*range(1, len(LAGS) + 1), len(LAGS)]
    assert buckets((0.02, 7.0, 4000.0)) == [sum(lag <= bound for lag in (0.02, 7.0)) for bound in LAGS] + [3]
    assert (value("relay_lag_seconds_gcount"), value("relay_lag_seconds_gsum")) == (3, 4007.02)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain; version=nonsense", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", "application/openmetrics-text"),
        ("application/openmetrics-text; version=nonsense; escaping=\x00", "application/openmetrics-text"),
    ],
)
def test_the_form_is_one_that_was_asked_for_and_nothing_of_the_question_is_in_its_name(accept: str, kind: str) -> None:
    text, answered = scrape(accept=accept)
    assert answered.startswith(kind)
    assert "nonsense" not in answered
    if "openmetrics" in kind:
        assert {family.name: family.type for family in parse_openmetrics(text)}["relay_lag_seconds"] == "gaugehistogram"
    else:
        assert samples(text) == samples(scrape()[0])


def test_a_scrape_takes_one_snapshot_and_making_the_metrics_none() -> None:
    taken = []

    def snapshot() -> Snapshot:
        taken.append(NOW)
        return NOW

    metrics = Metrics(snapshot, lambda: 0)
    assert len(taken) == 0
    metrics("")
    assert len(taken) == 1
