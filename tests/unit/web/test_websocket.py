"""WebSocket without a network: the opening and what a peer sends, by RFC 6455 and the client of the package websockets.

What wsproto makes of it all is not taken for granted here: the expectations are those of the standard, and the tests
over sockets have the same tables.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from websockets.client import ClientProtocol
from websockets.frames import BINARY, CLOSE, PING, PONG, TEXT, Close, Frame
from websockets.http11 import Response
from websockets.protocol import State
from websockets.streams import StreamReader
from websockets.uri import parse_uri

from relay.web.websocket import CODES, KEY, MAX_MESSAGE, Closed, Input, Refused, accept, close
from relay.wire.close_reason import CloseReason
from tests.kit.frames import ENDS, HALF, IGNORED, MOST, legal, raw

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")
SAMPLE = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE: Headers = [
    (b"Host", b"server.example.com"),
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Key", SAMPLE),
    (b"Sec-WebSocket-Version", b"13"),
]
"""The example of RFC 6455, section 1.3."""


def changed(name: bytes, value: bytes | None) -> Headers:
    """The handshake with another value for that header, or without it, or with one more."""
    rest = [(other, old) for other, old in HANDSHAKE if other != name]
    return rest if value is None else [*rest, (name, value)]


def parsed(data: bytes, parser: Generator[None, None, T], stream: StreamReader) -> T:
    """What a parser of websockets makes of data that is whole."""
    stream.feed_data(data)
    try:
        next(parser)
    except StopIteration as done:
        found: T = done.value
        return found
    raise AssertionError("it is not whole")


def frames(data: bytes) -> list[Frame]:
    """The frames of a server, which are not masked, and nothing else."""
    stream, found = StreamReader(), []
    stream.feed_data(data)
    while stream.buffer:
        found.append(parsed(b"", Frame.parse(stream.read_exact, mask=False), stream))
    return found


class AcceptTests(SynchronousTestCase):
    def head(self, headers: Headers) -> Response:
        """The response, which is whole, and is all that there is."""
        stream = StreamReader()
        found = parsed(accept(headers), Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof), stream)
        self.assertEqual(bytes(stream.buffer), b"")
        return found

    def refused(self, headers: Headers) -> Refused:
        try:
            accept(headers)
        except Refused as refused:
            return refused
        raise AssertionError(f"it was accepted: {headers}")

    def test_the_example_of_the_standard_is_answered_as_there(self) -> None:
        head = self.head(HANDSHAKE)
        self.assertEqual(head.status_code, 101)
        self.assertEqual(head.headers["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual(
            (head.headers["Upgrade"].lower(), head.headers["Connection"].lower()), ("websocket", "upgrade")
        )

    def test_a_client_that_was_written_by_others_takes_the_answer(self) -> None:
        client = ClientProtocol(parse_uri("ws://relay.example/ws"))
        request = client.connect()
        client.send_request(request)
        client.receive_data(accept([(name.encode(), value.encode()) for name, value in request.headers.raw_items()]))
        self.assertEqual((client.handshake_exc, client.state), (None, State.OPEN))

    def test_names_and_tokens_may_be_written_in_any_case(self) -> None:
        headers = [(name.lower(), value) for name, value in changed(b"Connection", b"keep-alive, uPGRADE")]
        self.assertEqual(self.head(headers).headers["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_no_extension_and_no_subprotocol_is_agreed_on(self) -> None:
        for name, value in (
            (b"Sec-WebSocket-Extensions", b"permessage-deflate; client_max_window_bits"),
            (b"Sec-WebSocket-Protocol", b"chat, superchat"),
        ):
            self.assertNotIn(name.decode(), self.head(changed(name, value)).headers)

    def test_another_version_is_answered_with_the_status_for_it(self) -> None:
        for version in (b"8", b"14", b"thirteen"):
            self.assertEqual(self.refused(changed(b"Sec-WebSocket-Version", version)).status, 426)  # section 4.4

    def test_what_is_no_handshake_is_a_bad_request_and_the_words_say_so(self) -> None:
        for headers in (
            [],
            *(changed(name, None) for name, _ in HANDSHAKE),
            *(changed(b"Upgrade", value) for value in (b"h2c", b"")),
            *(changed(b"Connection", value) for value in (b"close", b"keep-alive")),
            *(changed(name, b"\xff\xfe") for name in (b"Host", b"Upgrade", b"Connection", b"Sec-WebSocket-Extensions")),
        ):
            refused = self.refused(headers)
            self.assertEqual(refused.status, 400, headers)
            self.assertTrue(str(refused).startswith("no WebSocket handshake: "), str(refused))

    def test_a_key_is_16_bytes_in_base64_and_nothing_else(self) -> None:
        for key in (b"", b"AAAA", b"dGhlIHNhbXBsZSBub25j", SAMPLE[:-1], SAMPLE[:-4] + b"AAA=", b"\xff" * 24, b"!" * 24):
            self.assertEqual(self.refused(changed(b"Sec-WebSocket-Key", key)).status, 400, key)
        self.assertEqual(KEY, 16)

    @given(st.lists(st.tuples(st.sampled_from([name for name, _ in HANDSHAKE]), st.binary(max_size=30)), max_size=8))
    def test_whatever_the_headers_are_there_is_an_answer_or_a_refusal(self, headers: Headers) -> None:
        try:
            self.assertTrue(accept(headers).startswith(b"HTTP/1.1 101 "))
        except Refused as refused:
            self.assertIn(refused.status, (400, 426))


class CloseTests(SynchronousTestCase):
    def test_each_reason_has_the_code_of_the_protocol_and_its_own_words(self) -> None:
        expected = {
            CloseReason.SHUTDOWN: 1001,
            CloseReason.OVERRUN: 1013,
            CloseReason.STALLED: 1013,
            CloseReason.ERROR: 1011,
        }
        self.assertEqual(CODES, expected)
        for reason in CloseReason:
            [found] = frames(close(reason))
            self.assertEqual((found.opcode, found.fin), (CLOSE, True))
            self.assertEqual(Close.parse(found.data), Close(expected.get(reason, 1000), str(reason)))


def receive(chunks: list[bytes]) -> tuple[bytes, Closed | None]:
    """The last answer to a ping, and the end, of what comes in such pieces; what comes behind the end is not read."""
    peer, last = Input(), b""
    for chunk in chunks:
        pong, closed = peer.receive(chunk)
        last = pong or last
        if closed is not None:
            return last, closed
    return last, None


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


scraps = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([sent for _, sent in ENDS if len(sent) < 300] + [sent for sent, _ in IGNORED if len(sent) < 300]),
    st.builds(raw, st.integers(0, 255), st.binary(max_size=130)),
)


class InputTests(SynchronousTestCase):
    def test_what_a_peer_may_send_is_no_end_and_its_last_ping_is_answered(self) -> None:
        for sent, pongs in IGNORED:
            for size in (1, 7, len(sent)):
                pong, closed = receive(pieces(sent, size))
                self.assertIsNone(closed, sent)
                self.assertEqual(frames(pong), [Frame(PONG, payload) for payload in pongs[-1:]], sent)

    def test_of_the_pings_in_one_read_the_last_is_answered(self) -> None:
        pong, _ = receive([b"".join(legal(PING, b"%d" % number) for number in range(10))])
        self.assertEqual(frames(pong), [Frame(PONG, b"9")])

    def test_a_close_is_answered_with_its_code_and_what_none_may_send_with_that_for_it(self) -> None:
        for code, sent in ENDS:
            for size in (1, 7, len(sent)):
                _, closed = receive(pieces(sent, size))
                assert closed is not None, sent
                [answer] = frames(closed.answer)
                self.assertEqual(
                    (answer.opcode, answer.data[:2]), (CLOSE, b"" if code is None else code.to_bytes(2, "big"))
                )

    def test_the_reason_says_whose_doing_it_was_and_the_log_why(self) -> None:
        for sent, reason, why in (
            (legal(CLOSE), CloseReason.PEER_CLOSED, ""),
            (legal(CLOSE, b"\x03\xe8bye"), CloseReason.PEER_CLOSED, ""),
            (raw(0x83), CloseReason.PROTOCOL_ERROR, "it sent what no WebSocket client may send: "),
            (legal(TEXT, b"\xff"), CloseReason.PROTOCOL_ERROR, "it sent what no WebSocket client may send: "),
            (
                legal(BINARY, bytes(MOST + 1)),
                CloseReason.MESSAGE_TOO_LONG,
                "it sent a message of more than 4,096 bytes",
            ),
        ):
            _, closed = receive([sent])
            assert closed is not None
            self.assertIs(closed.reason, reason)
            self.assertTrue(closed.why.startswith(why) and bool(closed.why) == bool(why), closed.why)

    def test_a_message_may_have_4096_bytes_in_whatever_pieces_and_the_next_as_many(self) -> None:
        self.assertEqual(MAX_MESSAGE, MOST)
        whole = legal(BINARY, bytes(MOST))
        parts = legal(BINARY, bytes(MOST - 1), fin=False) + raw(0x80, b"x")
        self.assertEqual(receive([whole, parts, whole, parts]), (b"", None))
        _, closed = receive([legal(BINARY, bytes(MOST), fin=False), raw(0x80, b"x")])
        assert closed is not None
        self.assertIs(closed.reason, CloseReason.MESSAGE_TOO_LONG)

    def test_a_ping_before_the_end_is_answered_too(self) -> None:
        pong, closed = Input().receive(legal(PING, b"p") + legal(CLOSE))
        self.assertEqual(frames(pong), [Frame(PONG, b"p")])
        self.assertIsNotNone(closed)

    @given(st.lists(scraps, max_size=8), st.integers(1, 40))
    @example([HALF, legal(PING, b"p")], 1)
    def test_any_chunking_comes_to_the_same(self, sent: list[bytes], size: int) -> None:
        data = b"".join(sent)
        (pong, parts), (last, whole) = receive(pieces(data, size)), receive([data])
        self.assertEqual(pong, last)
        self.assertEqual(parts and (parts.reason, parts.answer), whole and (whole.reason, whole.answer))
