"""The relay's metrics for Prometheus, made anew for each scrape.

This module needs the package prometheus-client; a relay without a web port does not import it. A scrape is answered in
the reactor's thread, within one turn, so that its numbers are consistent.

Names follow Prometheus' conventions: base units, and `_total` for what only grows. The lag of subscribers does not only
grow: it is a distribution at one moment, a gauge histogram. Take `histogram_quantile` of it without `rate`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeHistogramMetricFamily as GaugeHistogram
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import InfoMetricFamily as Info
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from relay import __version__
from relay.core.backbone import BackboneFigures
from relay.core.journal import JournalFigures
from relay.observe.stats import Role, Snapshot
from relay.observe.turns import BOUNDS
from relay.peers.registry import TCP

LAGS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)
"""Upper bounds of the lag's buckets, in seconds: from what a busy turn causes to what only a large buffer allows."""
OPENMETRICS = "application/openmetrics-text"


class Metrics:
    """Answers scrapes."""

    def __init__(self, snapshot: Callable[[], Snapshot], web_connections: Callable[[], int]) -> None:
        """`snapshot`: takes one of the relay. `web_connections`: how many connections the web port has now."""
        self._snapshot = snapshot
        self._web_connections = web_connections
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def __call__(self, accept: str) -> tuple[bytes, str]:
        """The text of a scrape, and its content type.

        `accept`: the header `Accept` of the request. The format is OpenMetrics if it names that, otherwise Prometheus'.
        `choose_encoder` raises for some headers that peers may send, so it is given a constant instead of the header.
        """
        encode, kind = choose_encoder(f"{OPENMETRICS}; version=1.0.0" if OPENMETRICS in accept else "")
        return encode(self._registry), kind

    def describe(self) -> list[Metric]:
        """Nothing: Prometheus' registry asks for names when this is registered, which is not worth a snapshot."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' registry, once for each scrape."""
        now = self._snapshot()
        yield Info("relay_build", "What runs: always 1.", {"version": __version__})
        yield Gauge("relay_start_time_seconds", "When the relay was started, in seconds since 1970, UTC.", now.started)
        yield from _connections(now.roles)
        yield Gauge("relay_connections_limit", "Connections that both roles may have together.", now.most_connections)
        yield Gauge("relay_web_connections", "Connections to the web port, this one included.", self._web_connections())
        yield from _messages(now)
        yield from _buffer(now)
        yield from _lag(now)
        yield from _sessions(now)
        yield from _reach(now)
        if now.workers:
            yield from _workers(now)
        yield Gauge("relay_publishers_blocked", "1 while publishers are not read, else 0.", now.blocked)
        yield Counter(
            "relay_publishers_blocked_seconds", "Seconds during which publishers were not read.", now.blocked_seconds
        )
        if now.journal:
            yield from _journal(now.journal)
        if now.backbone:
            yield from _backbone(now.backbone)
        yield _turns(now)
        yield _by("relay_reloads", "Reloads (SIGHUP).", {"succeeded": now.reloaded, "failed": now.reloads_failed})
        yield Counter("relay_log_lines_left_out", "Log lines left out because peers caused too many.", now.left_out)


def _turns(now: Snapshot) -> Histogram:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return Histogram(
        "relay_turn_seconds",
        "Lengths of the reactor's turns; one is measured every quarter of a second.",
        list(zip(bounds, accumulate(map(float, now.turns)), strict=True)),
        now.turn_seconds,
    )


def _journal(now: JournalFigures) -> Iterator[Metric]:
    yield Gauge("relay_journal_bytes", "What the journal takes on disk.", now.size)
    yield Gauge("relay_journal_limit_bytes", "What the journal may take on disk (--journal-size).", now.limit)
    yield Gauge("relay_journal_free_bytes", "What the disk has left for the journal.", now.free)
    yield Gauge("relay_journal_segments", "Files of the journal.", now.segments)
    yield Gauge("relay_journal_oldest_position", "Position of the oldest message in the journal.", now.oldest)
    yield Gauge(
        "relay_journal_oldest_time_seconds",
        "When the oldest message in the journal was published, in seconds since 1970, UTC.",
        now.oldest_time,
    )
    yield Gauge("relay_journal_unsynced_bytes", "What is written and not known to be on disk.", now.unsynced)
    yield Gauge("relay_journal_held", "1 while publishers wait for the journal, else 0.", bool(now.trouble))
    yield Counter(
        "relay_journal_held_seconds", "Seconds during which publishers waited for the journal.", now.held_seconds
    )
    yield Histogram(
        "relay_journal_sync_seconds",
        "How long the disk took to sync.",
        list(zip([*map(str, now.bounds), "+Inf"], accumulate(map(float, now.syncs)), strict=True)),
        now.sync_seconds,
    )
    yield Counter("relay_journal_reads", "Blocks of messages that were read from disk.", now.reads)
    yield Gauge("relay_journal_readers", "Subscribers that lack messages which only the journal has.", now.readers)
    yield Gauge("relay_journal_cuts", "Places in the journal that were mended when the relay started.", now.cuts)


def _backbone(now: BackboneFigures) -> Iterator[Metric]:
    yield Counter("relay_backbone_proposals", "Proposals of this relay, each counted once.", now.proposed)
    yield Counter("relay_backbone_repeats", "How often this relay proposed again all that was on its way.", now.again)
    yield Counter("relay_backbone_folded", "Proposals of all relays that counted.", now.folded)
    ignored = Counter("relay_backbone_ignored", "Proposals, or parts of them, that were ignored.", labels=["cause"])
    for cause, count in now.ignored.items():
        ignored.add_metric([cause], count)
    yield ignored
    yield Gauge("relay_backbone_window", "Proposals of this relay that are on their way.", now.window)
    yield Gauge("relay_backbone_window_bytes", "Bytes of the proposals that are on their way.", now.window_bytes)
    yield Gauge("relay_backbone_waiting_bytes", "Bytes that are not proposed yet, for want of room.", now.waiting)
    yield Histogram(
        "relay_backbone_round_trip_seconds",
        "How long proposals of this relay took to come back.",
        list(zip([*map(str, now.bounds), "+Inf"], accumulate(map(float, now.trips)), strict=True)),
        now.trip_seconds,
    )
    yield Gauge("relay_backbone_behind", "Messages of the stream that this relay has not read yet.", now.behind)
    yield Gauge("relay_backbone_names", "Names of publishers that all relays know.", now.names)
    yield Gauge("relay_backbone_sequence", "Number of the last message of the stream that was read.", now.sequence)
    yield Gauge(
        "relay_backbone_snapshot_sequence", "Number of the last message in this relay's newest snapshot.", now.snapshot
    )
    yield Gauge(
        "relay_backbone_away", "1 while NATS cannot be reached or takes no proposals, else 0.", bool(now.trouble)
    )
    yield Gauge("relay_backbone_held", "1 while publishers wait for the backbone, else 0.", now.held)
    yield Counter(
        "relay_backbone_held_seconds", "Seconds during which publishers waited for the backbone.", now.held_seconds
    )


def _by(name: str, meaning: str, results: dict[str, int]) -> Counter:
    """A counter with the label `result`."""
    found = Counter(name, meaning, labels=["result"])
    for result, count in results.items():
        found.add_metric([result], count)
    return found


def _connections(roles: tuple[Role, ...]) -> Iterator[Metric]:
    is_open = Gauge("relay_connections", "Connections that are open.", labels=["role", "feed"])
    opened = Counter(
        "relay_connections_opened", "Connections accepted, including those refused at once.", labels=["role", "feed"]
    )
    closed = Counter(
        "relay_connections_closed", "Connections that ended, by reason.", labels=["role", "feed", "reason"]
    )
    handshakes = Counter("relay_tls_handshakes", "TLS handshakes, completed or failed.", labels=["role", "result"])
    for role in roles:
        is_open.add_metric([role.name, role.feed], role.open)
        opened.add_metric([role.name, role.feed], role.opened)
        for reason, count in role.closed.items():
            closed.add_metric([role.name, role.feed, reason], count)
        if role.feed == TCP:
            handshakes.add_metric([role.name, "completed"], role.handshakes_completed)
            handshakes.add_metric([role.name, "failed"], role.handshakes_failed)
    yield from (is_open, opened, closed, handshakes)


def _messages(now: Snapshot) -> Iterator[Metric]:
    yield Counter("relay_published_messages", "Messages that publishers sent.", now.published.messages)
    yield Counter(
        "relay_published_bytes", "Bytes of the messages that publishers sent, with framing.", now.published.bytes
    )
    yield Counter(
        "relay_discarded_messages",
        "Messages that were dropped because they were too long (--too-long discard).",
        now.discarded,
    )
    yield Counter(
        "relay_incomplete_messages",
        "Messages that were begun and dropped, because their publishers' connections ended.",
        now.incomplete,
    )
    yield Counter(
        "relay_delivered_messages",
        "Messages given to subscribers, each counted once for every subscriber.",
        now.delivered.messages,
    )
    yield Counter(
        "relay_delivered_bytes", "Bytes of the messages given to subscribers, with framing.", now.delivered.bytes
    )
    yield Counter(
        "relay_skipped_messages",
        "Messages that subscribers lost (--slow skip), each counted once for every subscriber.",
        now.delivered.skipped,
    )


def _buffer(now: Snapshot) -> Iterator[Metric]:
    yield Gauge("relay_buffer_used_bytes", "Memory that the buffer uses.", now.held)
    yield Gauge("relay_buffer_needed_bytes", "Memory for what subscribers have yet to be given.", now.needed)
    yield Gauge("relay_buffer_limit_bytes", "Memory that the buffer may use (--buffer).", now.buffer)
    yield Gauge("relay_oldest_position", "Position of the oldest message in the buffer, counted from 1.", now.oldest)
    yield Gauge("relay_next_position", "Position that the next message will get.", now.next)


def _sessions(now: Snapshot) -> Iterator[Metric]:
    is_open = Gauge("relay_sessions", "Sessions that are open.", labels=["role", "feed"])
    for (role, feed), count in now.sessions.items():
        is_open.add_metric([role, feed], count)
    resumed = Counter(
        "relay_sessions_resumed",
        "Subscribers that went on where they had stopped, by what they had lost: nothing (complete), a number of "
        "messages that they were told (incomplete), or nobody knows how many (unknown).",
        labels=["outcome"],
    )
    for outcome, count in now.resumed.items():
        resumed.add_metric([outcome], count)
    yield from (is_open, resumed)
    yield Counter("relay_session_lost_messages", "Messages that sessions were told they have lost.", now.lost)
    yield Counter("relay_acks_sent", "Acknowledgements sent to publishers.", now.acks)
    yield Gauge("relay_publisher_names", "Names of publishers that are known, connected or not.", now.names)


def _workers(now: Snapshot) -> Iterator[Metric]:
    labels = ["worker"]
    up = Gauge("relay_worker_up", "1 while the worker accepts connections, else 0.", labels=labels)
    connections = Gauge("relay_worker_connections", "Subscribers of the worker.", labels=labels)
    cpu = Counter("relay_worker_cpu_seconds", "Processor time that the worker's process has taken.", labels=labels)
    memory = Gauge("relay_worker_resident_bytes", "Memory of the worker's process.", labels=labels)
    delivered = Counter("relay_worker_delivered_bytes", "Bytes that its subscribers were given.", labels=labels)
    for one in now.workers:
        where = [str(one.place)]
        up.add_metric(where, one.up)
        connections.add_metric(where, one.connections)
        cpu.add_metric(where, one.cpu)
        memory.add_metric(where, one.memory)
        delivered.add_metric(where, one.delivered.bytes)
    yield from (up, connections, cpu, memory, delivered)
    yield Counter("relay_workers_replaced", "Workers that have ended and were replaced.", now.replaced)
    yield Gauge("relay_workers_held", "1 while publishers wait for a worker, else 0.", now.workers_held)
    yield Counter(
        "relay_workers_held_seconds", "Seconds during which publishers waited for a worker.", now.workers_held_seconds
    )


def _reach(now: Snapshot) -> Iterator[Metric]:
    labels = ["role", "remote"]
    connected = Gauge(
        "relay_reach_connected",
        "1 while there is a connection to another relay or server that works, else 0.",
        labels=labels,
    )
    made = Counter("relay_reach_connections", "Connections made to another relay or server.", labels=labels)
    messages = Counter("relay_reach_messages", "Messages that came from there, or were sent.", labels=labels)
    lost = Counter("relay_reach_lost_messages", "Messages lost in between, as far as is known.", labels=labels)
    waiting = Gauge("relay_reach_waiting_messages", "Messages that are not known to be there yet.", labels=labels)
    behind = Gauge("relay_reach_behind_messages", "Messages that a mirror lacked when it was told last.", labels=labels)
    seconds = Gauge(
        "relay_reach_behind_seconds",
        "Seconds that a mirror is behind at most: the age of the first message that it lacks, and the time since it was"
        " told.",
        labels=labels,
    )
    for one in now.reach:
        where = [one.role, one.remote]
        connected.add_metric(where, one.connected)
        made.add_metric(where, one.connections)
        messages.add_metric(where, one.exchanged.messages)
        lost.add_metric(where, one.lost)
        waiting.add_metric(where, one.waiting)
        if one.behind:
            behind.add_metric(where, one.behind[0])
            seconds.add_metric(where, one.behind[1])
    yield from (connected, made, messages, lost, waiting, behind, seconds)


def _lag(now: Snapshot) -> Iterator[Metric]:
    states = Gauge(
        "relay_subscribers", "Subscribers that have everything (live) or lack messages (lagging).", labels=["state"]
    )
    states.add_metric(["live"], now.live)
    states.add_metric(["lagging"], now.lagging)
    yield states
    furthest = now.furthest
    yield Gauge("relay_lag_max_messages", "Messages that the slowest subscriber lacks.", furthest.messages)
    yield Gauge("relay_lag_max_bytes", "Bytes that the slowest subscriber lacks.", furthest.bytes)
    yield Gauge(
        "relay_lag_max_seconds",
        "Seconds since the first message that the slowest subscriber lacks was published.",
        furthest.seconds,
    )
    lags = sorted(now.lags)
    buckets = [(str(float(bound)), float(bisect_right(lags, bound))) for bound in LAGS]
    yield GaugeHistogram(
        "relay_lag_seconds",
        "How many seconds the lagging subscribers are behind now; a gauge, so it takes no rate().",
        [*buckets, ("+Inf", len(lags))],
        sum(lags),
    )
