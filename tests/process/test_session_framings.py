"""Sessions in the framings that have them, with a real relay: control frames are frames of each."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from relay.wire.control import CARRIERS, CONTROL, frame, is_control
from relay.wire.framings import framing_name
from relay.wire.headed import Headed
from relay.wire.hello import PublisherHello, SubscriberHello
from tests.kit.peers import connection
from tests.kit.process import Relay


class Peer:
    """A connection that reads frames one by one."""

    def __init__(self, peer: socket.socket, framing: type[Headed]) -> None:
        self.socket = peer
        self.framing = framing
        self.data = b""

    def next(self) -> bytes | dict[str, Any]:  # Any: what JSON has
        """The next message, or what the next control frame says."""
        framing = self.framing
        while True:
            measured = framing.measure(self.data, 0) if self.data else None
            if measured is not None:
                head, length = measured
                end = head + (length - CONTROL if is_control(length) else length)
                whole = end + len(framing.trailer)
                if len(self.data) >= whole:
                    body, trailer = self.data[head:end], self.data[end:whole]
                    self.data = self.data[whole:]
                    assert trailer == framing.trailer
                    return json.loads(body) if is_control(length) else body
            part = self.socket.recv(2**16)
            assert part, "the connection ended"
            self.data += part


@pytest.mark.parametrize("framing", CARRIERS, ids=framing_name)
def test_a_publisher_is_told_what_is_accepted_and_a_subscriber_goes_on_where_it_was(framing: type[Headed]) -> None:
    with Relay("--framing", framing_name(framing)) as relay, connection(relay.publish_port) as publishing:
        publisher = Peer(publishing, framing)
        publishing.sendall(frame(PublisherHello(name="p").write(), framing) + framing.frame(b"one"))
        assert publisher.next()["type"] == "welcome"  # type: ignore[call-overload]
        publishing.sendall(framing.frame(b"two") * 2)
        accepted = 0
        while accepted < 3:
            told = publisher.next()
            assert isinstance(told, dict)
            accepted = told["accepted"]
        with connection(relay.subscribe_port) as subscribing:
            subscriber = Peer(subscribing, framing)
            subscribing.sendall(frame(SubscriberHello(replay=2).write(), framing))
            welcome = subscriber.next()
            assert isinstance(welcome, dict)
            assert [subscriber.next(), subscriber.next()] == [b"two", b"two"]
            publishing.sendall(framing.frame(b"x" * 99_999) + framing.frame(b"x" * 100_000))
            assert subscriber.next() == b"x" * 99_999
        assert [publisher.next(), publisher.next()] == [
            {"type": "ack", "accepted": 4},
            {"type": "error", "message": "a message of 100,000 bytes, more than the limit of 99,999 bytes"},
        ]
        publishing.close()  # else the relay waits for that
        relay.log.wait_for("disconnected: message too long, 4 messages")
