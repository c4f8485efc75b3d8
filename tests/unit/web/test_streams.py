"""Streams: who may have one, where it begins, and what it is then."""

from __future__ import annotations

import json
from dataclasses import replace

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from relay.core.start import EARLY, LOOK, Starts
from relay.core.timing import SWEEP
from relay.peers.subscriber import Subscriber
from relay.web.request import Request, Response
from relay.web.streams import Takeover, unstreamable
from relay.wire.close_reason import CloseReason
from relay.wire.position import Epoch
from tests.kit.connections import FakeTransport
from tests.kit.events import Event, Parser, unchunked
from tests.kit.sessions import EPOCH
from tests.kit.streams import HANDSHAKE, StreamCase


def head(transport: FakeTransport) -> dict[str, str]:
    """The headers of the response."""
    lines = transport.value().partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def events(transport: FakeTransport) -> list[Event]:
    return Parser().feed(unchunked(transport.value().partition(b"\r\n\r\n")[2]))


def frames(transport: FakeTransport) -> list[tuple[int, bytes]]:
    """The first byte and the payload of each WebSocket frame; all are short."""
    data, found = transport.value().partition(b"\r\n\r\n")[2], []
    while data:
        found.append((data[0], data[2 : 2 + data[1]]))
        data = data[2 + data[1] :]
    return found


class RefusalTests(StreamCase):
    """What holds for both kinds of streams."""

    def refusals(self, request: Request) -> list[Response]:
        """What each kind answers to it."""
        handshake = HANDSHAKE[1:] + (request.headers or HANDSHAKE[:1])  # with one Host
        found = [self.streams.events(request), self.streams.socket(replace(request, headers=handshake))]
        return [response for response in found if isinstance(response, Response)]

    def test_a_stream_needs_http_1_1_and_a_refusal_says_how_to_have_a_proxy_speak_it(self) -> None:
        for version in ("HTTP/1.0", "HTTP/0.9", "http/1.1", ""):
            request = Request(version=version)
            self.assertEqual([one.status for one in self.refusals(request)], [505, 505])
            self.assertIn(b"proxy_http_version 1.1", self.refusals(request)[0].body)
            self.assertIsNotNone(unstreamable(request))
        self.assertEqual((self.refusals(Request()), unstreamable(Request())), ([], None))

    def test_pages_of_its_own_and_of_the_allowed_origins_may_have_the_messages_and_no_others(self) -> None:
        self.origins = ("https://example.org",)
        host = (b"Host", b"relay.example:8003")
        for origin, allowed in (
            *((b"http://relay.example:8003", True), (b"https://relay.example:8003", True)),  # a proxy may speak TLS
            *((b"https://example.org", True), (b"", True)),
            *((b"http://example.org", False), (b"https://example.org:444", False), (b"null", False)),
            *((b"https://example.org.example.net", False), (b"https://relay.example", False), (b"://", False)),
            *((b"relay.example:8003", False), (b"http://", False)),
        ):
            found = self.refusals(Request(headers=(host, (b"Origin", origin))))
            self.assertEqual([one.status for one in found], [] if allowed else [403, 403], origin)

    def test_without_a_host_there_is_no_page_of_its_own(self) -> None:
        events = self.streams.events(Request(headers=((b"Origin", b"http://"),)))
        assert isinstance(events, Response)
        self.assertEqual(events.status, 403)

    def test_a_replay_is_a_whole_number(self) -> None:
        for text in ("x", "-1", "1.5", "", "\u00b2", "+1", " 1", "9" * 19):
            found = self.refusals(Request(query={"replay": [text]}))
            self.assertEqual([one.status for one in found], [400, 400], text)
        self.assertEqual(self.refusals(Request(query={"replay": ["x", "9" * 18]})), [], "the last counts")

    def test_what_is_no_handshake_is_refused_with_what_there_is_instead(self) -> None:
        for headers, status in ((HANDSHAKE[:-1], 400), ((*HANDSHAKE[:-1], (b"Sec-WebSocket-Version", b"8")), 426)):
            refused = self.streams.socket(Request(headers=headers))
            assert isinstance(refused, Response)
            self.assertEqual(refused.status, status)
            self.assertEqual(dict(refused.headers), {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"})


class EventTests(StreamCase):
    def stream(self, last: str = "", origin: str = "", **query: str) -> tuple[Subscriber, FakeTransport]:
        headers = ((b"Host", b"relay.example"), (b"Last-Event-ID", last.encode()), (b"Origin", origin.encode()))
        request = Request(query={name: [value] for name, value in query.items()}, headers=headers)
        return self.connect(self.streams.events, request)

    def numbers(self, transport: FakeTransport) -> list[int]:
        return [event.position for event in events(transport) if event.kind in ("text", "base64")]

    def test_it_is_a_subscriber_and_no_longer_a_web_connection(self) -> None:
        takeover = self.streams.events(Request())
        assert isinstance(takeover, Takeover)
        self.assertIs(takeover.registry, self.registries["events"])
        subscriber, _ = self.stream()
        self.assertEqual(list(self.registries["events"].open), [subscriber])
        self.assertEqual(subscriber.feed, "events")

    def test_it_begins_with_the_next_message(self) -> None:
        self.say(b"before")
        _, transport = self.stream()
        self.say(b"after", b"\xff")
        self.assertEqual(
            [(one.message, one.id) for one in events(transport)], [(b"after", f"{EPOCH}-2"), (b"\xff", f"{EPOCH}-3")]
        )

    def test_with_a_replay_it_begins_with_the_last_messages(self) -> None:
        self.stream()  # so that there is somebody to keep them for
        self.say(b"1", b"2", b"3")
        for replay, expected in (("0", []), ("2", [2, 3]), ("99", [1, 2, 3])):
            _, transport = self.stream(replay=replay)
            self.assertEqual(self.numbers(transport), expected, replay)

    def test_who_comes_back_goes_on_behind_the_last_event(self) -> None:
        self.stream()
        self.say(b"1", b"2", b"3")
        for last, expected in ((0, [1, 2, 3]), (1, [2, 3]), (3, [])):
            _, transport = self.stream(f"{EPOCH}-{last}", replay="1")
            self.assertEqual(self.numbers(transport), expected, "a replay is for those who begin")
            self.assertEqual({one.kind for one in events(transport)} - {"text"}, set())

    def test_what_is_no_event_of_this_epoch_means_a_restart_and_all_that_there_is_of_the_new_one(self) -> None:
        self.stream()
        self.say(b"1", b"2", b"3")
        for last in ("ba9876543210-2", f"{EPOCH}-4", "nonsense", "2", f"{EPOCH}-02"):
            _, transport = self.stream(last)
            self.assertEqual(events(transport)[0].kind, "restarted", last)
            self.assertEqual(self.numbers(transport), [1, 2, 3], last)

    def test_what_is_pending_counts_as_published(self) -> None:
        self.stream()
        self.publish(2)  # and its turn has not ended
        _, transport = self.stream(f"{EPOCH}-2")
        self.assertEqual(events(transport), [])

    def test_a_page_of_an_allowed_origin_may_read_the_answer_and_no_other(self) -> None:
        self.origins = ("https://example.org",)
        headers = head(self.stream(origin="https://example.org")[1])
        self.assertEqual(headers["access-control-allow-origin"], "https://example.org")
        self.assertEqual(headers["vary"], "Origin")
        self.assertNotIn("access-control-allow-origin", head(self.stream(origin="http://relay.example")[1]))


class SocketTests(StreamCase):
    def stream(self, **query: str) -> tuple[Subscriber, FakeTransport]:
        request = Request(query={name: [value] for name, value in query.items()}, headers=HANDSHAKE)
        return self.connect(self.streams.socket, request)

    def test_every_message_is_binary_or_text_where_it_can_be_if_that_is_wanted(self) -> None:
        _, binary = self.stream()
        _, text = self.stream(text="")
        self.say(b"a", b"\xff")
        self.assertEqual(frames(binary), [(0x82, b"a"), (0x82, b"\xff")])
        self.assertEqual(frames(text), [(0x81, b"a"), (0x82, b"\xff")])

    def test_the_answer_to_the_handshake_comes_first(self) -> None:
        subscriber, transport = self.stream()
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 101 "))
        self.assertEqual(head(transport)["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")  # RFC 6455, 1.3
        self.assertEqual((list(self.registries["ws"].open), subscriber.feed), ([subscriber], "ws"))

    def test_with_a_replay_it_begins_with_the_last_messages(self) -> None:
        self.stream()
        self.say(b"1", b"2", b"3")
        _, transport = self.stream(replay="2")
        self.assertEqual([payload for _, payload in frames(transport)], [b"2", b"3"])

    def test_all_of_one_kind_share_a_feed(self) -> None:
        first, second = self.stream()[0], self.stream()[0]
        other = self.stream(text="")[0]
        self.assertIs(first.source.hub, second.source.hub)
        self.assertIsNot(first.source.hub, other.source.hub)


class SharedTests(StreamCase):
    """Subscribers that come from another relay of the same order, which had got further."""

    def setUp(self) -> None:
        super().setUp()
        clock = self.feeds.clock
        self.sessions.starts = Starts(self.hub, self.history, [Epoch(EPOCH, 1)], clock, clock, shared=True)
        self.history.use()
        self.say(b"1", b"2")

    def event_stream(self, last: int) -> FakeTransport:
        headers = ((b"Host", b"relay.example"), (b"Last-Event-ID", f"{EPOCH}-{last}".encode()))
        return self.connect(self.streams.events, Request(headers=headers))[1]

    def socket(self, last: int) -> FakeTransport:
        query = {"session": [""], "after": [f"{EPOCH}-{last}"]}
        return self.connect(self.streams.socket, Request(query=query, headers=HANDSHAKE))[1]

    def test_they_wait_until_this_relay_is_as_far(self) -> None:
        event_stream, socket = self.event_stream(3), self.socket(3)
        self.assertEqual((event_stream.value(), socket.value()), (b"", b""))
        self.say(b"3", b"4")
        self.assertEqual([(one.kind, one.message) for one in events(event_stream)], [("text", b"4")])
        welcome, message = frames(socket)
        told = json.loads(welcome[1])
        self.assertEqual((told["next"], told["lost"], message[1]), (f"{EPOCH}-4", 0, b"4"))

    def test_if_that_takes_too_long_they_have_to_come_back(self) -> None:
        for connect, feed in ((self.event_stream, "events"), (self.socket, "ws")):
            transport = connect(3)
            self.wait()
            [subscriber] = self.registries[feed].open
            self.assertEqual((transport.value(), transport.aborted), (b"", 1))
            self.assertIs(subscriber.reason, CloseReason.NOT_READY)

    def wait(self) -> None:
        """As long as anybody waits."""
        for _ in range(int(EARLY / LOOK)):
            self.turns.run_all()

    def test_where_positions_mean_something_else_when_it_is_as_far_they_have_to_come_back(self) -> None:
        streams = self.event_stream(3), self.socket(3)
        self.hub.log.era += 1
        self.say(b"3", b"4")
        self.assertEqual([(one.value(), one.aborted) for one in streams], [(b"", 1)] * 2)

    def test_at_a_mirror_that_knows_no_positions_yet_all_have_to_come_back(self) -> None:
        self.sessions.starts.known = False
        streams = self.event_stream(1), self.socket(1), self.connect(self.streams.socket, Request(headers=HANDSHAKE))[1]
        self.wait()
        self.assertEqual([(one.value(), one.aborted) for one in streams], [(b"", 1)] * 3)

    def test_a_mirror_that_is_not_connected_may_learn_of_an_epoch_yet(self) -> None:
        self.sessions.starts.current = False
        headers = ((b"Host", b"relay.example"), (b"Last-Event-ID", b"ba9876543210-1"))
        stream = self.connect(self.streams.events, Request(headers=headers))[1]
        self.wait()
        self.assertEqual((stream.value(), stream.aborted), (b"", 1))
        self.assertNotEqual(self.event_stream(1).value(), b"", "what is known is served")

    def test_those_who_are_behind_are_told_what_is_lost(self) -> None:
        for _ in range(30):
            self.say(bytes(3_000_000))
        first = self.history.first
        self.assertGreater(first, 10)
        self.assertIn(b"event: lost\ndata: %d\n" % (first - 6), self.event_stream(5).value())
        answer = self.socket(5).value().partition(b"\r\n\r\n")[2]
        told = json.loads(answer[2 : 2 + answer[1]])
        self.assertEqual((told["next"], told["lost"]), (f"{EPOCH}-{first}", first - 6))

    def test_who_leaves_meanwhile_is_not_missed(self) -> None:
        headers = ((b"Host", b"relay.example"), (b"Last-Event-ID", f"{EPOCH}-3".encode()))
        subscriber, transport = self.connect(self.streams.events, Request(headers=headers))
        subscriber.connectionLost(Failure(ConnectionDone()))
        self.say(b"3", b"4")
        self.assertEqual((transport.value(), len(self.registries["events"].open)), (b"", 0))


class SweepTests(StreamCase):
    def test_subscribers_of_both_kinds_are_swept_every_second(self) -> None:
        asked: list[tuple[float, object]] = []
        self.streams.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(SWEEP, self.streams.sweep)])
        both = [
            self.connect(self.streams.events, Request()),
            self.connect(self.streams.socket, Request(headers=HANDSHAKE)),
        ]
        for subscriber, _ in both:
            subscriber.readConnectionLost()
        self.streams.sweep(1.0)
        self.assertEqual([transport.socket.asked for _, transport in both], [1, 1])
        both[0][0].connectionLost(Failure(ConnectionDone()))
        self.streams.sweep(1.0)
        self.assertEqual([transport.socket.asked for _, transport in both], [1, 2])
