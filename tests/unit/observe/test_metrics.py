"""The metrics: in the forms that Prometheus reads, with the relay's own numbers."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from twisted.trial.unittest import SynchronousTestCase

from relay import __version__
from relay.observe.metrics import LAGS, Metrics
from relay.observe.stats import Snapshot
from relay.wire.close_reason import CloseReason
from tests.kit.snapshots import NOW


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


class MetricsTests(SynchronousTestCase):
    def test_they_are_the_relays_numbers(self) -> None:
        self.assertEqual(value("relay_build_info", version=__version__), 1)
        self.assertEqual(value("relay_start_time_seconds"), NOW.started)
        self.assertEqual(value("relay_connections", role="publisher", feed="tcp"), 2)
        self.assertEqual(value("relay_connections", role="subscriber", feed="tcp"), 5)
        self.assertEqual(value("relay_connections_opened_total", role="subscriber", feed="tcp"), 9)
        self.assertEqual(value("relay_connections_closed_total", role="subscriber", feed="tcp", reason="overrun"), 4)
        self.assertEqual(value("relay_tls_handshakes_total", role="subscriber", result="completed"), 7)
        self.assertEqual(value("relay_tls_handshakes_total", role="publisher", result="failed"), 1)
        self.assertEqual((value("relay_connections_limit"), value("relay_web_connections")), (100, 1))
        self.assertEqual((value("relay_published_messages_total"), value("relay_published_bytes_total")), (10, 1000))
        self.assertEqual((value("relay_delivered_messages_total"), value("relay_delivered_bytes_total")), (40, 4000))
        self.assertEqual(value("relay_skipped_messages_total"), 6)
        self.assertEqual((value("relay_buffer_used_bytes"), value("relay_buffer_limit_bytes")), (1512, 2**20))
        self.assertEqual(value("relay_buffer_needed_bytes"), 1024)
        self.assertEqual((value("relay_oldest_position"), value("relay_next_position")), (3, 11))
        self.assertEqual([value("relay_subscribers", state=state) for state in ("live", "lagging")], [2, 3])
        self.assertEqual((value("relay_lag_max_messages"), value("relay_lag_max_bytes")), (8, 800))
        self.assertEqual(value("relay_lag_max_seconds"), 4000)
        self.assertEqual(value("relay_discarded_messages_total"), 13)
        self.assertEqual(value("relay_incomplete_messages_total"), 8)
        self.assertEqual((value("relay_publishers_blocked"), value("relay_publishers_blocked_seconds_total")), (1, 1.5))
        self.assertEqual([value("relay_reloads_total", result=result) for result in ("succeeded", "failed")], [2, 1])
        self.assertEqual(value("relay_log_lines_left_out_total"), 12)
        turns = [value("relay_turn_seconds_bucket", le=le) for le in ("0.001", "0.01", "1.0", "+Inf")]
        self.assertEqual(turns, [5, 7, 8, 9])
        self.assertEqual((value("relay_turn_seconds_count"), value("relay_turn_seconds_sum")), (9, 1.75))

    def test_those_of_other_relays_and_servers_are_there_for_each(self) -> None:
        remote = {"role": "pull", "remote": "session:tcp:far.example:8002"}
        names = ("connected", "connections_total", "messages_total", "lost_messages_total", "waiting_messages")
        self.assertEqual([value(f"relay_reach_{name}", **remote) for name in names], [1, 3, 20, 5, 7])

    def test_each_worker_has_its_own(self) -> None:
        names = ("up", "connections", "cpu_seconds_total", "resident_bytes", "delivered_bytes_total")
        for worker, values in (("1", [1, 4, 2.5, 40_000_000, 3000]), ("2", [0, 0, 0, 0, 0])):
            self.assertEqual([value(f"relay_worker_{name}", worker=worker) for name in names], values)
        self.assertEqual(value("relay_workers_replaced_total"), 6)
        self.assertEqual((value("relay_workers_held"), value("relay_workers_held_seconds_total")), (1, 2.25))
        self.assertNotIn("worker", scrape(replace(NOW, workers=()))[0].replace("worker lost", ""))

    def test_those_of_the_journal_are_there_if_there_is_one(self) -> None:
        names = ("bytes", "segments", "oldest_position", "oldest_time_seconds", "unsynced_bytes", "held")
        self.assertEqual(
            [value(f"relay_journal_{name}") for name in names],
            [4096, 3, 2, 999_999_999.5, 128, 0],
        )
        buckets = [value("relay_journal_sync_seconds_bucket", le=le) for le in ("0.001", "0.01", "+Inf")]
        self.assertEqual((buckets, value("relay_journal_sync_seconds_sum")), ([4, 6, 7], 0.25))
        self.assertEqual((value("relay_journal_reads_total"), value("relay_journal_cuts")), (6, 1))
        self.assertEqual((value("relay_journal_readers"), value("relay_journal_limit_bytes")), (2, 8192))
        self.assertEqual((value("relay_journal_free_bytes"), value("relay_journal_held_seconds_total")), (65536, 3.5))
        self.assertNotIn("relay_journal", scrape(replace(NOW, journal=None))[0])

    def test_those_of_the_backbone_are_there_if_there_is_one(self) -> None:
        names = ("window", "window_bytes", "waiting_bytes", "behind", "names", "sequence", "snapshot_sequence")
        self.assertEqual([value(f"relay_backbone_{name}") for name in names], [5, 512, 256, 11, 12, 60, 55])
        self.assertEqual([value(f"relay_backbone_{name}") for name in ("away", "held")], [0, 1])
        totals = [value(f"relay_backbone_{name}_total") for name in ("proposals", "repeats", "folded", "held_seconds")]
        self.assertEqual(totals, [20, 3, 50, 4.5])
        causes = ("repeated", "early", "foreign", "stale")
        self.assertEqual([value("relay_backbone_ignored_total", cause=cause) for cause in causes], [1, 2, 3, 4])
        buckets = [value("relay_backbone_round_trip_seconds_bucket", le=le) for le in ("0.001", "0.01", "+Inf")]
        self.assertEqual((buckets, value("relay_backbone_round_trip_seconds_sum")), ([7, 9, 10], 0.5))
        self.assertNotIn("backbone", scrape(replace(NOW, backbone=None))[0])

    def test_every_reason_is_there_for_each_role_before_it_happens(self) -> None:
        for role in ("publisher", "subscriber"):
            for reason in CloseReason:
                labels = frozenset({("role", role), ("feed", "tcp"), ("reason", reason.value)})
                self.assertIn(("relay_connections_closed_total", labels), samples(scrape()[0]))

    def test_buckets_hold_all_that_lag_no_more(self) -> None:
        def buckets(lags: tuple[float, ...]) -> list[float]:
            found = samples(scrape(replace(NOW, lags=lags))[0])
            return [
                found["relay_lag_seconds_bucket", frozenset({("le", bound)})]
                for bound in (*(str(float(bound)) for bound in LAGS), "+Inf")
            ]

        self.assertEqual(buckets(()), [0] * (len(LAGS) + 1))
        self.assertEqual(buckets(LAGS), [*range(1, len(LAGS) + 1), len(LAGS)])
        within = [sum(lag <= bound for lag in (0.02, 7.0)) for bound in LAGS]
        self.assertEqual(buckets((0.02, 7.0, 4000.0)), [*within, 3])
        self.assertEqual((value("relay_lag_seconds_gcount"), value("relay_lag_seconds_gsum")), (3, 4007.02))

    def test_the_form_is_one_that_was_asked_for_and_nothing_of_the_question_is_in_its_name(self) -> None:
        for accept, kind in (
            ("", "text/plain; version=0.0.4"),
            ("*/*", "text/plain; version=0.0.4"),
            ("text/plain; version=nonsense", "text/plain; version=0.0.4"),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2", "application/openmetrics-text"),
            ("application/openmetrics-text; version=nonsense; escaping=\x00", "application/openmetrics-text"),
        ):
            text, answered = scrape(accept=accept)
            self.assertTrue(answered.startswith(kind), answered)
            self.assertNotIn("nonsense", answered)
            if "openmetrics" in kind:
                kinds = {family.name: family.type for family in parse_openmetrics(text)}
                self.assertEqual(kinds["relay_lag_seconds"], "gaugehistogram")
            else:
                self.assertEqual(samples(text), samples(scrape()[0]))

    def test_a_scrape_takes_one_snapshot_and_making_the_metrics_none(self) -> None:
        taken = []

        def snapshot() -> Snapshot:
            taken.append(NOW)
            return NOW

        metrics = Metrics(snapshot, lambda: 0)
        self.assertEqual(len(taken), 0)
        metrics("")
        self.assertEqual(len(taken), 1)
