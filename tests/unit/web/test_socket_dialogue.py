"""The dialogue of a WebSocket: pings answered between messages, little read at once, and a reason for the end."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from websockets.frames import BINARY, CLOSE, PING, PONG, TEXT, Close, Frame
from websockets.streams import StreamReader

from relay.core.state import State
from relay.peers.subscriber import Subscriber
from relay.web.request import Request
from relay.web.socket_dialogue import INPUT_READ, MAX_INPUT, SocketDialogue
from relay.web.streams import Takeover
from relay.wire.close_reason import CloseReason
from tests.kit.connections import FakeTransport
from tests.kit.fakes import said
from tests.kit.frames import legal, raw
from tests.kit.streams import HANDSHAKE, StreamCase
from tests.kit.transports import ROOM, at_once

LARGE = b"x" * 200_000
"""A message that no transport takes at once."""


def frames(data: bytes) -> list[Frame]:
    """The frames behind the answer to the handshake, all of which are whole."""
    stream, found = StreamReader(), []
    stream.feed_data(data.partition(b"\r\n\r\n")[2])
    while stream.buffer:
        parser = Frame.parse(stream.read_exact, mask=False)
        try:
            next(parser)
        except StopIteration as done:
            found.append(done.value)
        else:
            raise AssertionError("a frame is not whole")
    return found


class SocketDialogueCase(StreamCase):
    def stream(self) -> tuple[Subscriber, FakeTransport]:
        return self.connect(self.streams.socket, Request(headers=HANDSHAKE))

    def read_all(self, transport: FakeTransport) -> None:
        """The peer takes everything."""
        while transport.held:
            transport.drain()
            self.turns.run_all()


class PingTests(SocketDialogueCase):
    def test_a_ping_is_answered_between_messages(self) -> None:
        subscriber, transport = self.stream()
        self.say(b"one")
        subscriber.dataReceived(legal(PING, b"p"))
        self.say(b"two")
        self.assertEqual(frames(transport.value()), [Frame(BINARY, b"one"), Frame(PONG, b"p"), Frame(BINARY, b"two")])

    def test_one_that_comes_in_the_middle_of_a_message_is_answered_behind_it(self) -> None:
        subscriber, transport = self.stream()
        self.say(LARGE)
        subscriber.dataReceived(legal(PING, b"p"))
        self.say(b"two")
        self.assertLess(len(transport.value()), len(LARGE))
        self.read_all(transport)
        self.assertEqual(frames(transport.value()), [Frame(BINARY, LARGE), Frame(PONG, b"p"), Frame(BINARY, b"two")])

    def test_of_many_to_one_that_does_not_read_the_first_and_the_latest_are_answered(self) -> None:
        subscriber, transport = self.stream()
        self.say(LARGE)
        for number in range(50):
            subscriber.dataReceived(legal(PING, b"%d" % number))
        self.streams.sweep(1.0)
        self.assertLess(len(subscriber.rest()), len(LARGE) + 100, "answers do not pile up")
        self.read_all(transport)
        self.streams.sweep(1.0)
        self.read_all(transport)
        pongs = [bytes(one.data) for one in frames(transport.value()) if one.opcode is PONG]
        self.assertEqual(pongs, [b"0", b"49"])

    def test_what_else_it_sends_is_thrown_away_without_a_word(self) -> None:
        subscriber, transport = self.stream()
        with capturedLogs() as events:
            subscriber.dataReceived(legal(TEXT, b"hello") + legal(PONG) + legal(BINARY, bytes(4096)))
        self.assertEqual((events, frames(transport.value())), ([], []))
        self.assertTrue(subscriber.lifecycle.attached)


class InputTests(SocketDialogueCase):
    """A peer is read at 8 KiB a second."""

    def test_after_so_much_in_a_second_it_is_not_read_until_the_next(self) -> None:
        self.assertEqual(MAX_INPUT, 8192)
        subscriber, transport = self.stream()
        message = legal(BINARY, bytes(1000))
        sent = 0
        while sent + len(message) < MAX_INPUT:
            subscriber.dataReceived(message)
            sent += len(message)
            self.assertEqual(transport.producerState, "producing")
        subscriber.dataReceived(message)
        self.assertEqual(transport.producerState, "paused")
        self.streams.sweep(1.0)
        self.assertEqual(transport.producerState, "producing")
        subscriber.dataReceived(message)
        self.assertEqual(transport.producerState, "producing")

    def test_each_second_counts_for_itself(self) -> None:
        subscriber, transport = self.stream()
        for _ in range(20):
            subscriber.dataReceived(legal(BINARY, bytes(4000)))
            self.streams.sweep(1.0)
        self.assertEqual(transport.producerState, "producing")


class EndTests(SocketDialogueCase):
    def check_end(self, transport: FakeTransport, code: int) -> None:
        """The last frame is a close with that code, and our half has ended."""
        last = frames(transport.value())[-1]
        self.assertEqual((last.opcode, Close.parse(last.data).code), (CLOSE, code))
        self.assertTrue(transport.half_closed)

    def test_a_close_is_answered_and_the_peer_has_closed(self) -> None:
        subscriber, transport = self.stream()
        self.say(b"one")
        subscriber.dataReceived(legal(CLOSE, b"\x0f\xa0"))  # 4000
        self.check_end(transport, 4000)
        self.assertEqual((subscriber.state, subscriber.reason), (State.FINISHING, CloseReason.PEER_CLOSED))

    def test_the_close_comes_behind_the_message_that_the_peer_is_in_the_middle_of(self) -> None:
        subscriber, transport = self.stream()
        self.say(LARGE, b"two")
        subscriber.dataReceived(legal(CLOSE, b"\x03\xe8"))
        self.assertEqual([one.opcode for one in frames(transport.value())], [BINARY, CLOSE])

    def test_what_none_may_send_ends_it_with_the_code_for_that_and_a_line_that_says_what(self) -> None:
        for sent, code, reason in (
            (raw(0x83), 1002, CloseReason.PROTOCOL_ERROR),
            (legal(TEXT, b"\xff"), 1007, CloseReason.PROTOCOL_ERROR),
            (legal(BINARY, bytes(4097)), 1009, CloseReason.MESSAGE_TOO_LONG),
        ):
            subscriber, transport = self.stream()
            with capturedLogs() as events:
                subscriber.dataReceived(sent)
                self.check_end(transport, code)
                subscriber.connectionLost(Failure(ConnectionDone()))
            [(level, text)] = said(events)
            self.assertIs(level, LogLevel.warn)
            self.assertRegex(str(text), f"disconnected: {reason}, .*; it sent ")

    def test_what_comes_after_the_end_is_not_looked_at(self) -> None:
        subscriber, transport = self.stream()
        subscriber.dataReceived(legal(CLOSE))
        before = transport.value()
        subscriber.dataReceived(raw(0x83) + legal(PING, b"p"))
        self.assertEqual(transport.value(), before)
        self.assertIs(subscriber.reason, CloseReason.PEER_CLOSED)

    def test_a_stop_is_told_with_its_code(self) -> None:
        subscriber, transport = self.stream()
        self.say(b"one")
        subscriber.drain()
        self.check_end(transport, 1001)

    def test_who_is_cut_on_a_transport_that_copies_is_told_nothing(self) -> None:
        subscriber, transport = self.stream()
        self.say(LARGE)
        before = transport.value()
        subscriber.source.hub.end(subscriber.source.subscription, CloseReason.STALLED)  # type: ignore[arg-type]
        self.assertEqual((transport.value(), transport.aborted), (before, 1))


class DirectTests(StreamCase):
    """On a transport that sends at once: a real connection of this machine."""

    def setUp(self) -> None:
        super().setUp()
        takeover = self.streams.socket(Request(headers=HANDSHAKE))
        assert isinstance(takeover, Takeover)
        self.subscriber = cast(Subscriber, takeover.begin(None))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.peer = socket.create_connection(listening.getsockname())
            accepted, address = listening.accept()
        self.addCleanup(self.peer.close)
        self.addCleanup(accepted.close)
        self.peer.settimeout(10)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.transport = at_once(accepted, self.subscriber, address, None, 1, MemoryReactorClock())
        self.subscriber.makeConnection(self.transport)
        self.turns.run_all()

    def test_little_is_read_at_once(self) -> None:
        self.assertEqual((self.transport.bufferSize, INPUT_READ), (INPUT_READ, 1024))

    def test_who_is_cut_is_told_why_if_it_takes_that(self) -> None:
        hub, subscription = self.subscriber.source.hub, self.subscriber.source.subscription
        assert subscription is not None
        hub.end(subscription, CloseReason.OVERRUN)
        data = b""
        while not data.partition(b"\r\n\r\n")[2]:
            data += self.peer.recv(4096)
        [last] = frames(data)
        self.assertEqual(Close.parse(last.data), Close(1013, "overrun"))

    def test_who_takes_nothing_more_is_cut_all_the_same(self) -> None:
        while self.subscriber.state is not State.WAITING:
            self.say(LARGE)
        hub, subscription = self.subscriber.source.hub, self.subscriber.source.subscription
        assert subscription is not None
        hub.end(subscription, CloseReason.STALLED)
        self.assertEqual((self.subscriber.state, self.subscriber.reason), (State.CUT, CloseReason.STALLED))
        self.assertIsInstance(self.subscriber.dialogue, SocketDialogue)
