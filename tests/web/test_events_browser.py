"""Server-sent events of a real relay, in a browser."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest

from tests.kit.counted import Publisher, positions
from tests.kit.events import Event
from tests.kit.process import DEADLINE, Relay, free_port
from tests.kit.proxy import Pipe, Proxy
from tests.kit.web import relay, wait_for_metric

CHROMIUM = shutil.which("chromium")
PRESENT = 'relay_connections{feed="events",role="subscriber"}'


class Path(Proxy):
    """A way to the relay that can be cut."""

    _cut = False

    def cut(self) -> None:
        """Close all connections, and all that come, until it is restored."""
        self._cut = True
        self._wake.send(b"!")

    def __enter__(self) -> Self:
        return self

    def restore(self) -> None:
        """Let connections through again."""
        self._cut = False

    def _serve(self, link: tuple[Pipe, Pipe], readable: list[Pipe], writable: list[Pipe]) -> None:
        if self._cut:
            self._drop(link)
        else:
            super()._serve(link, readable, writable)


class Page:
    """What an EventSource on the relay's own page hears."""

    def __init__(self, page: Any, port: int) -> None:  # Any: Playwright's, which may not be there
        self._page = page
        page.set_default_timeout(DEADLINE * 1000)
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(
            """() => new Promise((opened) => {
                window.eventsHeard = [];
                const events = new EventSource("/events");
                for (const kind of ["text", "base64", "lost", "restarted", "message"])
                    events.addEventListener(kind, (event) => eventsHeard.push([kind, event.data, event.lastEventId]));
                events.addEventListener("open", opened);
            })"""
        )

    def hear(self, last: int) -> list[Event]:
        """All events, when the message of that position has come."""
        deadline = time.monotonic() + DEADLINE
        while True:  # the page's policy forbids what Playwright waits with
            events = [Event(*event) for event in self._page.evaluate("eventsHeard")]
            if events and events[-1].kind in ("text", "base64") and events[-1].position == last:
                return events
            assert time.monotonic() < deadline, events[-1:]
            time.sleep(0.02)


@contextmanager
def opened(browser: Any, port: int) -> Iterator[Page]:
    page = browser.new_page()
    try:
        yield Page(page, port)
    finally:
        page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


def test_a_browser_whose_path_is_cut_again_and_again_gets_every_message_once(browser: Any) -> None:
    with (
        relay() as (relay_, port),
        Publisher(relay_, port) as publisher,
        Path(port) as path,
        opened(browser, path.port) as page,
    ):
        for _ in range(2):
            publisher.count(50, size=1000)
            path.cut()  # with some of these on their way
            publisher.count(50, size=1000)
            wait_for_metric(port, PRESENT, 0)
            publisher.count(50, size=1000)
            path.restore()
            publisher.count(50, size=1000)
            page.hear(publisher.published)
        publisher.count(1)
        assert positions(page.hear(401)) == list(range(1, 402))


def test_a_browser_that_was_away_too_long_is_told_exactly_how_many_it_lost(browser: Any) -> None:
    with (
        relay("--buffer", "1MiB") as (relay_, port),
        Publisher(relay_, port) as publisher,
        Path(port) as path,
        opened(browser, path.port) as page,
    ):
        publisher.count(5)
        page.hear(5)
        path.cut()
        wait_for_metric(port, PRESENT, 0)
        for _ in range(30):
            publisher.count(50, size=2000)
        path.restore()
        wait_for_metric(port, PRESENT, 1)
        publisher.count(5)
        events = page.hear(publisher.published)
        [lost] = [event for event in events if event.kind == "lost"]
        events.remove(lost)
        gap = list(range(6, 6 + int(lost.data)))
        assert gap
        assert positions(events) == [1, 2, 3, 4, 5, *range(6 + len(gap), publisher.published + 1)]


def test_a_browser_hears_of_a_restart_and_goes_on(browser: Any) -> None:
    port = free_port()
    web = ("--web", f"tcp:{port}:interface=127.0.0.1")
    with Relay(*web) as first, Publisher(first, port) as publisher, opened(browser, port) as page:
        publisher.count(3)
        old = page.hear(3)
        first.log.process.send_signal(signal.SIGKILL)
        first.log.wait_for_end()
        with Relay(*web) as second:
            wait_for_metric(port, PRESENT, 1)
            with Publisher(second, port) as other:
                other.count(4)
                restarted, *new = page.hear(4)[3:]
            assert restarted.kind == "restarted"
            assert positions(old) == [1, 2, 3]
            assert positions(new) == [1, 2, 3, 4]
            assert {event.id.partition("-")[0] for event in old}.isdisjoint(event.id.partition("-")[0] for event in new)
