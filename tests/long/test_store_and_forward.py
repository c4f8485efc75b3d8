"""Store and forward: a site pushes to a centre, both with a journal, and anything may go away at any time.

Every message that the site has acknowledged is at the centre once, in order.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.process import DEADLINE, Relay, free_port
from tests.kit.proxy import Proxy
from tests.kit.session_peers import AcknowledgedPublisher, ResumingSubscriber, position, sized, within

SECONDS = 600.0
"""How long things go wrong with `--thorough`."""
PAUSE = 0.002
"""Seconds between two messages."""
HEARTBEATS_MISSED = 30.0
"""Seconds until a site notices that nothing comes from the centre any more."""


class Station:
    """A relay with a journal that goes away and comes back on the same ports."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir()
        self._options = ("--journal", str(folder), "--journal-size", "256MiB", *options)
        self._ports = f"tcp:{free_port()}", f"tcp:{free_port()}"
        self.up = threading.Event()
        """Set while it is there."""
        self.begin()

    def begin(self) -> None:
        """Come (back)."""
        publish, subscribe = self._ports
        self.relay = Relay(*self._options, publish=publish, subscribe=subscribe)
        self.up.set()

    def kill(self) -> None:
        """Go away at once."""
        self.up.clear()
        self.relay.log.process.kill()
        self.relay.log.wait_for_end()
        self._check()

    def stop(self) -> None:
        """Go away in an orderly way."""
        self.up.clear()
        assert self.relay.stop() == 0
        self._check()

    def _check(self) -> None:
        assert not self.relay.log.find("Traceback|messages are lost|lost before|come twice"), self.relay.log.text

    def while_up(self, over: threading.Event) -> Callable[[], bool]:
        """Whether it is `over`; what a peer asks between two attempts, which wait until there is a relay."""

        def asked() -> bool:
            while not (self.up.wait(0.01) or over.is_set()):
                pass
            return over.is_set()

        return asked


@contextmanager
def running(peer: AcknowledgedPublisher | ResumingSubscriber, done: Callable[[], bool]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=peer.run, args=(done,), daemon=True)
    thread.start()
    yield thread


def trouble(centre: Station, site: Station, link: Proxy, chance: random.Random, seconds: float) -> None:
    """What goes wrong. Without `seconds` each once; a black hole is then followed by a new connection at once."""
    if not seconds:
        for away in (centre.kill, site.kill, centre.stop, site.stop):
            time.sleep(chance.uniform(0.1, 0.3))
            if away == site.kill:
                link.vanish()
                time.sleep(0.2)
            away()
            time.sleep(chance.uniform(0, 0.2))
            link.heal()
            (centre if away in (centre.kill, centre.stop) else site).begin()
        return
    end = time.monotonic() + seconds
    done = {"kill": 0, "stop": 0, "hole": 0}
    while time.monotonic() < end:
        time.sleep(chance.uniform(0, 2))
        what = chance.choice(("kill", "kill", "stop", "hole"))
        done[what] += 1
        if what == "hole":
            link.vanish()
            time.sleep(chance.uniform(0, 5))
            link.heal()
            continue
        for station in chance.choice(((centre,), (centre,), (site,), (site,), (centre, site))):
            (station.kill if what == "kill" else station.stop)()
        time.sleep(chance.uniform(0, 1))
        for station in (centre, site):
            if not station.up.is_set():
                station.begin()
    print(done)


def test_what_a_site_has_acknowledged_is_at_the_centre_once_and_in_order(tmp_path: Path, thorough: bool) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    over, arrived = threading.Event(), threading.Event()

    def message(number: int) -> bytes:
        time.sleep(PAUSE)
        return sized(number)

    centre = Station(tmp_path / "centre")
    with Proxy(centre.relay.publish_port) as link:
        site = Station(tmp_path / "site", "--push", f"session:tcp:127.0.0.1:{link.port}")
        reader = ResumingSubscriber(centre.relay.subscribe_port, position(centre.relay.subscribe_port))
        publisher = AcknowledgedPublisher(site.relay.publish_port, "sensor", message, window=20)
        try:
            with running(reader, centre.while_up(arrived)) as reads, running(publisher, site.while_up(over)) as writes:
                trouble(centre, site, link, random.Random(seed), SECONDS if thorough else 0)
                over.set()
                writes.join(DEADLINE)
                assert not writes.is_alive(), "the publisher is not told that all is accepted"
                there = within(DEADLINE + HEARTBEATS_MISSED, lambda: len(reader.messages) >= publisher.sent)
                while not there():
                    time.sleep(0.01)
                arrived.set()
                reads.join(DEADLINE)
        finally:
            over.set()
            arrived.set()
            site.stop()
            centre.stop()
    assert not reader.lost
    assert [text for _, text in reader.messages] == [sized(number) for number in range(1, publisher.sent + 1)]
    print(f"{publisher.sent:,} messages; publisher {dict(publisher.ends)}, reader {dict(reader.ends)}")
