"""Signs of life on streams that are silent."""

from __future__ import annotations

from relay.peers.subscriber import Subscriber
from relay.web.event_dialogue import COMMENT
from relay.web.keep_alive import SILENCE
from relay.web.request import Request
from relay.wire.websocket import PING
from tests.kit.connections import FakeTransport
from tests.kit.streams import HANDSHAKE, StreamCase


class KeepAliveTests(StreamCase):
    def streams_of_both_kinds(self) -> list[tuple[Subscriber, FakeTransport, bytes]]:
        events = self.connect(self.streams.events, Request())
        socket = self.connect(self.streams.socket, Request(headers=HANDSHAKE))
        return [(*events, COMMENT), (*socket, PING)]

    def pass_by(self, sweeps: int) -> None:
        for _ in range(sweeps):
            self.streams.sweep(1.0)
            self.turns.run_all()

    def test_a_silent_stream_carries_one_now_and_then(self) -> None:
        both = self.streams_of_both_kinds()
        self.pass_by(1)  # the first sweep sees what there was before
        for count in range(3):
            for _, transport, sign in both:
                self.assertEqual(transport.value().count(sign), count)
            self.pass_by(SILENCE)

    def test_one_with_messages_carries_none(self) -> None:
        both = self.streams_of_both_kinds()
        for _ in range(10):
            self.pass_by(SILENCE - 1)
            self.say(b"message")
        for _, transport, sign in both:
            self.assertEqual(transport.value().count(sign), 0)

    def test_one_that_does_not_read_is_sent_none_and_is_told_the_rest_first(self) -> None:
        both = self.streams_of_both_kinds()
        self.say(b"x" * 500_000)
        self.pass_by(5 * SILENCE)
        for subscriber, _, sign in both:
            self.assertNotIn(sign, subscriber.rest()[-10:])
