"""Makes the README's picture of the status page: `python -m tests.kit.picture docs/status.png`, a minute and a half.

A relay with two publishers, of which one comes and goes as the tide, and sixteen subscribers. One of these takes
nothing, until it is cut; another begins to do so; and a publisher sends what is no message. With `--width 390` it is
the page on a phone. Needs playwright, and Debian's chromium.
"""

from __future__ import annotations

import argparse
import math
import shutil
import socket
import threading
import time
from collections.abc import Callable

from playwright.sync_api import sync_playwright

from tests.kit.fakes import frame
from tests.kit.process import Relay, roomy

SECONDS = 85.0
PERIOD = 43.0
"""Seconds from one flood to the next."""
MOST = 1700
"""Messages a second at flood."""


def publish(port: int, ends: threading.Event) -> None:
    """Publish readings, as many as the tide says, until it ends."""
    begin, number = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", port)) as quiet, socket.create_connection(("127.0.0.1", port)) as busy:
        while not ends.wait(0.02):
            age = time.monotonic() - begin
            due = int(0.02 * MOST * (0.6 + 0.4 * math.sin(2 * math.pi * age / PERIOD)))
            readings = range(number, number + due)
            busy.sendall(b"".join(frame(b"sensor-3 20.968 degrees, reading %d of this hour" % one) for one in readings))
            quiet.sendall(frame(b"harbour 4.31 m, falling, at %d s" % age))
            number += due


def read(connection: socket.socket) -> None:
    """Take all that comes, until the end."""
    while connection.recv(65536):
        pass


def aside(call: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    return thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--width", type=int, default=1180)
    parser.add_argument("--height", type=int, default=1010)
    options = parser.parse_args()
    web = ("--web", "tcp:0:interface=127.0.0.1", "--buffer", "4MiB", "--send-buffer", "16KiB", "--stall-timeout", "60")
    ends = threading.Event()
    with Relay(*web) as relay, sync_playwright() as running:
        port = int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])
        for path in ("", "", *["/events"] * 2):
            reader = socket.create_connection(("127.0.0.1", port if path else relay.subscribe_port))
            if path:
                reader.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path.encode())
            aside(read, reader)
        for _ in range(12):
            aside(read, socket.create_connection(("127.0.0.1", relay.subscribe_port)))
        stuck = [roomy(relay.subscribe_port, 4096)]
        browser = running.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": options.width, "height": options.height})
        page.goto(f"http://127.0.0.1:{port}/")
        publisher = aside(publish, relay.publish_port, ends)
        page.wait_for_timeout((SECONDS - 14) * 1000)
        stuck.append(roomy(relay.subscribe_port, 4096))
        page.wait_for_timeout(13_000)
        with socket.create_connection(("127.0.0.1", relay.publish_port)) as wrong:
            wrong.sendall(b"\x7f\xff\xff\xff")
            page.wait_for_timeout(1_000)
        page.get_by_text("1 subscriber lags").wait_for()  # not one more, which the busy machine has held up
        page.screenshot(path=options.file, full_page=options.width < 600)
        browser.close()
        ends.set()
        publisher.join()
        for one in stuck:
            one.close()


if __name__ == "__main__":
    main()
