"""What tester.top shows, and its options."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from tester.top.connections import Connection, Ended, Lagging, Slowest
from tester.top.figures import Backbone, Flow, Journal, Rates, Reach, Sessions, Workers
from tester.top.options import parse
from tester.top.screen import Screen
from tester.top.tables import QUIET
from tester.top.watch import View
from tester.top.web import Address
from tests.kit.top import NOON, scrape

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
        scrape=scrape(lagging=100, blocked="a subscriber", delivered=Flow(10**12, 10**15)),
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
            "publishers 2 blocked by a subscriber; 25% of the time, 1.5 s in all",
        )
        self.assertIn("80 of 100 are among the oldest 3,000 connections", "\n".join(lines))
        (bar,) = (line for line in lines if line.startswith("buffer"))
        self.assertTrue(bar.endswith("12%  0.5 of 4.0 MiB needed"), bar)
        self.assertEqual(round(bar.count("█") / (bar.count("█") + bar.count("░")), 1), 0.1)

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

    def test_without_sessions_nothing_is_said_of_them(self) -> None:
        for width in (80, 250):
            text = "\n".join(drawn(full(), width))
            self.assertNotIn("session", text)
            self.assertNotIn(" name ", text)

    def test_the_others_that_it_connects_to_take_a_line(self) -> None:
        view = full()
        assert view.scrape is not None
        reach = Reach(remotes=3, connected=2, messages=1234, lost=5)
        lines = drawn(replace(view, scrape=replace(view.scrape, reach=reach)), 132)
        self.assertEqual(len(lines), 24)
        self.assertEqual(" ".join(self.line(lines, "reach")), "reach 2 of 3 others connected; 1,234 messages, 5 lost")
        reach = Reach(remotes=1, connected=1, messages=2, behind=7.6)
        lines = drawn(replace(view, scrape=replace(view.scrape, reach=reach)), 132)
        self.assertEqual(" ".join(self.line(lines, "reach")), "reach 1 of 1 others connected; 2 messages, 8 s behind")

    def test_workers_take_a_line(self) -> None:
        view = full()
        assert view.scrape is not None
        lines = drawn(replace(view, scrape=replace(view.scrape, workers=Workers(count=3, up=2, replaced=1))), 132)
        self.assertEqual(" ".join(self.line(lines, "workers")), "workers 2 of 3 accept connections; 1 replaced")

    def test_the_journal_takes_a_line(self) -> None:
        view = full()
        assert view.scrape is not None
        since = time.time() - 3723.5
        journal = Journal(used=3.2e9, limit=1e10, oldest=1_234, since=since, unsynced=6.7e7, readers=3, held=True)
        lines = drawn(replace(view, scrape=replace(view.scrape, journal=journal)), 132)
        self.assertEqual(len(lines), 24)
        self.assertEqual(
            " ".join(self.line(lines, "journal")),
            "journal 3.2 GB of 10.0 GB; from message 1,234 on, 01:02:03 old; 67.0 MB not synced; 3 read from disk",
        )

    def test_the_backbone_takes_a_line(self) -> None:
        view = full()
        assert view.scrape is not None and view.rates is not None
        backbone = Backbone(behind=1234, window=5, waiting=6.7e6, trips=9, trip_seconds=1, away=False, held=True)
        for told, trip, line in (
            (backbone, 0.0021, "in reach; 1,234 behind; round trip 2.1 ms; 5 on their way, 6.7 MB waiting"),
            (replace(backbone, behind=0, waiting=0), None, "in reach; nothing behind; 5 on their way"),
            (replace(backbone, away=True), None, "takes nothing; 1,234 behind; 5 on their way, 6.7 MB waiting"),
        ):
            rates = replace(view.rates, round_trip=trip)
            lines = drawn(replace(view, scrape=replace(view.scrape, backbone=told), rates=rates), 132)
            self.assertEqual(len(lines), 24)
            self.assertEqual(" ".join(self.line(lines, "backbone")), f"backbone {line}")

    def test_totals_of_sessions_take_a_line(self) -> None:
        view = full()
        assert view.scrape is not None
        sessions = Sessions(
            subscribers=12, publishers=3, resumed=1234, incomplete=5, lost=6789, acks=10_000_000, names=4
        )
        lines = drawn(replace(view, scrape=replace(view.scrape, sessions=sessions)), 132)
        self.assertEqual(len(lines), 24)
        self.assertEqual(
            " ".join(self.line(lines, "sessions")),
            "sessions 12 subscribers, 3 publishers; resumed 1,234, 5 of them not complete, 6,789 messages lost; "
            "10,000,000 acks, 4 names",
        )

    def named(self, name: str, width: int) -> str:
        """A screen with one lagging and one ended subscriber, which have sessions and that name."""
        peer = replace(connection(7), name=name, session=True)
        lagging = Lagging(peer, "lagging", 1, 2, 3.0, position=1234)
        ended = Ended(replace(peer, peer="192.0.2.1:8"), NOON, "overrun")
        return "\n".join(drawn(replace(full(), slowest=Slowest((lagging,), 1, 1), ended=(ended,)), width))

    def test_a_name_stands_beside_the_address_or_for_it_where_there_is_no_room(self) -> None:
        self.assertEqual(self.named("map-3", 80).count('"map-3"'), 2)
        self.assertNotIn("192.0.2.1", self.named("map-3", 80))
        wide = self.named("map-3", 160)
        self.assertRegex(wide, r'192.0.2.1:7 +"map-3" +tcp +lagging +1,234 ')
        self.assertRegex(wide, r'192.0.2.1:8 +"map-3" +yes ')

    def test_a_name_is_neither_markup_nor_control_and_never_too_long(self) -> None:
        for width in (80, 160):
            text = self.named(BAD + "x" * 100, width)
            self.assertTrue(text.replace("\n", "").isprintable())
            self.assertIn('"[red]', text)
            self.assertLessEqual(max(map(len, text.splitlines())), width)

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


class EverydayTests(SynchronousTestCase):
    def test_the_status_page_and_the_board_call_the_same_ends_everyday(self) -> None:
        page = (files("relay.web") / "page" / "page.js").read_text()
        found = re.search(r"const EVERYDAY = (\[.*?\]);", page)
        assert found is not None
        self.assertEqual(tuple(json.loads(found[1])), QUIET)
        board = (Path(__file__).parents[2] / "deploy" / "grafana" / "relay.json").read_text()
        self.assertIn(f'reason!~\\"{"|".join(QUIET)}\\"', board)
