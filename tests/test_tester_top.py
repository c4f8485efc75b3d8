"""The live view: what it makes of a relay's metrics, how it looks, and whole runs beside a real relay."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tester.top.connections import PAGES, Connection, Ended, Lagging, Slowest, ended, slowest
from tester.top.figures import Flow, NotARelayError, Rates, Scrape, rates, read, same_run
from tester.top.options import parse
from tester.top.screen import Screen
from tester.top.watch import View, Watch
from tester.top.web import LARGEST, Address, WebError, WebPort
from tester.top.words import megabytes, moment, pace, size, span
from tests.certificates import Authority
from tests.fakes import frame
from tests.process import DEADLINE, Relay, roomy
from tests.test_web import relay, reset, rows, wait_until

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
                limit=4 * 2**20,
                blocked=False,
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
            *[("lag", {}), ("state", None), ("tls_subject", [])],
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


# The screen

BAD = "[red]\x1b[2J\r\n\x07\x9b\u202e\ud800[/red]"
HARMLESS = r"[red]\x1b[2J\r\n\x07\x9b\u202e\\ud800[/red]"


def connection(number: int, peer: str = "") -> Connection:
    return Connection(number, "subscriber", "tcp", peer or f"192.0.2.1:{number}", NOON, 5, 6, "")


def full(peer: str = "") -> View:
    """All that there can be to see: more rows than fit any screen."""
    return View(
        "http://127.0.0.1:8003",
        when=NOON,
        scrape=scrape(lagging=100, blocked=True, delivered=Flow(10**12, 10**15)),
        rates=Rates(Flow(12_345, 5e6), Flow(9_876_543_210, 5e9), 0.25),
        slowest=Slowest(tuple(Lagging(connection(n, peer), "lagging", n, n, n) for n in range(80)), 80, 3000, False),
        ended=tuple(Ended(connection(n, peer), NOON, peer or "TLS handshake timeout") for n in range(80)),
    )


def drawn(view: View, width: int = 80, height: int = 24, encoding: str = "utf-8") -> list[str]:
    """The lines of a screen of that size."""
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(width=width, height=height, file=output, force_terminal=False, color_system=None)
    console.print(Screen(view, "Ctrl-C ends it"))
    return raw.getvalue().decode(encoding).splitlines()


class ScreenTests(SynchronousTestCase):
    def line(self, lines: Sequence[str], beginning: str) -> list[str]:
        """The words of the only line that begins so."""
        (found,) = (line for line in lines if line.startswith(beginning))
        return found.split()

    def test_it_fills_whatever_screen_there_is_and_is_never_larger(self) -> None:
        shown = []
        for width, height in ((80, 24), (80, 40), (132, 43), (250, 80)):
            lines = drawn(full(), width, height)
            self.assertEqual(len(lines), height)
            self.assertLessEqual(max(map(len, lines)), width)
            shown.append((sum("lagging  " in line for line in lines), sum("handshake" in line for line in lines)))
        self.assertEqual(shown, sorted(shown))
        self.assertGreater(shown[0], (3, 2))
        for width, height in ((80, 5), (20, 10), (1, 1)):
            drawn(full(), width, height)

    def test_trouble_fits_too(self) -> None:
        trouble = "http://127.0.0.1:8003 is not there:" + " x" * 40
        lines = drawn(replace(full(), trouble=trouble, rates=None))
        self.assertEqual(len(lines), 24)
        told = " ".join(" ".join(lines[1:4]).split())
        self.assertTrue(told.startswith(trouble + "; the figures below are of 12:00:00"), told)
        self.assertEqual(self.line(lines, "in ")[1:3], ["-", "-"])

    def test_figures_stand_where_they_belong(self) -> None:
        lines = drawn(full())
        self.assertEqual(self.line(lines, "in "), ["in", "12,345", "5.00", "50", "5.0", "kB"])
        self.assertEqual(
            self.line(lines, "out "), ["out", "9,876,543,210", "5,000.00", "1,000,000,000,000", "1.0", "PB"]
        )
        self.assertEqual(
            " ".join(self.line(lines, "subscribers")), "subscribers 7 5 live, 100 lagging, 4 messages skipped"
        )
        self.assertEqual(
            " ".join(self.line(lines, "publishers")),
            "publishers 2 blocked now; 25% of the time, 1.5 s since the start",
        )
        self.assertIn("80 of 100 are among the oldest 3,000 connections", "\n".join(lines))
        (bar,) = (line for line in lines if line.startswith("buffer"))
        self.assertTrue(bar.endswith("25%  1.0 of 4.0 MiB"), bar)
        self.assertEqual(round(bar.count("█") / (bar.count("█") + bar.count("░")), 1), 0.2)

    def test_each_table_has_what_the_other_does_not_need(self) -> None:
        lines = drawn(replace(full(), slowest=Slowest()))
        self.assertGreater(sum("handshake" in line for line in lines), 8)
        lines = drawn(replace(full(), ended=()))
        self.assertGreater(sum("lagging  " in line for line in lines), 5)
        self.assertEqual(lines[-1], "nobody was disconnected yet")

    def test_what_a_peer_chose_is_neither_markup_nor_control(self) -> None:
        view = full(BAD)
        assert view.scrape is not None
        text = "\n".join(drawn(replace(view, trouble=BAD, scrape=replace(view.scrape, version=BAD)), 200, 40))
        self.assertTrue(text.replace("\n", "").isprintable())
        self.assertGreater(text.count(HARMLESS), 10)

    def test_a_terminal_without_unicode_has_a_bar_too(self) -> None:
        (bar,) = (line for line in drawn(full(), encoding="ascii") if line.startswith("buffer"))
        self.assertIn("##--", bar)

    def test_before_there_is_an_answer_it_says_whom_it_asks(self) -> None:
        self.assertEqual(drawn(View("http://127.0.0.1:8003"))[0].split(), ["relay", "http://127.0.0.1:8003"])


class OptionsTests(SynchronousTestCase):
    def test_by_default_it_asks_this_machine_every_second(self) -> None:
        options = parse([])
        self.assertEqual((str(options.address), options.interval), ("http://127.0.0.1:8003", 1.0))
        self.assertEqual((options.once, options.token_file), (False, None))

    def test_an_address_is_a_url_or_host_and_port(self) -> None:
        for text, address in (
            ("localhost:8003", Address(False, "localhost", 8003)),
            ("http://[::1]:8003/", Address(False, "::1", 8003)),
            ("https://relay.example/status/", Address(True, "relay.example", None, "/status")),
        ):
            self.assertEqual(parse([text]).address, address)
            self.assertEqual(parse([str(address)]).address, address)

    def test_what_makes_no_sense_is_one_line(self) -> None:
        for arguments, words in (
            (["ftp://relay"], "not an address"),
            (["http://user@relay"], "not an address"),
            (["http://relay/?x"], "not an address"),
            (["http://relay/\n"], "not an address"),
            (["relay:0"], "there is no port 0"),
            (["relay:65536"], "there is no port 65536"),
            (["--interval", "0.05"], "--interval is at least 0.1"),
            (["--token-file", "/no/such/file"], "/no/such/file: No such file"),
            (["--token-file", "/dev/null"], "/dev/null: a token is one word"),
        ):
            with redirect_stderr(io.StringIO()) as stderr:
                self.assertEqual(self.assertRaises(SystemExit, parse, arguments).code, 2)
            self.assertIn(words, stderr.getvalue())
            self.assertEqual(stderr.getvalue().count("\n"), 1)


# The web port


@contextmanager
def server(*answers: bytes, close: bool = True, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers so, one connection after the other, and then stays silent unless it is to `close`."""
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            for answer in answers:
                peer, _ = listening.accept()
                kept.append(peer)
                if context is not None:
                    peer = context.wrap_socket(peer, server_side=True)
                peer.settimeout(DEADLINE)
                request = b""
                while b"\r\n\r\n" not in request and request[:1] != b"\x16":  # the beginning of TLS
                    request += peer.recv(65536)
                peer.sendall(answer)
                if close:
                    peer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            for peer in kept:
                peer.close()
            thread.join(DEADLINE)


def answer(status: str, body: bytes = b"", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (answer("401 Unauthorized"), "wants a token: give the relay's --web-token-file as --token-file"),
        (answer("404 Not Found"), r"has no /page \(404\), so it is no relay's web port: name the port that"),
        (answer("500 Failed"), r"failed at /page \(500\): the relay's log says why"),
        (answer("302 Found"), "answers /page with status 302, which no relay does: name the port that"),
        (answer("200 OK", b"half", length=8), "ends the connection without an answer"),
        (b"", "ends the connection without an answer"),
        (frame(b"hello"), "speaks no HTTP: name the port that"),
        (answer("200 OK", b"x", length=LARGEST + 1) + bytes(LARGEST), "answers with more than 16,777,216 bytes"),
    ],
)
def test_what_is_wrong_with_an_answer_is_one_line_with_the_way_out(answered: bytes, words: str) -> None:
    with server(answered) as port, pytest.raises(WebError, match=f"^http://127.0.0.1:{port}/a {words}"):
        WebPort(Address(False, "127.0.0.1", port, "/a"), None).get("/page?x=1")


def test_who_does_not_answer_is_not_waited_for_for_ever() -> None:
    trickle = answer("200 OK", b"x", length=9)
    for answered in (b"", trickle):
        with server(answered, close=False) as port, pytest.raises(WebError, match=r"gives no answer within 0\.2 s: "):
            WebPort(Address(False, "127.0.0.1", port), None, timeout=0.2).get("/metrics")


def test_an_address_that_leads_nowhere_is_one_line() -> None:
    for host, words in (
        ("a..b", "has no address: there is no such name"),
        ("1:2", "has no address: "),
        ("255.255.255.255", "cannot be reached: "),
    ):
        with pytest.raises(WebError, match=f"^{re.escape(str(Address(False, host, 9)))} {words}") as caught:
            WebPort(Address(False, host, 9), None).get("/metrics")
        assert "\n" not in str(caught.value)


def test_tls_has_to_be_tls_and_of_somebody_who_is_trusted(tmp_path: Path) -> None:
    with server(answer("400 Bad Request")) as port, pytest.raises(WebError, match="speaks no TLS that we understand"):
        WebPort(Address(True, "127.0.0.1", port), None).get("/metrics")
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.issue())
    with server(answer("200 OK"), context=context) as port, pytest.raises(WebError, match="is not to be trusted: "):
        WebPort(Address(True, "127.0.0.1", port), None).get("/metrics")


def test_a_wrong_token_and_a_right_one_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wr0ng\n")
    theirs = tmp_path / "theirs"
    theirs.write_text("s3cret\n")
    with relay("--web-token-file", str(theirs)) as (_, port):
        web = WebPort(Address(False, "127.0.0.1", port), file)
        with pytest.raises(WebError, match=rf"refuses the token in {file}: give what the relay's --web-token-file has"):
            web.get("/metrics")
        file.write_text("s3cret\n")
        assert b"relay_build_info" in web.get("/metrics")
        done = top(str(port), "--token-file", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        file.write_text("two words")
        with pytest.raises(WebError, match=rf"{file}: a token is one word in a file of its own"):
            web.get("/metrics")
        file.unlink()
        with pytest.raises(WebError, match=rf"{file}: No such file or directory"):
            web.get("/metrics")
        assert top(str(port)).stderr.startswith(f"http://127.0.0.1:{port} wants a token: ")


# The program


def command(port: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tester.top", f"http://127.0.0.1:{port}", "--interval", "0.1", *arguments)


def top(port: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One frame, by the program itself."""
    return subprocess.run(
        command(port, "--once", *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, "COLUMNS": "80", "LINES": "25", "PYTHONUTF8": "1", **environment},
    )


def test_a_real_relay_and_its_slow_subscriber_are_seen_at_once() -> None:
    with (
        relay("--stall-timeout", "0", "--send-buffer", "4KiB") as (relay_, port),
        socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
        socket.create_connection(("127.0.0.1", relay_.subscribe_port), DEADLINE) as gone,
        roomy(relay_.subscribe_port, 4096) as slow,
    ):
        gone_peer = f"127.0.0.1:{gone.getsockname()[1]}"
        slow_port = slow.getsockname()[1]
        reset(gone)
        wait_until(port, 'relay_subscribers{state="live"}', 1)
        publisher.sendall(frame(bytes(50_000)) * 20)
        wait_until(port, "relay_published_messages_total", 20)
        wait_until(port, 'relay_subscribers{state="lagging"}', 1)
        done = top(str(port))
        (lag,) = (row["lag"] for row in rows(port) if row["lag"])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80 and done.stdout.replace("\n", "").isprintable()
    assert re.fullmatch(rf"relay \S+ +http://127\.0\.0\.1:{port} +up 00:00:\d\d", lines[0])
    assert re.search(rf"^in +0 +0\.00 +20 +{re.escape(size(20 * 50_004))} *$", done.stdout, re.MULTILINE)
    assert re.search("^subscribers +1 +0 live, 1 lagging", done.stdout, re.MULTILINE)
    assert re.search("^publishers +1 +not blocked", done.stdout, re.MULTILINE)
    assert isinstance(lag, dict)
    (words,) = (line.split() for line in lines if line.startswith(f"127.0.0.1:{slow_port}"))
    assert words[-4:-1] == ["lagging", f"{lag['messages']:,}", f"{lag['bytes']:,}"]
    assert re.search(rf"^\d\d:\d\d:\d\d +connection lost +subscriber .*{gone_peer} *$", done.stdout, re.MULTILINE)


def test_a_relay_that_is_not_there_is_one_line_and_status_1() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        done = top(str(nobody.getsockname()[1]))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "is not there: start the relay with --web" in done.stderr


def test_without_a_terminal_there_is_no_live_view_and_what_cannot_be_printed_is_one_line() -> None:
    with relay() as (_, port):
        done = subprocess.run(command(str(port)), capture_output=True, text=True, timeout=DEADLINE)
        assert (done.returncode, done.stderr) == (1, "a live view needs a terminal; --once needs none\n")
        with Path("/dev/full").open("w") as output:
            done = subprocess.run(
                command(str(port), "--once"), stdout=output, stderr=subprocess.PIPE, text=True, timeout=DEADLINE
            )
        assert (done.returncode, done.stderr) == (1, "No space left on device\n")
        unread, pipe = os.pipe()
        os.close(unread)
        done = subprocess.run(
            command(str(port), "--once"), stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=DEADLINE
        )
        os.close(pipe)
        assert (done.returncode, done.stderr) == (0, "")  # a reader that has enough
        done = top(str(port), COLUMNS="30", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert "\\u2026" in done.stdout and done.stdout.isascii()  # what was cut ends in an ellipsis


def test_what_is_missing_is_named_with_the_extra_that_has_it() -> None:
    for module, package in (("rich", "rich"), ("prometheus_client", "prometheus-client")):
        hide = f"import sys, runpy; sys.modules['{module}'] = None; sys.argv = ['top']; "
        done = subprocess.run(
            [sys.executable, "-c", hide + "runpy.run_module('tester.top', run_name='__main__')"],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert (done.returncode, done.stderr) == (
            1,
            f"{package} is not installed; to get it: pip install '.[top]'\n",
        )


# A child takes the terminal at its standard input for its own, so that Ctrl-C there is for it.
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A terminal of 80 by 24 that runs a program."""

    def __init__(self, *command: str) -> None:
        self._keyboard, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env={**environment, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
        )
        os.close(terminal)
        self._poll = select.poll()
        self._poll.register(self._keyboard, select.POLLIN)
        self.printed = b""

    def frames(self) -> list[str]:
        """What was to be seen, one after the other, without colours; the last may not be whole."""
        text = self.printed.decode(errors="replace")
        return [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", frame) for frame in text.split("\x1b[H")]

    def wait_for(self, seen: Callable[[str], object]) -> None:
        """Until a frame is as it should be; only the last and those that come are looked at."""
        looked = max(0, len(self.frames()) - 2)
        deadline = time.monotonic() + DEADLINE
        while not any(map(seen, self.frames()[looked:-1])):
            assert time.monotonic() < deadline, self.frames()[-2:]
            self._read()

    def _read(self) -> bool:
        """Whether there may be more."""
        if not self._poll.poll(100):
            return True
        try:
            self.printed += os.read(self._keyboard, 65536)
        except OSError:  # nobody has it open any more
            return False
        return True

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def end(self) -> int:
        """Read the rest, and return the exit status."""
        while self._read():
            pass
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._keyboard)


def flow(direction: str, total: str) -> Callable[[str], object]:
    """Whether a frame has that line, with any rate."""
    return re.compile(rf"^{direction} +\S+ +\S+ +{total} *\r?$", re.MULTILINE).search


def test_the_live_view_follows_a_relay_through_its_restart_and_ends_with_ctrl_c() -> None:
    with relay() as (relay_, port):
        terminal = Terminal(*command(str(port)))
        try:
            terminal.wait_for(flow("in", "0 +0 B"))
            with socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher:
                publisher.sendall(frame(b"hello") * 3)
                terminal.wait_for(flow("in", "3 +27 B"))
                terminal.wait_for(re.compile("^publishers +1 ", re.MULTILINE).search)
            assert any(re.search(r"^in +[1-9]", frame, re.MULTILINE) for frame in terminal.frames())
            terminal.wait_for(re.compile("peer closed +publisher ").search)
            relay_.stop()
            terminal.wait_for(re.compile("is not there: start the relay").search)
            with Relay("--web", f"tcp:{port}:interface=127.0.0.1"):
                terminal.wait_for(flow("in", "0 +0 B"))
                assert not re.search(r"^(in|out) +-\d", "\n".join(terminal.frames()), re.MULTILINE)
                terminal.type(b"\x03")
                assert terminal.end() == 0
            assert b"\x1b[?1049l" in terminal.printed and b"\x1b[?25h" in terminal.printed  # as it was before
            assert b"Traceback" not in terminal.printed
        finally:
            terminal.close()
