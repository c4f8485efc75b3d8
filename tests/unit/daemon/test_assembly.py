"""How a relay is put together: what the configuration asks for is there, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import configure
from relay.daemon.assembly import Relay, Surroundings, assemble
from relay.net.ports import CannotStart
from tests.kit.fakes import frame, said


def put_together(**changes: Any) -> Relay:  # Any: of each field's own type
    config = replace(configure({}), **changes)
    return assemble(config, Surroundings(reactor=MemoryReactorClock(), read=lambda: config))


class AssemblyTests(SynchronousTestCase):
    def test_what_a_publisher_sends_reaches_a_subscriber(self) -> None:
        relay = put_together()
        publisher, subscriber = relay.publishers.buildProtocol(None), relay.subscribers.buildProtocol(None)
        sent, received = StringTransport(), StringTransport()
        subscriber.makeConnection(received)
        publisher.makeConnection(sent)
        publisher.dataReceived(frame(b"message"))
        relay.machinery.hub.flush()
        self.assertEqual(received.value(), frame(b"message"))

    def test_every_endpoint_is_an_entrance_in_order(self) -> None:
        relay = put_together(publish=("tcp:1", "tcp:2"), subscribe=("tcp:3",))
        self.assertEqual(
            [(entrance.option, entrance.endpoint) for entrance in relay.entrances],
            [("publish", "tcp:1"), ("publish", "tcp:2"), ("subscribe", "tcp:3")],
        )

    def test_without_a_web_port_there_is_nothing_of_it(self) -> None:
        relay = put_together()
        self.assertIsNone(relay.site)
        self.assertIsNone(relay.machinery.feeds)
        self.assertNotIn(relay.machinery.turns, relay.registering)

    def test_with_one_it_is_the_last_entrance_and_its_parts_are_called(self) -> None:
        relay = put_together(web=("tcp:4",))
        self.assertEqual(relay.entrances[-1][:3], ("web", "tcp:4", relay.site))
        for part in (relay.site, relay.machinery.feeds, relay.machinery.turns):
            self.assertIn(part, relay.registering)

    def test_a_certificate_that_cannot_be_used_is_the_reason_why_it_does_not_start(self) -> None:
        error = self.assertRaises(CannotStart, put_together, certificate="/none", publish_tls=("tcp:1",))
        self.assertIn("relay cannot start: certificate: /none: ", str(error))

    def test_it_is_not_ready_before_it_listens(self) -> None:
        self.assertEqual(put_together().readiness.obstacle, "starting: not every port listens yet")

    def test_a_system_without_room_is_logged_as_often_as_such_lines_may_be(self) -> None:
        relay = put_together()
        with capturedLogs() as events:
            for _ in range(1000):
                relay.ports.exhausted(OSError(24, "Too many open files"))
        self.assertEqual(
            said(events)[0],
            (LogLevel.warn, "cannot accept connections: Too many open files; the next try is in 1 s"),
        )
        self.assertLess(len(events), 100)
        self.assertEqual(len(events) + relay.machinery.lines.left_out, 1000)
