"""The live view: what it makes of a relay's metrics, how it looks, and whole runs beside a real relay."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tester.top.connections import PAGES, Connection, Ended, Lagging, Slowest, ended, slowest
from tester.top.figures import (
    Backbone,
    Flow,
    Journal,
    NotARelayError,
    Rates,
    Reach,
    Scrape,
    Sessions,
    Workers,
    rates,
    read,
    same_run,
)
from tester.top.watch import View, Watch
from tester.top.web import WebError
from tester.top.words import megabytes, moment, pace, size, span
from tests.kit.top import NOON, VALUES, metrics, scrape


class FiguresTests(SynchronousTestCase):
    def test_each_figure_is_the_metric_of_that_meaning(self) -> None:
        self.assertEqual(
            scrape(3.0),
            Scrape(
                at=3.0,
                version="1.2",
                started=1000,
                published=Flow(50, 5000),
                delivered=Flow(300, 30_000),
                skipped=4,
                publishers=2,
                subscribers=7,
                most_connections=100,
                live=5,
                lagging=0,
                furthest=Flow(0, 0),
                furthest_seconds=0,
                used=2**20,
                needed=2**19,
                limit=4 * 2**20,
                blocked="",
                blocked_seconds=1.5,
                ended=3,
            ),
        )

    def test_labels_that_are_not_asked_for_are_summed_over(self) -> None:
        text = metrics().replace(
            'relay_connections{role="subscriber"} 7',
            'relay_connections{role="subscriber",feed="tcp"} 7\nrelay_connections{role="subscriber",feed="ws"} 30',
        )
        self.assertEqual(read(text, 0).subscribers, 37)

    def test_the_others_that_it_connects_to_are_counted_if_there_are_any(self) -> None:
        self.assertEqual(scrape().reach, Reach())
        told: dict[str, float] = {
            'relay_reach_connected{role="pull",remote="tcp:a:1"}': 1,
            'relay_reach_connected{role="pull",remote="tcp:b:1"}': 0,
            'relay_reach_messages_total{role="pull",remote="tcp:a:1"}': 20,
            'relay_reach_messages_total{role="pull",remote="tcp:b:1"}': 3,
            'relay_reach_lost_messages_total{role="pull",remote="tcp:a:1"}': 4,
            'relay_reach_lost_messages_total{role="pull",remote="tcp:b:1"}': 0,
        }
        self.assertEqual(read(metrics(told), 0).reach, Reach(remotes=2, connected=1, messages=23, lost=4))
        told['relay_reach_behind_seconds{role="mirror",remote="tcp:a:1"}'] = 7.5
        self.assertEqual(read(metrics(told), 0).reach.behind, 7.5)

    def test_workers_are_counted_if_there_are_any(self) -> None:
        self.assertEqual(scrape().workers, Workers())
        told: dict[str, float] = {
            'relay_worker_up{worker="1"}': 1,
            'relay_worker_up{worker="2"}': 0,
            "relay_workers_replaced_total": 4,
        }
        self.assertEqual(read(metrics(told), 0).workers, Workers(count=2, up=1, replaced=4))

    def test_it_tells_what_publishers_wait_for(self) -> None:
        told: dict[str, float] = {"relay_publishers_blocked": 1, "relay_backbone_held": 0}
        self.assertEqual(read(metrics(told), 0).blocked, "a subscriber")
        self.assertEqual(read(metrics(told | {"relay_backbone_held": 1}), 0).blocked, "the backbone")
        self.assertEqual(read(metrics(told | {"relay_workers_held": 1}), 0).blocked, "the workers")

    def test_the_journal_is_told_of_if_there_is_one(self) -> None:
        self.assertIsNone(scrape().journal)
        told: dict[str, float] = {
            "relay_journal_bytes": 4096,
            "relay_journal_limit_bytes": 8192,
            "relay_journal_oldest_position": 17,
            "relay_journal_oldest_time_seconds": 1234.5,
            "relay_journal_unsynced_bytes": 10,
            "relay_journal_readers": 3,
            "relay_journal_held": 1,
        }
        self.assertEqual(read(metrics(told), 0).journal, Journal(4096, 8192, 17, 1234.5, 10, 3, held=True))

    def test_the_backbone_is_told_of_if_there_is_one_with_the_round_trip_of_late(self) -> None:
        self.assertIsNone(scrape().backbone)
        told: dict[str, float] = {
            "relay_backbone_behind": 3,
            "relay_backbone_window": 4,
            "relay_backbone_waiting_bytes": 500,
            "relay_backbone_round_trip_seconds_count": 100,
            "relay_backbone_round_trip_seconds_sum": 0.5,
            "relay_backbone_away": 0,
            "relay_backbone_held": 1,
        }
        before = read(metrics(told), 0)
        self.assertEqual(before.backbone, Backbone(3, 4, 500, 100, 0.5, away=False, held=True))
        told |= {"relay_backbone_round_trip_seconds_count": 104, "relay_backbone_round_trip_seconds_sum": 0.508}
        after = read(metrics(told), 1)
        found, nothing, lone = rates(before, after), rates(after, replace(after, at=2)), rates(scrape(0), scrape(1))
        assert found and found.round_trip is not None and nothing and lone
        self.assertAlmostEqual(found.round_trip, 0.002)
        self.assertEqual((nothing.round_trip, lone.round_trip), (None, None))

    def test_sessions_are_counted_over_all_feeds_if_the_relay_tells_of_them(self) -> None:
        self.assertEqual(scrape().sessions, Sessions())
        told: dict[str, float] = {
            'relay_sessions{role="subscriber",feed="tcp"}': 3,
            'relay_sessions{role="subscriber",feed="ws"}': 4,
            'relay_sessions{role="publisher",feed="tcp"}': 2,
            'relay_sessions_resumed_total{outcome="complete"}': 5,
            'relay_sessions_resumed_total{outcome="incomplete"}': 6,
            'relay_sessions_resumed_total{outcome="unknown"}': 7,
            "relay_session_lost_messages_total": 8,
            "relay_acks_sent_total": 9,
            "relay_publisher_names": 10,
        }
        sessions = read(metrics(told), 0).sessions
        self.assertEqual(
            sessions,
            Sessions(subscribers=7, publishers=2, resumed=18, incomplete=13, lost=8, acks=9, names=10),
        )
        self.assertFalse(same_run(scrape(sessions=sessions), scrape(sessions=replace(sessions, acks=8))))

    def test_rates_are_differences_by_time(self) -> None:
        before = scrape(10.0)
        after = scrape(12.0, published=Flow(60, 5500), delivered=Flow(340, 34_000), blocked_seconds=2.0)
        self.assertEqual(rates(before, after), Rates(Flow(5, 250), Flow(20, 2000), 0.25))

    def test_there_are_no_rates_without_time_or_across_a_restart(self) -> None:
        before = scrape(10.0)
        self.assertIsNone(rates(before, scrape(10.0)))
        self.assertIsNone(rates(before, scrape(11.0, started=1005)))
        for less in ({"published": Flow(49, 5000)}, {"delivered": Flow(300, 29_999)}, {"ended": 2}):
            self.assertIsNone(rates(before, scrape(11.0, **less)), less)
        self.assertTrue(same_run(before, scrape(11.0)))

    def test_every_metric_has_to_be_there_and_to_be_a_number(self) -> None:
        for name in VALUES:
            if "_connections{" in name or "_subscribers{" in name or "_closed_" in name:
                continue  # of these, there are two
            self.assertRaises(NotARelayError, read, metrics().replace(name, "other"), 0)
        for value in ("NaN", "+Inf", "x"):
            self.assertRaises(NotARelayError, read, metrics().replace("limit_bytes 4194304", f"limit_bytes {value}"), 0)

    @given(st.text() | st.text(alphabet='relay_{}="\\ \n#1e').map(lambda noise: metrics() + noise))
    def test_any_other_text_is_no_relays(self, text: str) -> None:
        with contextlib.suppress(NotARelayError):
            read(text, 0)


class WordsTests(SynchronousTestCase):
    def test_numbers_are_short_and_what_is_not_known_is_no_number(self) -> None:
        self.assertEqual([pace(rate) for rate in (None, 0, 1.25, 12_345.6)], ["-", "0", "1.2", "12,346"])
        self.assertEqual([megabytes(rate) for rate in (None, 1_234_567)], ["-", "1.23"])
        self.assertEqual(
            [size(octets) for octets in (0, 999, 1000, 999_949, 999_950, 2.5e12, 1e18)],
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "2.5 TB", "1,000.0 PB"],
        )

    def test_times_have_days_only_where_there_are_some(self) -> None:
        self.assertEqual(
            [span(time) for time in (-1, 59.9, 3_661, 90_061)], ["00:00:00", "00:00:59", "01:01:01", "1 d 01:01:01"]
        )
        self.assertEqual(moment(NOON, NOON + timedelta(hours=1)), "12:00:00")
        self.assertEqual(moment(NOON, NOON + timedelta(days=1)), "01-02 12:00")


# Connections


def row(number: int, **changes: object) -> dict[str, object]:
    """A connection as `/connections` tells of it."""
    return {
        "number": number,
        "role": "subscriber",
        "peer": f"192.0.2.1:{number}",
        "since": "2026-01-02T12:00:00.000+00:00",
        "messages": 1,
        "bytes": 9,
        "skipped": 0,
        "tls_subject": None,
        "state": "live",
        "lag": None,
        **changes,
    }


def lagging(number: int, octets: int) -> dict[str, object]:
    return row(number, state="lagging", lag={"messages": 2, "bytes": octets, "seconds": 0.5})


class Site:
    """A web port: `pages` of connections, those that `ended`, and what was asked for."""

    def __init__(self, *pages: Sequence[dict[str, object]], ended: Sequence[dict[str, object]] = ()) -> None:
        self.metrics = metrics()
        self.ended = ended
        self.asked: list[str] = []
        self.trouble = ""
        self._pages: dict[str, tuple[Sequence[dict[str, object]], object]] = {}
        path = "/connections"
        for number, page in enumerate(pages, 1):
            more = page[-1]["number"] if number < len(pages) else None
            self._pages[path] = (page, more)
            path = f"/connections?after={more}"

    def get(self, path: str) -> bytes:
        self.asked.append(path)
        if self.trouble:
            raise WebError(self.trouble)
        if path == "/metrics":
            return self.metrics.encode()
        if path == "/connections?ended":
            return json.dumps({"ended": self.ended}).encode()
        page, more = self._pages[path]
        return json.dumps({"connections": page, "next": more}).encode()


class ConnectionsTests(SynchronousTestCase):
    def test_if_nobody_lags_no_page_is_asked_for(self) -> None:
        site = Site([row(1)])
        self.assertEqual((slowest(site.get, 0), site.asked), (Slowest(), []))

    def test_the_one_that_lacks_most_bytes_comes_first(self) -> None:
        site = Site([row(1), lagging(2, 500), row(3)], [lagging(4, 700), lagging(5, 600)])
        found = slowest(site.get, 3)
        self.assertEqual([(one.connection.number, one.bytes) for one in found.rows], [(4, 700), (5, 600), (2, 500)])
        self.assertEqual((found.found, found.looked, found.everywhere), (3, 5, True))
        self.assertEqual(
            found.rows[0],
            Lagging(Connection(4, "subscriber", "", "192.0.2.1:4", NOON, 1, 9, ""), "lagging", 2, 700, 0.5),
        )

    def test_pages_are_turned_no_further_than_to_the_last_of_them(self) -> None:
        site = Site([row(1)], [lagging(2, 500)], [row(3)])
        self.assertTrue(slowest(site.get, 1).everywhere)
        self.assertEqual(site.asked, ["/connections", "/connections?after=1"])

    def test_of_many_pages_only_the_first_are_looked_at_and_that_is_told(self) -> None:
        site = Site(*([row(10 * page), lagging(10 * page + 1, page)] for page in range(1, PAGES + 3)))
        found = slowest(site.get, PAGES + 2)
        self.assertEqual(len(site.asked), PAGES)
        self.assertEqual((found.found, found.looked, found.everywhere), (PAGES, 2 * PAGES, False))

    def test_how_messages_are_written_for_it_is_known_if_the_relay_tells(self) -> None:
        site = Site([{**lagging(1, 5), "feed": "ws"}])
        self.assertEqual(slowest(site.get, 1).rows[0].connection.feed, "ws")

    def test_a_name_and_a_session_are_known_if_the_relay_tells(self) -> None:
        site = Site([{**lagging(1, 5), "name": "map-3", "session": True, "position": 17}])
        (found,) = slowest(site.get, 1).rows
        self.assertEqual((found.connection.name, found.connection.session, found.position), ("map-3", True, 17))
        site = Site([{**lagging(1, 5), "name": None, "session": False, "position": None}])
        (found,) = slowest(site.get, 1).rows
        self.assertEqual((found.connection.name, found.connection.session, found.position), ("", False, None))

    def test_ends_come_as_they_are_told(self) -> None:
        site = Site(ended=[row(3, until="2026-01-02T12:00:01.500+00:00", reason="overrun", tls_subject="CN=x")])
        self.assertEqual(
            ended(site.get),
            (
                Ended(
                    Connection(3, "subscriber", "", "192.0.2.1:3", NOON, 1, 9, "CN=x"),
                    NOON + timedelta(seconds=1.5),
                    "overrun",
                ),
            ),
        )

    def test_what_is_not_so_is_no_relays(self) -> None:
        for name, value in (
            *[("number", value) for value in (None, "1", float("nan"), 10**400)],
            *[("peer", 1), ("since", "yesterday"), ("since", 5), ("since", "0001-01-01T00:00:00+14:00"), ("lag", 7)],
            *[("lag", {}), ("state", None), ("tls_subject", []), ("name", 5), ("position", "1")],
        ):
            site = Site([{**lagging(1, 5), name: value}])
            self.assertRaises(NotARelayError, slowest, site.get, 1)

    @given(st.binary() | st.sampled_from([b"[" * 100_000, b"{}", b"[]", b'{"connections":[1]}', b'{"ended":{}}']))
    def test_what_is_no_page_is_no_relays(self, body: bytes) -> None:
        self.assertRaises(NotARelayError, slowest, lambda path: body, 1)
        self.assertRaises(NotARelayError, ended, lambda path: body)


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.site = Site([lagging(1, 5)], ended=[row(2, until="2026-01-02T12:00:01+00:00", reason="overrun")])
        self.clock = 0.0
        self.watch = Watch("http://relay", self.site.get, lambda: self.clock, lambda: NOON)

    def look(self, seconds: float = 1.0, **values: float) -> View:
        """After so many seconds, when the metrics are other ones."""
        self.clock += seconds
        self.site.metrics = metrics({f"relay_{name}": value for name, value in values.items()})
        return self.watch.look()

    def test_the_first_look_has_figures_and_the_second_rates(self) -> None:
        first = self.look()
        self.assertEqual((first.scrape, first.rates, first.trouble), (scrape(1.0), None, ""))
        second = self.look(2.0, published_messages_total=60)
        assert second.rates is not None
        self.assertEqual(second.rates.published, Flow(5, 0))

    def test_ends_are_asked_for_again_only_if_there_are_others(self) -> None:
        self.assertEqual(len(self.look().ended), 1)
        self.assertEqual(len(self.look().ended), 1)
        self.assertEqual(self.site.asked.count("/connections?ended"), 1)
        self.look(**{'connections_closed_total{role="publisher",reason="overrun"}': 2})
        self.assertEqual(self.site.asked.count("/connections?ended"), 2)

    def test_if_nobody_ended_nothing_is_asked(self) -> None:
        closed = 'connections_closed_total{role="%s",reason="overrun"}'
        self.assertEqual(self.look(**{closed % "publisher": 0, closed % "subscriber": 0}).ended, ())
        self.assertEqual(self.site.asked, ["/metrics"])

    def test_trouble_is_told_with_what_was_known_and_without_rates(self) -> None:
        self.look()
        self.look()
        self.site.trouble = "it is gone"
        view = self.look()
        self.assertEqual((view.trouble, view.rates, view.scrape), ("it is gone", None, scrape(2.0)))
        self.site.trouble = ""
        back = self.look(8.0, published_messages_total=59)
        assert back.rates is not None
        self.assertEqual((back.trouble, back.rates.published.messages), ("", 1.0))  # 9 in 9 seconds

    def test_after_a_restart_nothing_is_left_of_the_run_before(self) -> None:
        self.look()
        self.site.ended = []
        view = self.look(start_time_seconds=2000, published_messages_total=0)
        assert view.scrape is not None
        self.assertEqual((view.rates, view.ended, view.scrape.published.messages), (None, (), 0))

    def test_another_server_is_told_of(self) -> None:
        for body in (b"<html>hello</html>", b"\xff", b"", b"go_goroutines 5\n"):
            watch = Watch("http://other", lambda path, body=body: body, lambda: 0.0, lambda: NOON)  # type: ignore[misc]
            self.assertRegex(watch.look().trouble, "^http://other does not answer like a relay's web port: name the p")
