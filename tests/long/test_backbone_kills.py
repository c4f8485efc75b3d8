"""Three servers of NATS and three relays that are killed and cut off at random: one order, and each message once.

What publishers sent and were told, and what subscribers got, is kept by peers that know nothing of the relay's code.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.kit.nats import Nats, needs_nats, ready
from tests.kit.process import DEADLINE, Relay, free_port, wait_until
from tests.kit.proxy import Proxy
from tests.kit.session_peers import AcknowledgedPublisher, ResumingSubscriber, position, sized

SECONDS = 600.0
"""How long things go wrong with `--thorough`; a hundredth of that without."""
CATCH_UP = 90.0
"""Seconds within which all must be well again."""
PACE = 0.01
"""Seconds between two looks of a publisher whether it is over, at each of which it sends up to `WINDOW` messages. So
what a subscriber lacks after any of the faults is in its relay's memory, and the peers, which are slow, keep up."""
WINDOW = 4
"""Messages of a publisher that may wait for their acknowledgement."""


def of(publisher: int, number: int) -> bytes:
    """Message `number` of a publisher."""
    return b"%d:" % publisher + sized(number)


def large(number: int) -> bytes:
    """Message `number` of the publisher of a flood."""
    return sized(number) + bytes(10_000)


class Site:
    """One relay, which reaches each server of NATS through a proxy of its own, and its ports."""

    def __init__(self, nats: Nats) -> None:
        self.publish, self.subscribe = free_port(), free_port()
        self._nats = nats
        self.proxies = [Proxy(node.port) for node in nats.nodes]
        self.start()

    def start(self) -> None:
        """Start the relay, again or for the first time."""
        self.relay = Relay(
            *("--backbone", self._nats.url(ports=tuple(proxy.port for proxy in self.proxies))),
            *("--backbone-replicas", "3", "--backbone-size", "1GiB"),
            publish=f"tcp:{self.publish}",
            subscribe=f"tcp:{self.subscribe}",
        )

    def cut_off(self) -> None:
        """Whatever it has to do with NATS is a black hole, until `heal`."""
        for proxy in self.proxies:
            proxy.vanish()

    def heal(self) -> None:
        for proxy in self.proxies:
            proxy.heal()

    def kill(self) -> None:
        """End the relay as a crash does."""
        self.relay.log.process.kill()
        self.relay.log.wait_for_end()


class Peers:
    """Two named publishers and a resuming subscriber at each relay, and a publisher that goes from one to the next."""

    def __init__(self, sites: list[Site]) -> None:
        self.over, self.reached = threading.Event(), threading.Event()
        self.faults: list[BaseException] = []
        after = position(sites[0].subscribe)
        self.publishers = [
            AcknowledgedPublisher(site.publish, f"p{number}", partial(of, number), WINDOW)
            for number, site in enumerate(sites + sites)
        ]
        self.walker = AcknowledgedPublisher(sites[0].publish, "walker", partial(of, 99), WINDOW)
        self.subscribers = [ResumingSubscriber(site.subscribe, after, patience=8) for site in sites]
        self._sites = sites
        self.threads = [self._thread(one.run, self._paced) for one in self.publishers]
        self.threads.append(self._thread(self._walk))
        self.listeners = [self._thread(one.run, self._heard) for one in self.subscribers]

    def _thread(self, run: Callable[..., None], *arguments: object) -> threading.Thread:
        def guarded() -> None:
            try:
                run(*arguments)
            except BaseException as error:
                self.faults.append(error)
                raise

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _paced(self) -> bool:
        """Whether it is over."""
        return self.over.wait(PACE)

    def _heard(self) -> bool:
        return self.reached.is_set()

    def _passed(self, until: float) -> bool:
        return self._paced() or time.monotonic() > until

    def _walk(self) -> None:
        """Publish under one name, now here and now there: a second at each relay."""
        while not (self.over.is_set() and self.walker.accepted >= self.walker.sent):
            for site in self._sites:
                self.walker.move(site.publish)
                until = time.monotonic() + 1
                self.walker.connect_once(partial(self._passed, until))

    @property
    def sent(self) -> int:
        """Messages that were sent in all."""
        return sum(one.sent for one in (*self.publishers, self.walker))


class Trouble:
    """Makes something go wrong, now and then, until it is over."""

    def __init__(self, nats: Nats, sites: list[Site], seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._nats = nats
        self._sites = sites
        self._chance = random.Random(seed)

    def make(self, seconds: float) -> None:
        """Make trouble for so long. Everything is well afterwards."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            kind = self._chance.choice((self.kill_node, self.kill_relay, self.cut_off, self.freeze_node))
            self.counts[kind.__name__] += 1
            kind()
            time.sleep(self._chance.random() * 2)

    def pause(self, most: float) -> None:
        time.sleep(self._chance.random() * most)

    def kill_node(self) -> None:
        node = self._chance.choice(self._nats.nodes)
        node.kill()
        self.pause(4)
        node.start()

    def kill_relay(self) -> None:
        site = self._chance.choice(self._sites)
        site.kill()
        self.pause(1)
        site.start()

    def cut_off(self) -> None:
        site = self._chance.choice(self._sites)
        site.cut_off()
        self.pause(8)
        site.heal()

    def freeze_node(self) -> None:
        node = self._chance.choice(self._nats.nodes)
        node.stop(signal.SIGSTOP)
        self.pause(6)
        node.stop(signal.SIGCONT)


@needs_nats
def test_whatever_is_killed_or_cut_off_all_have_one_order_and_each_message_once(tmp_path: Path, thorough: bool) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    with Nats(tmp_path, 3) as nats:
        sites = [Site(nats) for _ in range(3)]
        try:
            peers = Peers(sites)
            wait_until(lambda: all(one.sent for one in (*peers.publishers, peers.walker)), "everybody publishes")
            trouble = Trouble(nats, sites, seed)
            trouble.make(SECONDS if thorough else SECONDS / 100)
            print(trouble.counts)
            settle(peers)
        finally:
            peers.over.set()
            peers.reached.set()
            for site in sites:
                site.relay.stop()
                for proxy in site.proxies:
                    proxy.__exit__(None, None, None)
    check(peers)


@needs_nats
def test_a_relay_that_nobody_publishes_to_notices_that_too_few_servers_are_left(tmp_path: Path, thorough: bool) -> None:
    if not thorough:
        pytest.skip("a cluster that loses its majority, and finds it again, takes its time: --thorough")
    options = ("--backbone-replicas", "3", "--backbone-size", "64MiB", "--web", "tcp:0:interface=127.0.0.1")
    with Nats(tmp_path, 3) as nats, Relay("--backbone", nats.url(), *options) as relay:
        web = int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])
        wait_until(lambda: ready(web) == "ok", "ready")
        port = int(relay.log.wait_for(r"connected to the backbone at nats://127\.0\.0\.1:(\d+)")[1])
        others = [node for node in nats.nodes if node.port != port]
        for node in others:
            node.kill()
        wait_until(lambda: "the backbone cannot be reached" in ready(web), "it says so", CATCH_UP)
        for node in others:
            node.start()
        wait_until(lambda: ready(web) == "ok", "ready again", CATCH_UP)


@needs_nats
def test_a_relay_whose_path_to_a_server_is_cut_in_a_flood_goes_on_over_another(tmp_path: Path, thorough: bool) -> None:
    if not thorough:
        pytest.skip("takes some ten seconds: --thorough")
    with Nats(tmp_path) as nats, Proxy(nats.nodes[0].port) as left, Proxy(nats.nodes[0].port) as right:
        url = nats.url(ports=(left.port, right.port))
        with Relay("--backbone", url, "--backbone-size", "1GiB", "--slow", "block") as relay:
            used = int(relay.log.wait_for(r"connected to the backbone at nats://127\.0\.0\.1:(\d+)")[1])
            subscriber = ResumingSubscriber(relay.subscribe_port, position(relay.subscribe_port))
            publisher = AcknowledgedPublisher(relay.publish_port, "p", large, window=400)
            over = threading.Event()

            def has_all() -> bool:
                return over.is_set() and subscriber.next > publisher.sent

            threads = [
                threading.Thread(target=one.run, args=(done,), daemon=True)
                for one, done in ((publisher, over.is_set), (subscriber, has_all))
            ]
            for thread in threads:
                thread.start()
            wait_until(lambda: subscriber.next > 500, "messages flow")
            (left if used == left.port else right).vanish()
            other = right.port if used == left.port else left.port
            relay.log.wait_for(f"connected to the backbone at nats://127.0.0.1:{other}")
            reached = subscriber.next
            wait_until(lambda: subscriber.next > reached + 500, "messages flow again")
            over.set()
            for thread in threads:
                thread.join(DEADLINE)
    assert subscriber.messages == [(number, large(number)) for number in range(1, publisher.sent + 1)]
    assert not subscriber.lost


def settle(peers: Peers) -> None:
    """Wait until all that was sent is acknowledged and has come to every subscriber."""
    peers.over.set()
    begun = time.monotonic()
    for thread in peers.threads:
        thread.join(max(1.0, begun + CATCH_UP - time.monotonic()))
        assert not thread.is_alive(), "a publisher is not told that all is accepted"
    sent = peers.sent
    until = time.monotonic() + CATCH_UP
    while not (all(len(one.messages) >= sent for one in peers.subscribers) or peers.faults):
        had = [(len(one.messages), one.next, one.lost, one.ends) for one in peers.subscribers]
        assert time.monotonic() < until, f"{sent:,} messages were sent, and subscribers have {had}"
        time.sleep(0.1)
    print(f"{sent:,} messages; well again after {time.monotonic() - begun:.1f} s")
    time.sleep(0.5)  # for what comes twice
    peers.reached.set()
    for thread in peers.listeners:
        thread.join(DEADLINE)


def check(peers: Peers) -> None:
    """One order for all, and in it each message of each publisher once, in its order."""
    assert not peers.faults
    sent = peers.sent
    for one in peers.subscribers:
        assert not one.lost
        assert [number for number, _ in one.messages] == list(range(1, sent + 1))
        assert one.messages == peers.subscribers[0].messages
    order = [message for _, message in peers.subscribers[0].messages]
    for number, publisher in [*enumerate(peers.publishers), (99, peers.walker)]:
        own = [message for message in order if message.startswith(b"%d:" % number)]
        assert own == [of(number, message) for message in range(1, publisher.sent + 1)]
        assert publisher.sent
