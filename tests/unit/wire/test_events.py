"""Server-sent events against a naive reader, written from the standard: what goes in comes out."""

from __future__ import annotations

from hypothesis import example, given
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.events import EventEncoding, chunk
from tests.kit.encodings import EPOCH, messages, positions
from tests.kit.events import Event, Parser, events


class EventEncodingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.encoding = EventEncoding(EPOCH)

    @given(messages, positions)
    @example([b"", b" ", b"\n", b"\n\n", b" a", b"data: x", b":", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\0"], 1)
    @example([b"event: lost\ndata: 5\n\nid: 7", b"0\r\n\r\n"], 1)
    def test_every_message_comes_out_as_it_went_in_with_its_position(self, sent: list[bytes], position: int) -> None:
        found = events(self.encoding.encode(sent, position))
        self.assertEqual([event.message for event in found], sent)
        self.assertEqual(
            [event.id for event in found], [f"{EPOCH}-{at}" for at in range(position, position + len(sent))]
        )

    def test_a_message_is_text_if_it_can_be(self) -> None:
        for message, kind in (
            (b"", "text"),
            (b"a\nb\n", "text"),
            ("é€🙂\x85\u2028".encode(), "text"),
            (b"a\r", "base64"),
            (b"a\r\nb", "base64"),
            (b"\xff", "base64"),
            (b"\xed\xa0\x80", "base64"),  # a surrogate
            (b"\xc0\x80", "base64"),  # longer than it need be
            ("é".encode()[:1], "base64"),
        ):
            [event] = events(self.encoding.encode([message], 1))
            self.assertEqual((event.kind, event.message), (kind, message))

    def test_an_event_is_what_the_standard_says_byte_for_byte(self) -> None:
        event = b"id: 0123456789ab-7\nevent: text\ndata: a\ndata: \xc3\xa9\n\n"
        self.assertEqual(self.encoding.encode(["a\né".encode()], 7), b"%x\r\n%b\r\n" % (len(event), event))

    def test_the_last_chunk_is_the_one_without_data(self) -> None:
        self.assertEqual(chunk(b""), b"0\r\n\r\n")
        self.assertEqual(chunk(bytes(255)), b"ff\r\n" + bytes(255) + b"\r\n")


class ParserTests(SynchronousTestCase):
    """The reader itself, by the examples of the standard, so that it is no echo of the encoding."""

    def test_the_standards_examples(self) -> None:
        for stream, expected in (
            (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("message", "YHOO\n+2\n10", "")]),
            (b"data\n\ndata\ndata\n\ndata:\n", [Event("message", "", ""), Event("message", "\n", "")]),
            (b"data:test\n\ndata: test\n\n", [Event("message", "test", "")] * 2),
            (
                b": a\r\rdata: one\r\nid: 1\r\n\r\ndata:  two\rid\r\r",
                [Event("message", "one", "1"), Event("message", " two", "")],
            ),
            (b"event: none\nid: 3\n\ndata: x\n\n", [Event("message", "x", "3")]),
            (b"\xef\xbb\xbfdata: x\nid: a\0b\n\n", [Event("message", "x", "")]),
        ):
            for pieces in ([stream, b":\n"], [bytes([byte]) for byte in stream + b":\n"]):
                parser = Parser()
                self.assertEqual([event for piece in pieces for event in parser.feed(piece)], expected, stream)
