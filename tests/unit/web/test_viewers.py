"""Who looks at the status page: told the same, if they take it, and not for ever if they do not."""

from __future__ import annotations

import json

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.web.viewers import PATIENCE, Viewer, Viewers
from relay.wire.events import chunk


class Transport(StringTransport):
    """Says when it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Page:
    """Viewers of something that counts how often it was put together."""

    def __init__(self) -> None:
        self.made = 0
        self.viewers = Viewers(self.status)

    def status(self) -> dict[str, object]:
        self.made += 1
        return {"made": self.made}

    def event(self) -> bytes:
        """What the last one was."""
        return chunk(b"data: " + json.dumps({"made": self.made}, separators=(",", ":")).encode() + b"\n\n")

    def view(self) -> tuple[Viewer, Transport]:
        viewer, transport = Viewer(self.viewers, b"head "), Transport()
        viewer.makeConnection(transport)
        return viewer, transport


class ViewersTests(SynchronousTestCase):
    def test_nothing_is_put_together_for_nobody(self) -> None:
        page = Page()
        page.viewers.sweep(1.0)
        self.assertEqual(page.made, 0)

    def test_everybody_is_told_at_once_and_then_the_same_as_the_others(self) -> None:
        page = Page()
        (_, first), (viewer, second) = page.view(), page.view()
        self.assertEqual((page.made, second.value()), (2, b"head " + page.event()))
        first.clear()
        second.clear()
        page.viewers.sweep(1.0)
        self.assertEqual((page.made, first.value(), second.value()), (3, page.event(), page.event()))
        viewer.connectionLost(Failure(ConnectionDone()))
        second.clear()
        page.viewers.sweep(1.0)
        self.assertEqual((page.made, second.value(), len(page.viewers.present)), (4, b"", 1))

    def test_one_that_does_not_take_it_is_left_out_and_cut_in_the_end(self) -> None:
        page = Page()
        (slow, transport), (never, stuck) = page.view(), page.view()
        for viewer, connection in ((slow, transport), (never, stuck)):
            self.assertIs(connection.producer, viewer)
            viewer.pauseProducing()
        transport.clear()
        for _ in range(PATIENCE):
            page.viewers.sweep(1.0)
        self.assertEqual((transport.value(), transport.aborted, stuck.aborted), (b"", False, False))
        slow.resumeProducing()
        page.viewers.sweep(1.0)
        self.assertEqual((transport.value(), transport.aborted, stuck.aborted), (page.event(), False, True))
        slow.stopProducing()
        self.assertIn(slow, page.viewers.present)  # until its connection is gone
