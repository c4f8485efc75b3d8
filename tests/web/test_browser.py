"""The status page in a browser: what it shows of a real relay, and that nothing a peer sends gets the better of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.kit.fakes import frame
from tests.kit.nats import Nats, needs_nats
from tests.kit.peers import connection, receive
from tests.kit.process import DEADLINE, Relay, children, free_port, roomy
from tests.kit.resets import reset
from tests.kit.session_wires import control

playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright: pip install playwright")

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402  # only if there is one

CHROMIUM = shutil.which("chromium")
WEB_PORT = ("--web", "tcp:0:interface=127.0.0.1")
VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(`forbidden: ${event.violatedDirective}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    expect.set_options(timeout=DEADLINE * 1000)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, port: int, width: int = 1280) -> Iterator[tuple[Page, list[str]]]:
    """The status page on that port, and what its console says, which must be nothing as long as the relay is there."""
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800})
    try:
        page.set_default_timeout(DEADLINE * 1000)
        page.add_init_script(VIOLATIONS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.goto(f"http://127.0.0.1:{port}/")
        yield page, said
    finally:
        page.close()


def web_port(relay: Relay) -> int:
    return int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


def name(peer: socket.socket) -> str:
    """What the relay calls it."""
    host, port = peer.getsockname()
    return f"{host}:{port}"


@contextmanager
def load(relay: Relay, message: bytes) -> Iterator[None]:
    """Somebody publishes such messages, ten times a second, and somebody takes them."""
    done = threading.Event()
    with connection(relay.subscribe_port) as subscriber, connection(relay.publish_port) as publisher:

        def publish() -> None:
            while not done.wait(0.1):
                publisher.sendall(frame(message) * 10)
                subscriber.recv(1_000_000)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(DEADLINE)


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay(*WEB_PORT, "--drain-timeout", "0") as running:
        yield running


def test_under_load_all_is_well_and_the_plots_move(browser: Browser, relay: Relay) -> None:
    with load(relay, b"x" * 96), opened(browser, web_port(relay)) as (page, said):
        expect(page.locator("#verdict")).to_have_text("All is well")
        expect(page.locator("#notes")).to_have_text("1 publisher, 1 subscriber")
        for figure in page.locator("figure").all():
            expect(figure.locator("strong")).to_have_text(re.compile("[1-9]"))
            expect(figure.locator("svg")).to_have_attribute(
                "aria-label", re.compile("at most .* in the last 5 minutes")
            )
        line = page.locator("figure .line").first
        before = line.get_attribute("d")
        expect(line).not_to_have_attribute("d", before or "")
        assert said == []


def test_what_a_peer_sends_is_text_and_fits_a_phone(browser: Browser, relay: Relay) -> None:
    script = b"<script>alert(1)</script>"
    with connection(relay.publish_port) as publisher, opened(browser, web_port(relay), width=360) as (page, said):
        publisher.sendall(frame(script) + frame(b"<img src=x onerror=alert(2)>") + frame(b"x" * 5000))
        newest = page.locator("#tail tbody tr")
        expect(newest.nth(2).locator(".message")).to_have_text(script.decode())
        expect(newest.nth(0).locator(".message")).to_have_text("x" * 200)
        assert page.locator("script").count() == 2  # those of the page
        assert page.locator("img").count() == 0
        page.get_by_role("button", name="Pause").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert said == []


def test_on_a_phone_an_address_is_on_one_line(browser: Browser, relay: Relay) -> None:
    with opened(browser, web_port(relay), width=360) as (page, said):
        reset(connection(relay.subscribe_port))
        address = page.locator("#ended tbody th").first
        expect(address).to_contain_text("127.0.0.1:")
        # The page makes its rows anew each second: the cell is looked up where it is measured.
        cell = "document.querySelector('#ended tbody th').firstChild"
        text = f"const text = document.createRange(); text.selectNode({cell})"
        assert page.evaluate(f"() => {{ {text}; return text.getClientRects().length; }}") == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert said == []


def test_with_the_keyboard_the_tail_can_be_paused(browser: Browser, relay: Relay) -> None:
    with connection(relay.publish_port) as publisher, opened(browser, web_port(relay)) as (page, said):
        newest = page.locator("#tail .message").first
        pause = page.get_by_role("button", name="Pause")
        publisher.sendall(frame(b"before"))
        expect(newest).to_have_text("before")
        while not pause.evaluate("button => button === document.activeElement"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement !== document.body"), "it cannot be reached"
        page.keyboard.press("Enter")
        expect(pause).to_have_attribute("aria-pressed", "true")
        totals = page.locator("#totals").text_content() or ""
        publisher.sendall(frame(b"meanwhile"))
        expect(page.locator("#totals")).not_to_have_text(totals)
        assert newest.text_content() == "before"
        page.keyboard.press("Enter")
        expect(newest).to_have_text("meanwhile")
        assert said == []


def test_who_is_stuck_lags_and_then_is_gone_with_its_reason(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("stall-timeout = 0\n")  # until the page has shown it
    with (
        Relay(*WEB_PORT, "--config", str(file), "--send-buffer", "4KiB") as relay,
        connection(relay.publish_port) as publisher,
        roomy(relay.subscribe_port, 4096) as stuck,
        opened(browser, web_port(relay)) as (page, said),
    ):
        expect(page.locator("#verdict")).to_have_text("All is well")
        publisher.sendall(frame(bytes(50_000)) * 20)
        expect(page.locator("#verdict")).to_have_text("1 subscriber lags")
        slowest = page.locator("#slowest tbody tr")
        expect(slowest).to_contain_text([name(stuck)])
        expect(slowest).to_contain_text(["takes "])
        file.write_text("stall-timeout = 1\n")
        relay.log.process.send_signal(signal.SIGHUP)
        ended = page.locator("#ended tbody tr")
        expect(ended).to_contain_text([name(stuck)])
        expect(ended).to_contain_text(["stalled"])
        expect(slowest).to_have_text(["Nobody lags."])
        expect(page.locator("#verdict")).to_have_text("1 connection cut in the last minute: stalled")
        assert said == []


def test_a_cut_is_mentioned_however_many_connections_end_after_it(browser: Browser) -> None:
    with Relay(*WEB_PORT) as relay, opened(browser, web_port(relay)) as (page, said):
        expect(page.locator("#verdict")).to_have_text("All is well")
        with connection(relay.publish_port) as publisher:
            publisher.sendall((2**31 - 1).to_bytes(4))
            relay.log.wait_for("disconnected: message too long")
        for _ in range(25):  # the page knows the last 20 that ended
            reset(connection(relay.subscribe_port))
        expect(page.locator("#closed")).to_contain_text("25 subscribers")
        expect(page.locator("#verdict")).to_have_text("1 connection cut in the last minute: message too long")
        assert said == []


def test_what_nobody_needs_is_not_shown_as_needed(browser: Browser) -> None:
    with (
        Relay(*WEB_PORT, "--buffer", "1MiB", "--send-buffer", "4KiB") as relay,
        connection(relay.publish_port) as publisher,
        roomy(relay.subscribe_port, 4096) as stuck,
        opened(browser, web_port(relay)) as (page, said),
    ):
        buffer = page.locator("#buffer")
        expect(buffer).to_contain_text("Needed by who lagsnothing")
        publisher.sendall(frame(bytes(50_000)) * 10)
        expect(page.locator("#fill")).to_have_attribute("aria-valuetext", re.compile("needed$"))
        expect(buffer).to_contain_text(re.compile(r"Needed by who lags[1-9][0-9]* KiB, [1-9][0-9] %"))
        receive(stuck, 10 * 50_004)
        expect(buffer).to_contain_text("Needed by who lagsnothing")
        assert said == []


def test_the_journal_is_shown_with_how_far_it_reaches_and_who_reads_it(browser: Browser, tmp_path: Path) -> None:
    with (
        Relay(*WEB_PORT, "--journal", str(tmp_path), "--buffer", "1MiB", "--send-buffer", "4KiB") as relay,
        connection(relay.publish_port) as publisher,
        roomy(relay.subscribe_port, 4096) as stuck,
        opened(browser, web_port(relay), width=390) as (page, said),
    ):
        journal = page.locator("#journal")
        expect(journal).to_contain_text("Reaches back tonothing yet")
        expect(journal).to_contain_text("Read from disk bynobody")
        publisher.sendall(frame(bytes(50_000)) * 100)
        expect(journal).to_contain_text(re.compile(r"Reaches back tomessage 1, \d+(\.\d)? s ago"))
        expect(journal).to_contain_text(re.compile(r"On disk[\d.]+ MiB of 10 GiB"))
        expect(journal).to_contain_text("Read from disk by1 subscriber")
        receive(stuck, 100 * 50_004)
        expect(journal).to_contain_text("Read from disk bynobody")
        assert said == []


@needs_nats
def test_the_backbone_is_shown_with_its_round_trip_and_while_it_is_away(browser: Browser, tmp_path: Path) -> None:
    with Nats(tmp_path) as nats:
        options = ("--backbone", nats.url(), "--backbone-size", "64MiB")
        with Relay(*WEB_PORT, *options) as relay, opened(browser, web_port(relay), width=390) as (page, said):
            backbone = page.locator("#backbone")
            expect(backbone).to_contain_text("Statepublishers are read")
            expect(backbone).to_contain_text("Behind the streamnothing; message 2 is read")
            expect(backbone).to_contain_text("Round tripnothing was proposed lately")
            with connection(relay.publish_port) as publisher:
                publisher.sendall(frame(b"x"))
                expect(backbone).to_contain_text(re.compile(r"Round trip\d+\.\d ms"))
            nats.nodes[0].kill()
            expect(backbone).to_contain_text("Statethe backbone cannot be reached")
            assert said == []


def test_the_pages_of_all_connections_can_be_turned_with_the_keyboard(browser: Browser, relay: Relay) -> None:
    with ExitStack() as stack:
        peers = {name(stack.enter_context(connection(relay.subscribe_port))) for _ in range(1200)}
        page, said = stack.enter_context(opened(browser, web_port(relay)))
        expect(page.locator("#states")).to_contain_text("Subscribers live1,200")
        page.get_by_role("button", name="Show").click()
        turn = page.get_by_role("button", name="Next")
        seen: list[str] = []
        for first in range(1, 1200, 50):
            expect(page.locator("#range")).to_have_text(f"{first:,} to {first + 49:,} of 1,200")
            seen += page.locator("#connections tbody th").evaluate_all("rows => rows.map(row => row.firstChild.data)")
            turn.focus()
            page.keyboard.press("Enter")
        assert len(seen) == 1200
        assert set(seen) == peers
        expect(turn).to_have_attribute("aria-disabled", "true")
        assert turn.evaluate("button => button === document.activeElement"), "the focus is lost at the end"
        page.get_by_role("button", name="Previous").click()
        expect(page.locator("#range")).to_have_text("1,101 to 1,150 of 1,200")
        assert said == []


def test_without_a_session_nothing_is_said_of_sessions(browser: Browser) -> None:
    with (
        Relay(*WEB_PORT) as relay,
        connection(relay.subscribe_port) as subscriber,
        opened(browser, web_port(relay)) as (page, said),
    ):
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#connections tbody tr")).to_contain_text([name(subscriber)])
        assert not page.locator("#sessions").is_visible()
        assert "session" not in page.locator("main").inner_text().lower()
        assert said == []


def test_the_others_that_it_connects_to_are_shown(browser: Browser) -> None:
    with Relay() as source:
        remote = f"session:tcp:127.0.0.1:{source.subscribe_port}"
        with (
            Relay(*WEB_PORT, "--pull", remote, "--push", "tcp:127.0.0.1:1") as relay,
            connection(source.publish_port) as publisher,
        ):
            relay.log.wait_for("goes on behind")
            publisher.sendall(frame(b"hello") * 3)
            with opened(browser, web_port(relay)) as (page, said):
                rows = page.locator("#remotes tbody tr")
                expect(rows.nth(0)).to_contain_text(f"{remote}pullconnected1 connection3")
                expect(rows.nth(1)).to_contain_text("tcp:127.0.0.1:1pushnot connectednobody listens there")
                expect(page.locator("#verdict")).to_have_text("Not connected to tcp:127.0.0.1:1")
                page.get_by_role("button", name="Show").click()
                expect(page.locator("#connections tbody tr").filter(has_text=remote)).to_contain_text("pull #")
                assert said == []


def test_its_workers_are_shown(browser: Browser) -> None:
    with Relay(*WEB_PORT, "--workers", "2") as relay, opened(browser, web_port(relay)) as (page, said):
        rows = page.locator("#places tbody tr")
        expect(rows.nth(1)).to_contain_text("2accepts connections0")
        expect(page.locator("#verdict")).to_have_text("All is well")
        os.kill(children(relay.pid)[0], signal.SIGKILL)
        expect(page.locator("#verdict")).to_have_text("1 worker replaced in the last minute")
        assert said == []


@pytest.mark.parametrize("width", [390, 1280])
def test_sessions_are_shown_with_their_names_and_how_far_they_are(browser: Browser, width: int) -> None:
    long = "<b>" + "x" * 125
    with (
        Relay(*WEB_PORT) as relay,
        connection(relay.publish_port) as publisher,
        connection(relay.subscribe_port) as subscriber,
        connection(relay.subscribe_port) as other,
    ):
        publisher.sendall(control(relay=1, type="publish", name="sensor-7") + frame(b"hello") * 1234)
        subscriber.sendall(control(relay=1, type="subscribe", name="map-3"))
        other.sendall(control(relay=1, type="subscribe", name=long, after="000000000000-7"))
        with opened(browser, web_port(relay), width) as (page, said):
            sessions = page.locator("#sessions")
            expect(sessions).to_contain_text("Open1 publisher, 2 subscribers")
            expect(sessions).to_contain_text("Resumed1 unknown")
            expect(sessions).to_contain_text("Names of publishers1")
            page.get_by_role("button", name="Show").click()
            rows = page.locator("#connections tbody tr")
            expect(rows.filter(has_text="sensor-7 · publisher")).to_contain_text("0 not acknowledged")
            expect(rows.filter(has_text="map-3 · subscriber")).to_contain_text("next is 1,235")
            expect(rows.filter(has_text=long)).to_have_count(1)
            assert page.locator("main b").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            subscriber.close()
            expect(page.locator("#ended")).to_contain_text("map-3 · subscriber")
            assert said == []


def wait_in_vain(page: Page) -> None:
    """Make the page believe that it has heard nothing for so long that it has to try again."""
    page.clock.run_for(6000)


@pytest.mark.parametrize("keeps", [False, True], ids=["new epoch", "same epoch"])
def test_it_says_when_the_relay_is_gone_and_notices_that_it_was_restarted(
    browser: Browser, tmp_path: Path, keeps: bool
) -> None:
    port = free_port()
    options = ("--web", f"tcp:{port}:interface=127.0.0.1", *(("--journal", str(tmp_path)) if keeps else ()))
    with ExitStack() as stack:
        first = stack.enter_context(Relay(*options))
        page, said = stack.enter_context(opened(browser, port))
        page.clock.install()
        expect(page.locator("figure .line").first).to_have_attribute("d", re.compile("M.*L"))
        assert said == []
        first.stop()
        expect(page.locator("#verdict")).to_contain_text("No connection to the relay since ")
        with Relay(*options):
            wait_in_vain(page)
            expect(page.locator("#verdict")).to_have_text("All is well")
            expect(page.locator("#facts")).to_contain_text("restart noticed ")
            assert page.evaluate("samples[0].time >= now.started"), "the plots did not begin anew"


def test_a_relay_that_hangs_is_as_good_as_gone(browser: Browser) -> None:
    with Relay(*WEB_PORT) as relay, opened(browser, web_port(relay)) as (page, said):
        page.clock.install()
        expect(page.locator("#verdict")).to_have_text("All is well")
        relay.log.process.send_signal(signal.SIGSTOP)
        try:
            wait_in_vain(page)
            expect(page.locator("#verdict")).to_contain_text("No connection to the relay since ")
        finally:
            relay.log.process.send_signal(signal.SIGCONT)
        expect(page.locator("#verdict")).to_have_text("All is well")
        assert said == []
