"""The way into the web port: what it needs is looked for when it is wanted, and what it lets in can change."""

from __future__ import annotations

import sys
from dataclasses import replace
from unittest.mock import patch

from prometheus_client.parser import text_string_to_metric_families as parse
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults, configure
from relay.core.chores import Chores
from relay.daemon.assembly import Surroundings, assemble
from relay.observe.stats import Stats
from relay.observe.turns import Turns
from relay.peers.admission import Admission
from relay.peers.intake import Intake
from relay.peers.rate_limited_log import RateLimitedLog
from relay.peers.registry import Registry
from relay.peers.subscriber import Subscriber
from relay.web.load import PACKAGES, Access, Contents, load_site, require_packages
from relay.web.request import Request, Response
from relay.web.site import Channel
from tests.kit.connections import PEER, FakeTransport
from tests.kit.feeds import FeedTests
from tests.kit.relays import HOST
from tests.kit.sessions import make_sessions
from tests.kit.setup_cfg import requirements


class LoadTests(SynchronousTestCase):
    def test_what_is_installed_is_no_fault(self) -> None:
        require_packages()

    def test_what_is_missing_is_named_with_the_way_to_have_it(self) -> None:
        for name in ("prometheus_client", "wsproto"):
            with patch.dict(sys.modules, {name: None}):
                error = self.assertRaises(Faults, require_packages)
            self.assertEqual(str(error), f"--web needs {name}: {sys.executable} -m pip install {PACKAGES}")

    def test_the_packages_that_are_told_are_those_of_the_extra(self) -> None:
        self.assertEqual(set(PACKAGES.split()), requirements("web"))

    def test_every_page_is_there_for_whoever_has_the_token_of_the_moment(self) -> None:
        config = replace(configure({}), web=("tcp:1",))
        relay = assemble(config, Surroundings(reactor=MemoryReactorClock(), read=lambda: config))
        assert relay.site is not None

        def status(path: str, token: str = "") -> int:
            assert relay.site is not None
            headers = (HOST, (b"Authorization", f"Bearer {token}".encode()))
            response = relay.site.pages.respond(Request(path=path, headers=headers))
            assert isinstance(response, Response)
            return response.status

        for path in ("/", "/healthz", "/metrics", "/connections"):
            self.assertEqual(status(path), 200, path)
        self.assertEqual(status("/readyz"), 503)
        relay.readiness.obstacle = ""
        self.assertEqual(status("/readyz"), 200)
        relay.appliers.web.token = b"secret"
        self.assertEqual((status("/"), status("/", "secret"), status("/", "wrong")), (401, 200, 401))


class SiteTests(FeedTests):
    """The site over a transport of the test's own, with feeds whose turns are the test's."""

    def setUp(self) -> None:
        super().setUp()
        self.lines, self.reactor = RateLimitedLog(), MemoryReactorClock()
        admission = Admission()
        self.events, self.sockets = (
            Registry("subscriber", admission, self.lines, feed=feed) for feed in ("events", "ws")
        )
        self.access = Access()
        self.unready = ""
        sessions = make_sessions(self.hub, self.turns.call_soon, history=self.history)
        stats = Stats(
            self.hub,
            Intake(lambda: self.now),
            Registry("publisher", admission, self.lines),
            [Registry("subscriber", admission, self.lines), self.events, self.sockets],
            self.lines,
            {True: 0, False: 0},
            lambda: self.now,
            Turns(self.turns.call_soon, lambda: self.now),
            sessions,
        )
        contents = Contents(
            stats,
            self.feeds,
            sessions,
            self.events,
            self.sockets,
            settings=dict,
            stopping=lambda: False,
            unready=lambda: self.unready,
            access=self.access,
            lines=self.lines,
            chores=Chores(self.hub.flush, self.turns.call_soon, lambda: self.now),
        )
        self.site = load_site(contents, self.reactor)

    def ask(self, path: str, *headers: str) -> tuple[bytes, bytes]:
        """The status and the body of the response."""
        channel, transport = self.site.buildProtocol(PEER), FakeTransport()
        assert isinstance(channel, Channel)
        channel.makeConnection(transport)
        request = "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""])
        channel.dataReceived(request.encode())
        self.turns.run_all()
        head, _, body = transport.value().partition(b"\r\n\r\n")
        return head.split()[1], body

    def test_what_does_not_end_is_there_beside_what_does(self) -> None:
        for path in ("/", "/healthz", "/readyz", "/metrics", "/connections", "/events", "/status"):
            self.assertEqual(self.ask(path)[0], b"200", path)
        socket = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        self.assertEqual(self.ask("/ws", *socket, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")[0], b"101")

    def test_subscribers_are_in_their_registries_and_viewers_stay_connections_to_the_web_port(self) -> None:
        self.ask("/events")
        [subscriber] = self.events.open
        self.assertIsInstance(subscriber, Subscriber)
        self.assertEqual((len(self.sockets.open), len(self.site.open)), (0, 0))
        self.ask("/status")
        self.assertEqual(len(self.site.open), 1)

    def test_the_metrics_count_the_connections_to_the_web_port_this_one_included(self) -> None:
        self.ask("/status")
        families = {family.name: family for family in parse(self.ask("/metrics")[1].decode())}
        [sample] = families["relay_web_connections"].samples
        self.assertEqual(sample.value, 2)

    def test_the_status_begins_with_an_update(self) -> None:
        _, body = self.ask("/status")
        self.assertIn(b'data: {"epoch":', body)

    def test_one_who_cannot_have_a_stream_is_told_so(self) -> None:
        for path in ("/status", "/events", "/ws"):
            channel, transport = self.site.buildProtocol(PEER), FakeTransport()
            assert isinstance(channel, Channel)
            channel.makeConnection(transport)
            channel.dataReceived(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            self.assertEqual(transport.value().split()[1], b"505", path)

    def test_what_may_change_is_asked_for_each_time(self) -> None:
        self.unready = "draining"
        self.assertEqual(self.ask("/readyz"), (b"503", b"draining\n"))
        self.access.token = b"s3cret"
        self.assertEqual(self.ask("/metrics")[0], b"401")
        self.assertEqual(self.ask("/metrics", "Authorization: Bearer s3cret")[0], b"200")

    def test_a_page_of_another_origin_may_read_messages_from_the_moment_when_it_is_allowed(self) -> None:
        self.assertEqual(self.ask("/events", "Origin: https://example.org")[0], b"403")
        self.access.origins = ("https://example.org",)
        self.assertEqual(self.ask("/events", "Origin: https://example.org")[0], b"200")

    def test_those_who_serve_streams_are_swept(self) -> None:
        asked: list[float] = []
        self.site.register(lambda seconds, call: asked.append(seconds))
        self.assertEqual(asked, [1.0, 1.0])

    def test_positions_of_events_and_of_the_status_are_of_one_epoch(self) -> None:
        _, events = self.ask("/events")
        _, status = self.ask("/status")
        epoch = events.partition(b"id: ")[2].partition(b"-")[0]
        self.assertRegex(epoch, b"^[0-9a-f]{12}$")
        self.assertIn(b'"epoch":"%b"' % epoch, status)
