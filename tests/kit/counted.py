"""A publisher whose messages are their own positions, and the positions of the events that came of them."""

from __future__ import annotations

import socket
from typing import Self

from tests.kit.events import Event
from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, Relay
from tests.kit.web import metric, wait_for_metric


class Publisher:
    """Publishes, and counts; a message is there for everybody when `publish` returns."""

    def __init__(self, relay: Relay, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", relay.publish_port), DEADLINE)
        self._port = port
        self.published = int(metric(port, "relay_published_messages_total"))

    def publish(self, *messages: bytes) -> None:
        """All of them in one go."""
        self.socket.sendall(b"".join(map(frame, messages)))
        self.published += len(messages)
        wait_for_metric(self._port, "relay_published_messages_total", self.published)

    def count(self, number: int, size: int = 0) -> None:
        """So many, each of which is its own position, and so many bytes besides."""
        first = self.published + 1
        self.publish(*(b"%d %b" % (position, b"x" * size) for position in range(first, first + number)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()


def positions(events: list[Event]) -> list[int]:
    """Those of counted messages."""
    for event in events:
        assert event.kind == "text", event
        assert int(event.data.split()[0]) == event.position, "that is another message"
    return [event.position for event in events]
