"""The encodings against naive readers, written from the standards: what goes in comes out, cut where `ends` says."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.encoding import Encoding, Events, binary, chunk, text
from tests.kit.events import Event, Parser, events

RUN = "0123456789ab"


def unframed(stream: bytes) -> list[tuple[int, bytes]]:
    """The first byte and the payload of each WebSocket frame of a server (RFC 6455, section 5.2)."""
    found = []
    while stream:
        first, second = stream[0], stream[1]
        assert second < 128, "a server's frames are not masked"
        extra = {126: 2, 127: 8}.get(second, 0)
        length = int.from_bytes(stream[2 : 2 + extra], "big") if extra else second
        assert length >= {0: 0, 2: 126, 8: 2**16}[extra], "the length is not written in the shortest way"
        start = 2 + extra
        assert len(stream) >= start + length, "a frame is not whole"
        found.append((first, stream[start : start + length]))
        stream = stream[start + length :]
    return found


texts = st.text(st.sampled_from("\n\r\0 :dé€🙂\ufeff\u2028\x85"), max_size=12).map(str.encode)
messages = st.lists(st.one_of(texts, st.binary(max_size=200)), max_size=20)
positions = st.sampled_from([1, 2, 9, 99, 2**63])


class EventsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.encoding = Events(RUN)

    @given(messages, positions)
    @example([b"", b" ", b"\n", b"\n\n", b" a", b"data: x", b":", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\0"], 1)
    @example([b"event: lost\ndata: 5\n\nid: 7", b"0\r\n\r\n"], 1)
    def test_every_message_comes_out_as_it_went_in_with_its_position(self, sent: list[bytes], position: int) -> None:
        found = events(self.encoding.encode(sent, position))
        self.assertEqual([event.message for event in found], sent)
        self.assertEqual([event.id for event in found], [f"{RUN}-{at}" for at in range(position, position + len(sent))])

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


class FramesTests(SynchronousTestCase):
    @given(messages)
    def test_every_message_is_a_binary_frame(self, sent: list[bytes]) -> None:
        self.assertEqual(unframed(binary().encode(sent, 1)), [(0x82, message) for message in sent])

    @given(messages)
    def test_as_text_what_is_utf_8_is_a_text_frame(self, sent: list[bytes]) -> None:
        def first(message: bytes) -> int:
            try:
                message.decode()
            except UnicodeDecodeError:
                return 0x82
            return 0x81

        self.assertEqual(unframed(text().encode(sent, 1)), [(first(message), message) for message in sent])

    def test_lengths_at_which_the_header_changes(self) -> None:
        for length, header in ((0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10), (70000, 10)):
            encoded = binary().encode([bytes(length)], 1)
            self.assertEqual(len(encoded), header + length)
            self.assertEqual(unframed(encoded), [(0x82, bytes(length))])


class EndsTests(SynchronousTestCase):
    """What holds for each encoding: its messages stand by themselves, and their ends can be found again."""

    def check(self, encoding: Encoding, sent: list[bytes], position: int) -> None:
        whole = encoding.encode(sent, position)
        ends = list(encoding.ends(whole))
        self.assertEqual(ends, list(encoding.ends(memoryview(b"x" + whole)[1:])), "a view is as good as bytes")
        parts = [whole[start:stop] for start, stop in pairwise([0, *ends])]
        self.assertEqual(parts, [encoding.encode([message], at) for at, message in enumerate(sent, position)])
        self.assertEqual(b"".join(parts), whole)

    @given(messages, positions)
    def test_of_events(self, sent: list[bytes], position: int) -> None:
        self.check(Events(RUN), sent, position)

    @given(messages, positions)
    def test_of_frames(self, sent: list[bytes], position: int) -> None:
        self.check(binary(), sent, position)
        self.check(text(), sent, position)

    def test_of_messages_of_all_sizes_of_header(self) -> None:
        sent = [bytes(length) for length in (0, 125, 126, 65535, 65536, 0)]
        for encoding in (Events(RUN), binary(), text()):
            self.check(encoding, sent, 1)


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
